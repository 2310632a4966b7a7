#pragma once

// Assignment: pairs rows with columns at least total cost, exactly, where some pairs are not
// allowed and anything may stay unpaired.
//
// The Hungarian method (Kuhn 1955) as successive shortest augmenting paths over dual potentials
// (Jonker and Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
// assignment problems", Computing 38, 1987), O(min(rows, cols)^2 x max(rows, cols)); rows and
// columns without an allowed pair cost nothing. Ties are broken by index, so the result is a
// function of the input.
//
// Keeps its working memory: nothing is allocated by Solve up to the size it was constructed for.
// Not thread-safe.

#include <cstddef>
#include <span>
#include <vector>

namespace selvedge {

class Assignment {
 public:
  Assignment() = default;
  // Sets memory aside for problems of up to that many rows and columns.
  Assignment(int max_rows, int max_cols);

  // `cost` is row-major, rows x cols. A pair is allowed if its cost is below `gate` (NaN never is).
  // Of all partial pairings of allowed pairs, one that maximises sum(gate - cost) is found: that
  // is, the least total cost where each unpaired couple of row and column costs `gate`. Returns the
  // column of each row, -1 where it has none; valid until the next call.
  std::span<const int> Solve(std::span<const float> cost, int rows, int cols, float gate);

 private:
  void Compact(std::span<const float> cost, int rows, int cols, float gate);
  void Augment(int row);

  // The problem without the rows and columns that cannot be paired, turned so that height_ <=
  // width_: weight_[i * width_ + j] = min(cost - gate, 0). A complete assignment of it always
  // exists, and its pairs of negative weight are the best partial pairing.
  std::vector<double> weight_;
  int height_ = 0;
  int width_ = 0;
  std::vector<int> kept_rows_;
  std::vector<int> kept_cols_;
  std::vector<char> row_open_;
  std::vector<char> col_open_;

  std::vector<double> row_potential_;
  std::vector<double> col_potential_;
  std::vector<int> row_of_col_;    // of the compact problem; -1 free
  std::vector<double> distance_;   // reduced length of the shortest path to each column
  std::vector<int> previous_col_;  // on that path; -1 where it comes straight from the starting row
  std::vector<char> settled_;
  std::vector<int> result_;
};

}  // namespace selvedge
