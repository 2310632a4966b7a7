#include "gateway/aggregate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace selvedge {
namespace {

v1::Event RuleEvent(const std::string& rule, const std::string& kind, const std::string& state,
                    double value = 0, std::int64_t track = 1, const std::string& label = "person",
                    const std::string& zone = "yard") {
  v1::Event event;
  v1::DetectionRecord* detection = event.add_detections();
  detection->set_label(label);
  detection->set_track(track);
  v1::Decision* decision = event.mutable_decision();
  decision->set_rule(rule);
  decision->set_kind(kind);
  decision->set_state(state);
  decision->set_zone(zone);
  decision->set_track(track);
  decision->set_value(value);
  event.mutable_times()->set_total_us(20'000);
  return event;
}

v1::Aggregate Finished(const AggregateWindow& window) {
  return window.Finish(2000, "pi-1", "safety", "01HF7YAT00QFM7QZJ4C3CVTT2N");
}

TEST(AggregateWindowTest, CountsVisitsPerClassZoneAndRule) {
  AggregateWindow window(1000);
  window.Add(RuleEvent("intrusion", "zone", "enter"));
  window.Add(RuleEvent("intrusion", "zone", "leave"));
  window.Add(RuleEvent("intrusion", "zone", "enter", 0, 2));
  window.Add(RuleEvent("intrusion", "zone", "enter", 0, 3, "dog"));
  window.Add(RuleEvent("kerb", "line", "cross", 0, 4, "person", "kerb"));
  const v1::Aggregate aggregate = Finished(window);
  EXPECT_EQ(aggregate.begin_unix_ns(), 1000);
  EXPECT_EQ(aggregate.end_unix_ns(), 2000);
  EXPECT_EQ(aggregate.device(), "pi-1");
  EXPECT_EQ(aggregate.application(), "safety");
  EXPECT_EQ(aggregate.id(), "01HF7YAT00QFM7QZJ4C3CVTT2N");
  EXPECT_EQ(aggregate.events(), 5U);
  ASSERT_EQ(aggregate.counts_size(), 3);
  EXPECT_EQ(aggregate.counts(0).label(), "dog");
  EXPECT_EQ(aggregate.counts(0).count(), 1U);
  EXPECT_EQ(aggregate.counts(1).zone(), "kerb");
  EXPECT_EQ(aggregate.counts(1).count(), 1U);
  EXPECT_EQ(aggregate.counts(2).rule(), "intrusion");
  EXPECT_EQ(aggregate.counts(2).label(), "person");
  EXPECT_EQ(aggregate.counts(2).count(), 2U);
}

TEST(AggregateWindowTest, TheClassIsThatOfTheTrackThatFired) {
  v1::Event event = RuleEvent("r", "zone", "enter", 0, 7, "truck");
  v1::DetectionRecord* other = event.add_detections();
  other->set_label("person");
  other->set_track(8);
  AggregateWindow window(0);
  window.Add(event);
  EXPECT_EQ(Finished(window).counts(0).label(), "truck");
  // A count rule has no track: the class only where all that was seen is of one.
  event.mutable_decision()->set_track(0);
  AggregateWindow mixed(0);
  mixed.Add(event);
  EXPECT_EQ(Finished(mixed).counts(0).label(), "");
}

TEST(AggregateWindowTest, ARuleThatReportsEndsOnlyIsCountedByThem) {
  AggregateWindow window(0);
  window.Add(RuleEvent("left", "zone", "leave"));
  window.Add(RuleEvent("left", "zone", "leave", 0, 2));
  EXPECT_EQ(Finished(window).counts(0).count(), 2U);
}

TEST(AggregateWindowTest, AVisitThatEndsInTheNextWindowIsNotCountedAgain) {
  AggregateWindow first(0);
  first.Add(RuleEvent("r", "zone", "enter"));
  AggregateWindow second = first.NextWindow(1000);
  EXPECT_EQ(second.begin(), 1000);
  EXPECT_EQ(second.events(), 0U);
  second.Add(RuleEvent("r", "zone", "leave"));
  EXPECT_EQ(Finished(second).counts(0).count(), 0U);
}

TEST(AggregateWindowTest, EachSecondOfAStayIsSummedOnce) {
  AggregateWindow window(0);
  window.Add(RuleEvent("loiter", "dwell", "start", 5, 1));
  window.Add(RuleEvent("loiter", "dwell", "repeat", 10, 1));
  window.Add(RuleEvent("loiter", "dwell", "start", 5, 2));
  v1::Aggregate aggregate = Finished(window);
  EXPECT_EQ(aggregate.counts(0).count(), 2U);
  EXPECT_DOUBLE_EQ(aggregate.counts(0).dwell_seconds(), 15);
  AggregateWindow next = window.NextWindow(1000);
  next.Add(RuleEvent("loiter", "dwell", "end", 12.5, 1));
  next.Add(RuleEvent("loiter", "dwell", "end", 6, 2));
  aggregate = Finished(next);
  EXPECT_DOUBLE_EQ(aggregate.counts(0).dwell_seconds(), 3.5);
  EXPECT_EQ(aggregate.counts(0).count(), 0U);
  // The same track's next stay begins anew.
  AggregateWindow third = next.NextWindow(2000);
  third.Add(RuleEvent("loiter", "dwell", "start", 5, 1));
  EXPECT_DOUBLE_EQ(Finished(third).counts(0).dwell_seconds(), 5);
}

TEST(AggregateWindowTest, FrameRecordsAreEventsWithoutCounts) {
  AggregateWindow window(0);
  v1::Event record;
  record.mutable_times()->set_total_us(10'000);
  window.Add(record);
  EXPECT_EQ(Finished(window).events(), 1U);
  EXPECT_EQ(Finished(window).counts_size(), 0);
  EXPECT_NEAR(Finished(window).latency_p50_ms(), 10, 0.5);
}

TEST(AggregateWindowTest, MemoryIsBoundedAndNothingIsLeftOut) {
  AggregateWindow window(0);
  const std::string longest(100'000, 'x');
  for (int i = 0; i < 3000; ++i) {
    const std::string rule = (i % 2 == 0 ? longest : "") + std::to_string(i);
    window.Add(RuleEvent(rule, "dwell", "start", 1, i, "person", "z" + std::to_string(i)));
  }
  const v1::Aggregate aggregate = Finished(window);
  EXPECT_LE(static_cast<std::size_t>(aggregate.counts_size()), AggregateWindow::kMaxCounts);
  std::uint64_t count = 0;
  for (const v1::ZoneCount& zone : aggregate.counts()) count += zone.count();
  EXPECT_EQ(count, 3000U);
  const AggregateWindow::Stored stored = window.Store();
  EXPECT_LT(stored.counts.size() + stored.carried.size() + stored.latencies.size(), 250'000U);
}

TEST(AggregateWindowTest, NumbersThatCannotBeAreHarmless) {
  AggregateWindow window(0);
  window.Add(RuleEvent("r", "dwell", "start", std::nan("")));
  window.Add(RuleEvent("r", "dwell", "start", -std::numeric_limits<double>::infinity()));
  window.Add(RuleEvent("r", "dwell", "end", -5));
  EXPECT_DOUBLE_EQ(Finished(window).counts(0).dwell_seconds(), 0);
}

TEST(AggregateWindowTest, WhatIsStoredGoesOnWhereItWas) {
  AggregateWindow window(1000);
  window.Add(RuleEvent("loiter", "dwell", "start", 5, 1));
  window.Add(RuleEvent("intrusion", "zone", "enter"));
  Result<AggregateWindow> restored = AggregateWindow::Restore(window.Store());
  ASSERT_TRUE(restored.has_value()) << restored.error().ToString();
  for (AggregateWindow* each : {&window, &*restored}) {
    each->Add(RuleEvent("loiter", "dwell", "end", 8, 1));
    each->Add(RuleEvent("intrusion", "zone", "leave"));
  }
  EXPECT_EQ(Finished(*restored).SerializeAsString(), Finished(window).SerializeAsString());
  EXPECT_FALSE(AggregateWindow::Restore({"\xff", "", ""}).has_value());
  EXPECT_FALSE(AggregateWindow::Restore({"", "x", ""}).has_value());
  EXPECT_FALSE(AggregateWindow::Restore({"", "", "\xff"}).has_value());
}

TEST(LatencySketchTest, PercentilesAreWithinFivePercentOfTheTruth) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> latency(10, 1.5);  // µs
  LatencySketch sketch;
  std::vector<double> all;
  for (int i = 0; i < 20'000; ++i) {
    const auto micros = static_cast<std::uint64_t>(latency(random)) + 1;
    sketch.Add(micros);
    all.push_back(static_cast<double>(micros) / 1000);
  }
  std::ranges::sort(all);
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 100.0}) {
    const double truth =
        all[static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(all.size()))) -
            1];
    EXPECT_NEAR(sketch.PercentileMillis(percent), truth, truth * 0.05) << percent;
  }
  EXPECT_EQ(LatencySketch().PercentileMillis(50), 0);
}

TEST(LatencySketchTest, EndsOfTheScale) {
  LatencySketch sketch;
  sketch.Add(0);
  EXPECT_NEAR(sketch.PercentileMillis(50), 0.001, 1e-9);
  LatencySketch longest;
  longest.Add(UINT64_MAX);
  EXPECT_NEAR(longest.PercentileMillis(50), 3'600'000, 3'600'000 * 0.05);
}

TEST(LatencySketchTest, IsReadBackAndNothingElseIs) {
  LatencySketch sketch;
  for (const std::uint64_t micros : {1ULL, 20'000ULL, 20'000ULL, 3'600'000'000ULL}) {
    sketch.Add(micros);
  }
  EXPECT_EQ(LatencySketch::Parse(sketch.ToText())->ToText(), sketch.ToText());
  EXPECT_EQ(LatencySketch::Parse("")->count(), 0U);
  for (const char* text : {"x", "1", "1:", ":1", "1:0", "1:1 ", " 1:1", "1:1 1:1", "999:1", "1:-1",
                           "1:1,2:1", "70000:1", "1:99999999999"}) {
    EXPECT_FALSE(LatencySketch::Parse(text).has_value()) << text;
  }
}

TEST(PassesRawTest, ThePolicySaysWhichEventsGoOn) {
  const v1::Event rule = RuleEvent("r", "zone", "enter");
  const v1::Event frame;
  using Policy = v1::GatewayPolicy;
  EXPECT_TRUE(PassesRaw(Policy::RAW_UNSPECIFIED, rule));
  EXPECT_FALSE(PassesRaw(Policy::RAW_UNSPECIFIED, frame));
  EXPECT_TRUE(PassesRaw(Policy::RULES, rule));
  EXPECT_FALSE(PassesRaw(Policy::RULES, frame));
  EXPECT_FALSE(PassesRaw(Policy::NONE, rule));
  EXPECT_TRUE(PassesRaw(Policy::ALL, frame));
  EXPECT_FALSE(PassesRaw(static_cast<Policy::Raw>(99), frame));
}

}  // namespace
}  // namespace selvedge
