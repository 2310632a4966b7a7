#pragma once

// A second place for the lines of base/log, beside stderr: an agent keeps its own in a file, so
// that they can be read from afar.

#include <functional>
#include <string_view>

namespace selvedge::log {

// Every line that is written, its newline included, goes to `take` as well: one at a time, from
// whichever thread logs. It must not log itself. Empty: to nobody.
void CopyTo(std::function<void(std::string_view line)> take);

}  // namespace selvedge::log
