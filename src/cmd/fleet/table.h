#pragma once

// Text tables that read well on a terminal of 80 columns.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace selvedge {

class Table {
 public:
  explicit Table(std::vector<std::string> header);
  // As many cells as the header has; control characters are shown as '?'.
  void Add(std::vector<std::string> row);
  // Columns are as wide as what they hold; the last one is cut to `width` where it does not fit (0:
  // never). Ends with a newline.
  std::string ToText(std::size_t width = 0) const;
  bool empty() const { return rows_.size() <= 1; }

 private:
  std::vector<std::vector<std::string>> rows_;
};

// "3 s ago", "5 min ago", "2 h ago", "4 d ago"; "never" for 0.
std::string Ago(std::int64_t unix_ms, std::int64_t now_ms);
// "12.3 MB"
std::string Bytes(double bytes);
// What others wrote, fit for a terminal: no control characters.
std::string Printable(std::string text);

}  // namespace selvedge
