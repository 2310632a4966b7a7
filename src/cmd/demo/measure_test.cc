#include "cmd/demo/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge::demo {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(MetricSumTest, AddsSamplesOfOneMetricOnly) {
  const std::string text =
      "# TYPE a_total counter\na_total 3\na_total{link=\"x\"} 4.5\na_total_more 100\nb_total 7\n"
      "a_total rubbish\na_totalrubbish 9\n";
  EXPECT_DOUBLE_EQ(MetricSum(text, "a_total"), 7.5);
  EXPECT_DOUBLE_EQ(MetricSum(text, "c_total"), 0);
  EXPECT_DOUBLE_EQ(MetricSum("", "a_total"), 0);
}

TEST(QuantileTest, IsOneOfTheValues) {
  EXPECT_DOUBLE_EQ(Quantile({}, 0.5), 0);
  EXPECT_DOUBLE_EQ(Quantile({3, 1, 2}, 0.5), 2);
  EXPECT_DOUBLE_EQ(Quantile({3, 1, 2}, 0.99), 3);
  EXPECT_DOUBLE_EQ(Quantile({3, 1, 2}, 0), 1);
}

Measured Example() {
  Measured measured;
  DeviceResult device;
  device.name = "jetson-1";
  device.hardware = "jetson";
  device.accepted = 100;
  device.services = nlohmann::json::parse(R"([{"application": "safety-monitor", "pipeline":
      {"fps": 10, "p50_ms": 9, "p99_ms": 21, "engine": "openvino",
       "ledger": {"in": 500, "local": 490, "dropped": {"stale": 7, "queue_full": 1}}}}])");
  measured.devices = {device};
  measured.drained = {device};
  measured.events.rows = 99;
  measured.events.distinct = 98;
  measured.outage = {"pi-1", 1000, 13'000};
  measured.watched_seconds = 10;
  measured.uplink = {6000, 3000};
  measured.h264_bytes_per_second = 90'000;
  measured.cameras = 1;
  return measured;
}

TEST(ReportTest, CountsWhatIsLostDoubledAndSaved) {
  const nlohmann::json metrics = ReportJson(Example())["metrics"];
  EXPECT_EQ(metrics["devices"]["value"], 1);
  EXPECT_EQ(metrics["events_lost"]["value"], 2);
  EXPECT_EQ(metrics["events_doubled"]["value"], 1);
  EXPECT_EQ(metrics["frames_in"]["value"], 500);
  EXPECT_EQ(metrics["frames_dropped"]["value"], 8);
  EXPECT_DOUBLE_EQ(metrics["uplink_bytes_per_second"]["value"], 900);
  EXPECT_DOUBLE_EQ(metrics["data_reduction_vs_h264"]["value"], 99);
}

TEST(ReportTest, WhatWasNotMeasuredIsNotShown) {
  Measured measured = Example();
  measured.h264_bytes_per_second = 0;
  EXPECT_FALSE(ReportJson(measured)["metrics"].contains("data_reduction_vs_h264"));
  EXPECT_THAT(ReportText(measured, "http://x"), Not(HasSubstr("H.264")));
  measured.uplink = {};
  EXPECT_THAT(ReportText(measured, "http://x"), Not(HasSubstr("uplink")));
}

TEST(ReportTest, SaysWhatWasSimulated) {
  const std::string text = ReportText(Example(), "http://localhost:8080/");
  EXPECT_THAT(text, HasSubstr("What was simulated"));
  EXPECT_THAT(text, HasSubstr("99.0 % less"));
  EXPECT_THAT(text, HasSubstr("pi-1 was cut off for 12 s"));
}

}  // namespace
}  // namespace selvedge::demo
