#include "cmd/fleet/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace selvedge {
namespace {

// Code points of UTF-8: what a terminal shows, near enough.
std::size_t Columns(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string CutTo(const std::string& text, std::size_t columns) {
  if (Columns(text) <= columns) return text;
  std::string cut;
  std::size_t used = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins && ++used >= columns) break;
    cut += c;
  }
  return cut + "\u2026";
}

}  // namespace

Table::Table(std::vector<std::string> header) {
  rows_.push_back(std::move(header));
}

void Table::Add(std::vector<std::string> row) {
  row.resize(rows_.front().size());
  for (std::string& cell : row) cell = Printable(std::move(cell));
  rows_.push_back(std::move(row));
}

std::string Table::ToText(std::size_t width) const {
  std::vector<std::size_t> widths(rows_.front().size(), 0);
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], Columns(row[i]));
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    std::size_t used = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      if (last) {
        const bool cut = width > used + 8;
        line += cut ? CutTo(row[i], width - used) : row[i];
      } else {
        line += row[i] + std::string(widths[i] - Columns(row[i]) + 2, ' ');
        used += widths[i] + 2;
      }
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string Ago(std::int64_t unix_ms, std::int64_t now_ms) {
  if (unix_ms <= 0) return "never";
  const std::int64_t seconds = std::max<std::int64_t>(0, now_ms - unix_ms) / 1000;
  if (seconds < 100) return fmt::format("{} s ago", seconds);
  if (seconds < 100 * 60) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 48 * 3600) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} d ago", seconds / 86'400);
}

std::string Bytes(double bytes) {
  constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, kUnits[unit]);
}

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = c == '\n' ? ' ' : '?';
  }
  return text;
}

}  // namespace selvedge
