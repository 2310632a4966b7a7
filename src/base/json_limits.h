#pragma once

// How large a JSON text from elsewhere would become in memory, before it is parsed: "[[],[],…" of a
// few MiB is hundreds of MiB as values, and a filter on the parser itself takes time in the square
// of a list's length. Pure function, no allocation, one pass, any thread.

#include <cstddef>
#include <string_view>

namespace selvedge {

// Whether `text` has at most `max_values` values (objects, lists and what is in them; keys are not
// counted) and is at most `max_depth` deep (1 for "{}"). Of a text that is no JSON the answer means
// nothing: the parser refuses it in time that grows with its length.
bool JsonWithinLimits(std::string_view text, int max_depth, std::size_t max_values);

}  // namespace selvedge
