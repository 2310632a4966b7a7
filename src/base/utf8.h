#pragma once

// UTF-8 as RFC 3629 has it: what others wrote is checked before we store it or show it.
// Pure functions, no allocation, any thread.

#include <cstddef>
#include <string>
#include <string_view>

namespace selvedge {

// Bytes of the well-formed sequence that begins at `text[at]` (1 to 4), 0 where there is none: a
// stray continuation byte, an overlong form, a surrogate, a value above U+10FFFF, or an end too
// early. `at` must be below text.size().
std::size_t Utf8SequenceLength(std::string_view text, std::size_t at);

// Offset of the first byte that is not well-formed UTF-8; npos where there is none.
std::size_t FindInvalidUtf8(std::string_view text);

// The same text with each byte that is not part of a well-formed sequence replaced by U+FFFD.
std::string ValidUtf8(std::string_view text);

}  // namespace selvedge
