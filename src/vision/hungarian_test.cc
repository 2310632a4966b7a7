#include "vision/hungarian.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace selvedge {
namespace {

std::size_t Index(int row, int cols, int col) {
  return static_cast<std::size_t>(row) * static_cast<std::size_t>(cols) +
         static_cast<std::size_t>(col);
}

// The most that any partial pairing of rows [row, rows) gains, columns in `used` taken.
double BestGain(const std::vector<float>& cost, int rows, int cols, float gate, int row, int used) {
  if (row == rows) return 0;
  double best = BestGain(cost, rows, cols, gate, row + 1, used);
  for (int c = 0; c < cols; ++c) {
    const float value = cost[Index(row, cols, c)];
    if ((used & (1 << c)) != 0 || !(value < gate)) continue;
    const double gain = static_cast<double>(gate) - value +
                        BestGain(cost, rows, cols, gate, row + 1, used | (1 << c));
    best = std::max(best, gain);
  }
  return best;
}

// Checks that `result` is a legal pairing and returns what it gains.
double Gain(const std::vector<float>& cost, std::span<const int> result, int cols, float gate) {
  double gain = 0;
  std::vector<bool> used(static_cast<std::size_t>(cols), false);
  for (std::size_t r = 0; r < result.size(); ++r) {
    const int c = result[r];
    if (c < 0) continue;
    EXPECT_LT(c, cols);
    EXPECT_FALSE(used[static_cast<std::size_t>(c)]) << "column " << c << " was given twice";
    used[static_cast<std::size_t>(c)] = true;
    const float value = cost[r * static_cast<std::size_t>(cols) + static_cast<std::size_t>(c)];
    EXPECT_LT(value, gate);
    gain += static_cast<double>(gate) - value;
  }
  return gain;
}

TEST(AssignmentTest, EmptyProblems) {
  Assignment assignment;
  EXPECT_TRUE(assignment.Solve({}, 0, 0, 1).empty());
  EXPECT_TRUE(assignment.Solve({}, 0, 3, 1).empty());
  const auto result = assignment.Solve({}, 2, 0, 1);
  EXPECT_EQ(std::vector<int>(result.begin(), result.end()), (std::vector<int>{-1, -1}));
}

TEST(AssignmentTest, GreedyWouldBeWrong) {
  // Greedy takes 0.1 and leaves 0.9 (gain 1.0 of 2 - ...); the best is 0.2 + 0.2.
  const std::vector<float> cost = {0.1F, 0.2F, 0.2F, 0.9F};
  Assignment assignment;
  const auto result = assignment.Solve(cost, 2, 2, 1);
  EXPECT_EQ(std::vector<int>(result.begin(), result.end()), (std::vector<int>{1, 0}));
}

TEST(AssignmentTest, APairAtTheGateIsNotAllowed) {
  const std::vector<float> cost = {0.5F};
  Assignment assignment;
  EXPECT_EQ(assignment.Solve(cost, 1, 1, 0.5F)[0], -1);
  EXPECT_EQ(assignment.Solve(cost, 1, 1, 0.51F)[0], 0);
}

TEST(AssignmentTest, NanAndInfinityAreNeverPaired) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> cost = {std::nanf(""), 0.3F, inf, std::nanf("")};
  Assignment assignment;
  const auto result = assignment.Solve(cost, 2, 2, 1);
  EXPECT_EQ(std::vector<int>(result.begin(), result.end()), (std::vector<int>{1, -1}));
}

TEST(AssignmentTest, MinusInfinityIsJustVeryCheap) {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> cost = {-inf, 0.3F, -inf, 0.1F};
  Assignment assignment;
  const auto result = assignment.Solve(cost, 2, 2, 1);
  std::vector<int> columns(result.begin(), result.end());
  std::ranges::sort(columns);
  EXPECT_EQ(columns, (std::vector<int>{0, 1}));
}

TEST(AssignmentTest, AsGoodAsBruteForceOnRandomMatrices) {
  std::mt19937 random(20221);
  Assignment assignment(7, 7);
  for (int round = 0; round < 4000; ++round) {
    const int rows = 1 + static_cast<int>(random() % 7);
    const int cols = 1 + static_cast<int>(random() % 7);
    std::vector<float> cost(Index(rows, cols, 0));
    // Few distinct values make many ties; negative costs and NaN must do no harm.
    const bool coarse = round % 2 == 0;
    for (float& value : cost) {
      value = coarse ? static_cast<float>(random() % 5) / 4
                     : static_cast<float>(random() % 10000) / 5000 - 0.5F;
      if (random() % 20 == 0) value = std::nanf("");
    }
    const float gate = static_cast<float>(random() % 120) / 100;
    const auto result = assignment.Solve(cost, rows, cols, gate);
    ASSERT_NEAR(Gain(cost, result, cols, gate), BestGain(cost, rows, cols, gate, 0, 0), 1e-5)
        << "round " << round << ", " << rows << "x" << cols << ", gate " << gate;
  }
}

TEST(AssignmentTest, TurningTheProblemGainsTheSame) {
  std::mt19937 random(7);
  Assignment assignment;
  for (int round = 0; round < 50; ++round) {
    const int rows = 1 + static_cast<int>(random() % 60);
    const int cols = 1 + static_cast<int>(random() % 60);
    std::vector<float> cost(Index(rows, cols, 0));
    std::vector<float> turned(cost.size());
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        const float value = static_cast<float>(random() % 100000) / 100000;
        cost[Index(r, cols, c)] = value;
        turned[Index(c, rows, r)] = value;
      }
    }
    const double one = Gain(cost, assignment.Solve(cost, rows, cols, 0.4F), cols, 0.4F);
    const double other = Gain(turned, assignment.Solve(turned, cols, rows, 0.4F), rows, 0.4F);
    EXPECT_NEAR(one, other, 1e-4);
  }
}

}  // namespace
}  // namespace selvedge
