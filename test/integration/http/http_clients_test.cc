// The HTTP side of a pipeline against clients that others wrote, and against hostile ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "net/http_test_client.h"
#include "process.h"
#include "synthetic_view.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpClientsTest : public ::testing::Test {
 protected:
  std::string Url(const std::string& path) {
    return "http://localhost:" + std::to_string(pipeline_.port()) + path;
  }
  ProcessResult Curl(const std::string& arguments) {
    return RunShell("curl --silent --show-error --max-time 20 " + arguments + " 2>&1");
  }
  SyntheticView pipeline_;
};

class CurlTest : public HttpClientsTest {
 protected:
  void SetUp() override {
    if (!HasProgram("curl")) GTEST_SKIP() << "curl is not installed";
  }
};

TEST_F(CurlTest, ReadsEveryRoute) {
  for (const char* path : {"/", "/healthz", "/readyz", "/metrics", "/api/status", "/api/events"}) {
    // Ready only once the first frame was decided: until then 503, which curl tries again.
    const ProcessResult result = Curl("--fail --retry 15 --retry-delay 1 " + Url(path));
    EXPECT_EQ(result.exit_code, 0) << path << ": " << result.output;
    EXPECT_FALSE(result.output.empty()) << path;
  }
  EXPECT_EQ(Curl("--fail " + Url("/nothing")).exit_code, 22);
}

TEST_F(CurlTest, ReusesItsConnection) {
  const ProcessResult result = Curl("--verbose " + Url("/healthz") + " " + Url("/readyz"));
  EXPECT_THAT(result.output, HasSubstr("Re-using existing connection"));
}

TEST_F(CurlTest, SpeaksOldHttpAndHead) {
  EXPECT_THAT(Curl("--http1.0 " + Url("/healthz")).output, HasSubstr("ok"));
  EXPECT_THAT(Curl("--head " + Url("/healthz")).output, StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(CurlTest, IsToldThatABodyIsTooLarge) {
  const ProcessResult result = RunShell(
      "head -c 3000000 /dev/zero | curl --silent --max-time 20 --output /dev/null --write-out "
      "'%{http_code}' --request GET --data-binary @- --header 'Expect:' " +
      Url("/healthz"));
  EXPECT_THAT(result.output, StartsWith("413"));
  EXPECT_THAT(Curl(Url("/healthz")).output, HasSubstr("ok"));
}

TEST_F(CurlTest, IsRefusedUnderAForeignName) {
  const std::string port = std::to_string(pipeline_.port());
  const ProcessResult result =
      Curl("--output /dev/null --write-out '%{http_code}' --resolve evil.example:" + port +
           ":127.0.0.1 http://evil.example:" + port + "/snapshot.jpg");
  EXPECT_EQ(result.output, "421");
}

TEST_F(CurlTest, SavesASnapshotAndAStreamOfPictures) {
  EXPECT_EQ(Curl("--fail " + Url("/snapshot.jpg")).output.substr(0, 3), "\xff\xd8\xff");
  const ProcessResult stream = Curl("--max-time 2 --no-buffer " + Url("/live.mjpg"));
  int pictures = 0;
  for (std::size_t at = 0; (at = stream.output.find("\xff\xd8\xff", at)) != std::string::npos;
       ++at) {
    ++pictures;
  }
  EXPECT_GE(pictures, 2);
}

// promtool from tools/setup, else the machine's own; empty where there is none.
std::string Promtool() {
  std::string unpacked = SELVEDGE_SOURCE_DIR "/.deps/bin/promtool";
  if (access(unpacked.c_str(), X_OK) == 0) return unpacked;
  return HasProgram("promtool") ? "promtool" : "";
}

TEST_F(CurlTest, PrometheusFindsNoFaultInTheClassicMetrics) {
  const std::string promtool = Promtool();
  if (promtool.empty()) GTEST_SKIP() << "promtool is not installed";
  const ProcessResult result =
      RunShell("curl --silent --header 'Accept: text/plain;version=0.0.4' " + Url("/metrics") +
               " | " + promtool + " check metrics 2>&1");
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_EQ(result.output, "");
}

TEST_F(CurlTest, TheReferenceParserReadsTheOpenMetrics) {
  if (RunShell("/usr/bin/python3 -c 'import prometheus_client.openmetrics.parser' 2>/dev/null")
          .exit_code != 0) {
    GTEST_SKIP() << "Python's prometheus_client is not installed";
  }
  const ProcessResult result = RunShell(
      "curl --silent " + Url("/metrics") +
      " | /usr/bin/python3 -c 'import sys; from prometheus_client.openmetrics import parser; "
      "print(len(list(parser.text_string_to_metric_families(sys.stdin.read()))))' 2>&1");
  EXPECT_EQ(result.output, "2\n");
}

TEST_F(HttpClientsTest, AHundredClientsThatSayNothingLockOutNobodyForLong) {
  std::vector<TestClient> silent;
  for (int i = 0; i < 100; ++i) {
    silent.emplace_back(pipeline_.port());
    ASSERT_TRUE(silent.back().connected());
    silent.back().Send("GET /heal");
  }
  int refused = 0;
  for (std::size_t i = 64; i < silent.size(); ++i) {
    refused += silent[i].ReadUntil("\r\n").starts_with("HTTP/1.1 503 ") ? 1 : 0;
  }
  EXPECT_EQ(refused, 36);
  // Those inside are served as soon as they finish what they began.
  for (std::size_t i = 0; i < 64; ++i) {
    silent[i].Send("thz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(silent[i].ReadResponse(), StartsWith("HTTP/1.1 200 ")) << i;
  }
  silent.clear();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (pipeline_.server().connections() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  TestClient client(pipeline_.port());
  client.Get("/healthz");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpClientsTest, AWatcherThatNeverReadsStallsNoOther) {
  TestClient deaf(pipeline_.port());
  deaf.Get("/live.mjpg");
  TestClient good(pipeline_.port());
  good.Get("/live.mjpg");
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(good.ReadUntil("--selvedge-picture\r\n"), HasSubstr("--selvedge-picture"));
  }
  EXPECT_EQ(pipeline_.view().counts().failed, 0u);
}

TEST_F(HttpClientsTest, NoiseIsAnsweredOrClosedAndNothingElse) {
  // Random bytes from a fixed seed, and requests with one byte changed.
  std::uint32_t state = 20'240'607;
  const auto next = [&] { return state = state * 1'664'525 + 1'013'904'223, state >> 16; };
  const std::string request =
      "POST /api/status?x=%41 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nConnection: "
      "close\r\n\r\nbody";
  for (int i = 0; i < 300; ++i) {
    std::string bytes = request;
    if (i % 3 == 0) {
      for (char& c : bytes) c = static_cast<char>(next());
    } else {
      bytes[next() % bytes.size()] = static_cast<char>(next());
    }
    TestClient client(pipeline_.port());
    client.Send(bytes);
    ::shutdown(client.fd(), SHUT_WR);
    const std::string answer = client.ReadAll();
    EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer;
  }
  TestClient client(pipeline_.port());
  client.Get("/healthz");
  EXPECT_THAT(client.ReadResponse(), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace selvedge
