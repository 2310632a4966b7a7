#include "base/json_limits.h"

namespace selvedge {

bool JsonWithinLimits(std::string_view text, int max_depth, std::size_t max_values) {
  // Every value but the first follows a comma, or is the first in a list or object.
  std::size_t values = 1;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
      continue;
    }
    if (c == '"') quoted = true;
    if (c == ',' || c == '[' || c == '{') ++values;
    if ((c == '[' || c == '{') && ++depth > max_depth) return false;
    if (c == ']' || c == '}') --depth;
    if (values > max_values) return false;
  }
  return true;
}

}  // namespace selvedge
