#include "device/publish/device_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "net/http_test_client.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Source = PipelineStatus::Source;

PipelineStatus Running() {
  PipelineStatus status;
  status.pipeline = "gate";
  status.source = "rtsp://user:secret@camera/1";
  status.source_state = Source::kRunning;
  status.last_frame_age_seconds = 0.04;
  status.frames_per_second = 29.97042;
  status.ledger.in = 100;
  status.ledger.local = 90;
  status.ledger.dropped[static_cast<std::size_t>(DropReason::kStale)] = 7;
  status.counts = {{"person", 3}, {"dog", 1}};
  return status;
}

TEST(DeviceStatusTest, ToJsonSaysItAllAndHidesSecrets) {
  const auto json = nlohmann::json::parse(ToJson(Running()));
  EXPECT_EQ(json["pipeline"], "gate");
  EXPECT_EQ(json["source"]["state"], "running");
  EXPECT_THAT(json["source"]["uri"].get<std::string>(), Not(HasSubstr("secret")));
  EXPECT_EQ(json["fps"], 29.97);
  EXPECT_EQ(json["ledger"]["in_flight"], 3);
  EXPECT_EQ(json["ledger"]["dropped"]["stale"], 7);
  EXPECT_EQ(json["counts"]["person"], 3);
  EXPECT_EQ(json["last_frame_age_s"], 0.04);
}

TEST(DeviceStatusTest, ToJsonSurvivesOddValues) {
  PipelineStatus status;
  status.pipeline = "bad \xff\xc3 utf-8 \" \n";
  status.frames_per_second = std::numeric_limits<double>::quiet_NaN();
  status.latency_p50_ms = std::numeric_limits<double>::infinity();
  status.ledger.local = 5;  // read between two counters: more accounted for than came in
  const auto json = nlohmann::json::parse(ToJson(status));
  EXPECT_TRUE(json["fps"].is_null());
  EXPECT_TRUE(json["latency_ms"]["p50"].is_null());
  EXPECT_TRUE(json["last_frame_age_s"].is_null());
  EXPECT_EQ(json["ledger"]["in_flight"], 0);
}

TEST(DeviceStatusTest, ReadyMeansFramesCome) {
  PipelineStatus status = Running();
  EXPECT_TRUE(ReadinessOf(status).ready);
  status.last_frame_age_seconds = 11;
  EXPECT_THAT(ReadinessOf(status).reason, HasSubstr("no frame for 11 seconds"));
  EXPECT_TRUE(ReadinessOf(status, 12).ready);
  status.last_frame_age_seconds = -1;
  EXPECT_THAT(ReadinessOf(status).reason, HasSubstr("no frame has been decided yet"));
  status = Running();
  status.source_state = Source::kFailed;
  status.source_detail = "no such host";
  EXPECT_THAT(ReadinessOf(status).reason, HasSubstr("no such host"));
  status.source_state = Source::kEnded;
  EXPECT_TRUE(ReadinessOf(status).ready);
  // A camera that went a moment ago is no reason to restart anything.
  status = Running();
  status.source_state = Source::kReconnecting;
  EXPECT_TRUE(ReadinessOf(status).ready);
}

TEST(DeviceStatusTest, ClassicMetricsNameCountersInFull) {
  EXPECT_EQ(ToClassicMetrics("# TYPE a counter\n"
                             "# HELP a What a counts.\n"
                             "a_total{x=\"# TYPE a counter\"} 1\n"
                             "# UNIT b_seconds seconds\n"
                             "# TYPE b_seconds histogram\n"
                             "b_seconds_bucket{le=\"+Inf\"} 2\n"
                             "# EOF\n"),
            "# TYPE a_total counter\n"
            "# HELP a_total What a counts.\n"
            "a_total{x=\"# TYPE a counter\"} 1\n"
            "# TYPE b_seconds histogram\n"
            "b_seconds_bucket{le=\"+Inf\"} 2\n");
  EXPECT_EQ(ToClassicMetrics(""), "");
}

class DeviceStatusRoutesTest : public ::testing::Test {
 protected:
  DeviceStatusRoutesTest() : server_(Options()) {}
  static HttpServerOptions Options() {
    HttpServerOptions options;
    options.port = 0;
    return options;
  }
  std::string Get(std::string_view path, std::string_view headers = "") {
    TestClient client(server_.port());
    client.Get(path, headers);
    return client.ReadResponse();
  }
  HttpServer server_;
};

TEST_F(DeviceStatusRoutesTest, Answers) {
  MetricsRegistry metrics;
  metrics.AddCounter("selvedge_test_frames", "Frames.").Add(3);
  std::atomic<bool> ready{true};
  AddDeviceStatus(&server_, {.metrics = [&] { return metrics.Render(); },
                             .status =
                                 [&] {
                                   PipelineStatus status = Running();
                                   if (!ready) status.last_frame_age_seconds = -1;
                                   return status;
                                 }});
  ASSERT_TRUE(server_.Start().ok());
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 200 "));
  ready = false;
  EXPECT_THAT(Get("/readyz"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Get("/api/status"), HasSubstr("Content-Type: application/json\r\n"));

  EXPECT_THAT(Get("/metrics"), HasSubstr("Content-Type: application/openmetrics-text"));
  EXPECT_THAT(Get("/metrics"), HasSubstr("# TYPE selvedge_test_frames counter\n"));
  const std::string prometheus =
      Get("/metrics",
          "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5\r\n");
  EXPECT_THAT(prometheus, HasSubstr("# EOF"));
  const std::string classic = Get("/metrics", "Accept: text/plain;version=0.0.4\r\n");
  EXPECT_THAT(classic, HasSubstr("Content-Type: text/plain; version=0.0.4"));
  EXPECT_THAT(classic, HasSubstr("# TYPE selvedge_test_frames_total counter\n"));
  EXPECT_THAT(Get("/metrics", "Accept: text/html,*/*;q=0.8\r\n"), HasSubstr("text/plain"));
}

TEST_F(DeviceStatusRoutesTest, LeavesOutWhatHasNoProvider) {
  AddDeviceStatus(&server_, {});
  ASSERT_TRUE(server_.Start().ok());
  EXPECT_THAT(Get("/healthz"), StartsWith("HTTP/1.1 200 "));
  for (const char* path : {"/readyz", "/metrics", "/api/status"}) {
    EXPECT_THAT(Get(path), StartsWith("HTTP/1.1 404 ")) << path;
  }
}

}  // namespace
}  // namespace selvedge
