#pragma once

// Events as JSON lines: docs/formats/event.md.
//
// The line means exactly what protobuf's own JSON mapping with original field names means, and any
// reader of that mapping takes it. Pure functions, thread-safe on distinct arguments.

#include <cstddef>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

namespace v1 {
class Event;
}

// Appends the event and a newline. Allocates only where `out` has to grow: give the same string,
// cleared, for every event. Text that is not UTF-8 gets U+FFFD for each bad byte; a number that is
// not finite is left out.
void AppendEventLine(const v1::Event& event, std::string* out);

inline constexpr std::size_t kMaxEventLine = std::size_t{1} << 20;  // bytes

// Reads one line, with or without its end of line. Fields that this version does not know are
// ignored. InvalidArgument for anything that is not such an event, ResourceExhausted above
// kMaxEventLine.
Result<v1::Event> ParseEventLine(std::string_view line);

}  // namespace selvedge
