#include "vision/hungarian.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace selvedge {

Assignment::Assignment(int max_rows, int max_cols) {
  const auto rows = static_cast<std::size_t>(std::max(max_rows, 0));
  const auto cols = static_cast<std::size_t>(std::max(max_cols, 0));
  const std::size_t longer = std::max(rows, cols);
  weight_.reserve(rows * cols);
  kept_rows_.reserve(rows);
  kept_cols_.reserve(cols);
  row_open_.reserve(rows);
  col_open_.reserve(cols);
  row_potential_.reserve(longer);
  col_potential_.reserve(longer);
  row_of_col_.reserve(longer);
  distance_.reserve(longer);
  previous_col_.reserve(longer);
  settled_.reserve(longer);
  result_.reserve(rows);
}

void Assignment::Compact(std::span<const float> cost, int rows, int cols, float gate) {
  row_open_.assign(static_cast<std::size_t>(rows), 0);
  col_open_.assign(static_cast<std::size_t>(cols), 0);
  for (int r = 0; r < rows; ++r) {
    const float* line = cost.data() + static_cast<std::ptrdiff_t>(r) * cols;
    for (int c = 0; c < cols; ++c) {
      if (line[c] < gate) row_open_[r] = col_open_[c] = 1;
    }
  }
  kept_rows_.clear();
  kept_cols_.clear();
  for (int r = 0; r < rows; ++r) {
    if (row_open_[r]) kept_rows_.push_back(r);
  }
  for (int c = 0; c < cols; ++c) {
    if (col_open_[c]) kept_cols_.push_back(c);
  }
  const bool turned = kept_rows_.size() > kept_cols_.size();
  const auto& tall = turned ? kept_cols_ : kept_rows_;
  const auto& wide = turned ? kept_rows_ : kept_cols_;
  height_ = static_cast<int>(tall.size());
  width_ = static_cast<int>(wide.size());
  weight_.clear();
  for (const int i : tall) {
    for (const int j : wide) {
      const std::ptrdiff_t r = turned ? j : i;
      const std::ptrdiff_t c = turned ? i : j;
      const float value = cost[r * cols + c];
      // A cost of minus infinity would poison the potentials; it is as good as the lowest number.
      constexpr double kLowest = -1e30;
      weight_.push_back(value < gate ? std::max(static_cast<double>(value) - gate, kLowest) : 0.0);
    }
  }
}

// Dijkstra over reduced costs from `row` to the nearest free column, then flips the path's pairs.
void Assignment::Augment(int row) {
  constexpr double kFar = std::numeric_limits<double>::infinity();
  std::fill(distance_.begin(), distance_.end(), kFar);
  std::fill(settled_.begin(), settled_.end(), 0);
  int from_row = row;
  int from_col = -1;
  double travelled = 0;
  int end = -1;
  while (end < 0) {
    const double* line = weight_.data() + static_cast<std::ptrdiff_t>(from_row) * width_;
    int nearest = -1;
    for (int j = 0; j < width_; ++j) {
      if (settled_[j]) continue;
      const double length = travelled + line[j] - row_potential_[from_row] - col_potential_[j];
      if (length < distance_[j]) {
        distance_[j] = length;
        previous_col_[j] = from_col;
      }
      if (nearest < 0 || distance_[j] < distance_[nearest]) nearest = j;
    }
    settled_[nearest] = 1;
    travelled = distance_[nearest];
    if (row_of_col_[nearest] < 0) {
      end = nearest;
    } else {
      from_col = nearest;
      from_row = row_of_col_[nearest];
    }
  }
  // Keep every reduced cost non-negative, and zero on the pairs.
  row_potential_[row] += travelled;
  for (int j = 0; j < width_; ++j) {
    if (!settled_[j] || j == end) continue;
    row_potential_[row_of_col_[j]] += travelled - distance_[j];
    col_potential_[j] -= travelled - distance_[j];
  }
  for (int j = end; j >= 0;) {
    const int before = previous_col_[j];
    row_of_col_[j] = before >= 0 ? row_of_col_[before] : row;
    j = before;
  }
}

std::span<const int> Assignment::Solve(std::span<const float> cost, int rows, int cols,
                                       float gate) {
  assert(rows >= 0 && cols >= 0);
  assert(cost.size() >= static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols));
  result_.assign(static_cast<std::size_t>(rows), -1);
  Compact(cost, rows, cols, gate);
  const auto height = static_cast<std::size_t>(height_);
  const auto width = static_cast<std::size_t>(width_);
  row_potential_.assign(height, 0);
  col_potential_.assign(width, 0);
  row_of_col_.assign(width, -1);
  distance_.resize(width);
  previous_col_.assign(width, -1);
  settled_.resize(width);
  for (int i = 0; i < height_; ++i) Augment(i);
  const bool turned = kept_rows_.size() > kept_cols_.size();
  for (int j = 0; j < width_; ++j) {
    const int i = row_of_col_[j];
    if (i < 0 || !(weight_[static_cast<std::size_t>(i) * width + static_cast<std::size_t>(j)] < 0))
      continue;
    if (turned) {
      result_[kept_rows_[j]] = kept_cols_[i];
    } else {
      result_[kept_rows_[i]] = kept_cols_[j];
    }
  }
  return result_;
}

}  // namespace selvedge
