#include "cloud/fleet/series.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using testing::DoubleNear;
using testing::Optional;

constexpr Nanos kStart = 1'700'000'000 * kSecond;

TEST(SeriesTable, KeepsValuesToATenthOfAPerCent) {
  for (const double value : {0.0, 0.5, 9.97, 123.4, 98'765.0}) {
    SeriesTable table;
    table.Add("d", "a/s", kStart, {.fps = value, .p50_ms = value, .p99_ms = value});
    const auto window = table.Read("d", kStart, 1);
    EXPECT_THAT(window.services.at("a/s").fps.back(),
                Optional(DoubleNear(value, value * 1e-3 + 1e-3)));
    EXPECT_THAT(window.services.at("a/s").p99.back(),
                Optional(DoubleNear(value, value * 1e-3 + 1e-3)));
  }
}

TEST(SeriesTable, StepsThatWereNotHeardAreNothing) {
  SeriesTable table;
  table.Add("d", "a/s", kStart, {.fps = 10});
  table.Add("d", "a/s", kStart + 20 * kSecond, {.fps = 12});
  const auto window = table.Read("d", kStart + 25 * kSecond, 1);
  const auto& fps = window.services.at("a/s").fps;
  ASSERT_EQ(fps.size(), 12U);
  EXPECT_EQ(window.begin_ms, (kStart + 25 * kSecond) / kMillisecond - 55'000);
  EXPECT_EQ(fps[11], std::nullopt);
  EXPECT_THAT(fps[10], Optional(DoubleNear(12, 0.1)));
  EXPECT_EQ(fps[9], std::nullopt);
  EXPECT_THAT(fps[6], Optional(DoubleNear(10, 0.1)));
  EXPECT_EQ(fps[5], std::nullopt);
}

TEST(SeriesTable, DroppedFramesAreCountedByStepAndOverARestart) {
  SeriesTable table;
  table.Add("d", "a/s", kStart, {.dropped = 100});
  table.Add("d", "a/s", kStart + 5 * kSecond, {.dropped = 103});
  table.Add("d", "a/s", kStart + 7 * kSecond, {.dropped = 105});  // the same step
  table.Add("d", "a/s", kStart + 10 * kSecond, {.dropped = 2});   // began anew
  const auto window = table.Read("d", kStart + 10 * kSecond, 1);
  const auto& dropped = window.services.at("a/s").dropped;
  EXPECT_THAT(dropped[9], Optional(DoubleNear(0, 0.01)));
  EXPECT_THAT(dropped[10], Optional(DoubleNear(5, 0.01)));
  EXPECT_THAT(dropped[11], Optional(DoubleNear(2, 0.01)));
}

TEST(SeriesTable, HoldsAnHourAndNoOldValueComesBack) {
  SeriesTable table;
  table.Add("d", "a/s", kStart, {.fps = 10});
  table.Add("d", "a/s", kStart + 3600 * kSecond, {.fps = 20});
  const auto window = table.Read("d", kStart + 3600 * kSecond, 60);
  const auto& fps = window.services.at("a/s").fps;
  ASSERT_EQ(fps.size(), 720U);
  EXPECT_THAT(fps.back(), Optional(DoubleNear(20, 0.1)));
  for (std::size_t i = 0; i + 1 < fps.size(); ++i) EXPECT_EQ(fps[i], std::nullopt) << i;
  EXPECT_TRUE(table.Read("d", kStart + 8000 * kSecond, 60).services.empty());
}

TEST(SeriesTable, ASteppedBackClockBeginsAnew) {
  SeriesTable table;
  table.Add("d", "a/s", kStart, {.fps = 10});
  table.Add("d", "a/s", kStart - 3000 * kSecond, {.fps = 20});
  EXPECT_THAT(table.Read("d", kStart - 3000 * kSecond, 1).services.at("a/s").fps.back(),
              Optional(DoubleNear(20, 0.1)));
}

TEST(SeriesTable, IsBoundedAndForgets) {
  SeriesTable table;
  for (std::size_t i = 0; i < SeriesTable::kMaxServices + 5; ++i) {
    table.Add("d" + std::to_string(i), "a/s", kStart + static_cast<Nanos>(i) * 5 * kSecond,
              {.fps = 1});
  }
  EXPECT_EQ(table.size(), SeriesTable::kMaxServices);
  const Nanos now = kStart + 6005 * 5 * kSecond;
  EXPECT_TRUE(table.Read("d0", now, 60).services.empty());
  EXPECT_FALSE(table.Read("d6004", now, 60).services.empty());
  table.Forget("d6004");
  EXPECT_TRUE(table.Read("d6004", now, 60).services.empty());
}

}  // namespace
}  // namespace selvedge
