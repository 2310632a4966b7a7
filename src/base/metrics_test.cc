#include "base/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(Metrics, RendersEveryTypeAsOpenMetrics) {
  MetricsRegistry registry;
  registry.AddCounter("selvedge_frames", "Frames captured.", {{"source", "gate"}}).Add(7);
  registry.AddGauge("selvedge_queue_bytes", "Bytes waiting.").Set(1536);
  const double bounds[] = {0.001, 0.5, 1, 10};
  Histogram& latency =
      registry.AddHistogram("selvedge_latency_seconds", "Capture to decision.", bounds);
  for (const double v : {0.0005, 0.001, 0.25, 0.75, 100.0}) latency.Observe(v);
  EXPECT_EQ(registry.Render(),
            "# TYPE selvedge_frames counter\n"
            "# HELP selvedge_frames Frames captured.\n"
            "selvedge_frames_total{source=\"gate\"} 7\n"
            "# TYPE selvedge_queue_bytes gauge\n"
            "# UNIT selvedge_queue_bytes bytes\n"
            "# HELP selvedge_queue_bytes Bytes waiting.\n"
            "selvedge_queue_bytes 1536.0\n"
            "# TYPE selvedge_latency_seconds histogram\n"
            "# UNIT selvedge_latency_seconds seconds\n"
            "# HELP selvedge_latency_seconds Capture to decision.\n"
            "selvedge_latency_seconds_bucket{le=\"0.001\"} 2\n"
            "selvedge_latency_seconds_bucket{le=\"0.5\"} 3\n"
            "selvedge_latency_seconds_bucket{le=\"1.0\"} 4\n"
            "selvedge_latency_seconds_bucket{le=\"10.0\"} 4\n"
            "selvedge_latency_seconds_bucket{le=\"+Inf\"} 5\n"
            "selvedge_latency_seconds_count 5\n"
            "selvedge_latency_seconds_sum 101.0015\n"
            "# EOF\n");
}

TEST(Metrics, RendersThePrometheusTextFormat) {
  MetricsRegistry registry;
  registry.AddCounter("selvedge_cpu_seconds", "He said \"go\\stop\".").Add(2);
  EXPECT_EQ(registry.Render(MetricsFormat::kPrometheusText),
            "# TYPE selvedge_cpu_seconds_total counter\n"
            "# HELP selvedge_cpu_seconds_total He said \"go\\\\stop\".\n"
            "selvedge_cpu_seconds_total 2\n");
}

TEST(Metrics, EmptyRegistryIsAValidDocument) {
  EXPECT_EQ(MetricsRegistry().Render(), "# EOF\n");
}

TEST(Metrics, EscapesHelpAndLabels) {
  MetricsRegistry registry;
  registry.AddGauge("g", "two\nlines, a \"quote\" and a \\", {{"path", "C:\\a\n\"b\""}});
  const std::string text = registry.Render();
  EXPECT_THAT(text, HasSubstr("# HELP g two\\nlines, a \\\"quote\\\" and a \\\\\n"));
  EXPECT_THAT(text, HasSubstr("g{path=\"C:\\\\a\\n\\\"b\\\"\"} 0.0\n"));
}

// The table of "Considerations: Canonical Numbers" in the OpenMetrics 1.0 specification, and edges.
TEST(Metrics, NumbersAreCanonical) {
  const std::pair<double, const char*> cases[] = {
      {0, "0.0"},           {-0.0, "-0.0"},           {1, "1.0"},
      {10, "10.0"},         {100000, "100000.0"},     {1e6, "1e+06"},
      {1e10, "1e+10"},      {123456.75, "123456.75"}, {1234567, "1.234567e+06"},
      {0.1, "0.1"},         {0.001, "0.001"},         {0.0001, "0.0001"},
      {1e-5, "1e-05"},      {1e-10, "1e-10"},         {-2.5, "-2.5"},
      {1e300, "1e+300"},    {HUGE_VAL, "+Inf"},       {-HUGE_VAL, "-Inf"},
      {std::nan(""), "NaN"}};
  for (const auto& [value, text] : cases) {
    MetricsRegistry registry;
    registry.AddGauge("g", "h").Set(value);
    EXPECT_THAT(registry.Render(), HasSubstr(std::string("\ng ") + text + "\n"));
  }
}

TEST(Metrics, SameNameAndLabelsAreTheSameMetric) {
  MetricsRegistry registry;
  Counter& a = registry.AddCounter("c", "h", {{"x", "1"}});
  Counter& b = registry.AddCounter("c", "h", {{"x", "2"}});
  EXPECT_EQ(&registry.AddCounter("c", "h", {{"x", "1"}}), &a);
  EXPECT_NE(&a, &b);
  for (int i = 0; i < 100; ++i) registry.AddCounter("c", "h", {{"y", std::to_string(i)}});
  a.Add(3);
  EXPECT_THAT(registry.Render(), HasSubstr("c_total{x=\"1\"} 3\n")) << "references stay valid";
}

TEST(Metrics, FamiliesKeepTheirOrderAndStandTogether) {
  MetricsRegistry registry;
  registry.AddCounter("b", "h", {{"l", "1"}});
  registry.AddGauge("a", "h");
  registry.AddCounter("b", "h", {{"l", "2"}});
  const std::string text = registry.Render();
  EXPECT_LT(text.find("b_total{l=\"2\"}"), text.find("# TYPE a gauge"));
}

TEST(Histogram, BoundsAreInclusive) {
  const double bounds[] = {1, 2};
  Histogram histogram(bounds);
  for (const double v : {-1.0, 1.0, 1.5, 2.0, 2.5}) histogram.Observe(v);
  EXPECT_EQ(histogram.bucket(0), 2U);
  EXPECT_EQ(histogram.bucket(1), 2U);
  EXPECT_EQ(histogram.bucket(2), 1U);
  EXPECT_EQ(histogram.count(), 5U);
  EXPECT_EQ(histogram.sum(), 6.0);
}

TEST(Histogram, WhatIsNoNumberDoesNotCount) {
  Histogram histogram(LatencySecondsBounds());
  histogram.Observe(std::nan(""));
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.sum(), 0);
}

TEST(Histogram, LatencyBoundsAscendAndResolveTheObjective) {
  const auto bounds = LatencySecondsBounds();
  EXPECT_TRUE(std::ranges::is_sorted(bounds));
  EXPECT_NE(std::ranges::find(bounds, 0.05), bounds.end());
  EXPECT_EQ(bounds.front(), 0.001);
  EXPECT_EQ(bounds.back(), 10);
}

TEST(Metrics, UpdatesFromManyThreadsAllCount) {
  MetricsRegistry registry;
  Counter& counter = registry.AddCounter("c", "h");
  Histogram& histogram = registry.AddHistogram("h", "h", LatencySecondsBounds());
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10'000; ++i) {
          counter.Add();
          histogram.Observe(0.25);
          if (i % 1000 != 0) continue;
          EXPECT_THAT(registry.Render(), HasSubstr("# EOF"));
        }
      });
    }
  }
  EXPECT_EQ(counter.value(), 40'000U);
  EXPECT_EQ(histogram.count(), 40'000U);
  EXPECT_EQ(histogram.sum(), 10'000.0);
}

using MetricsDeathTest = testing::Test;

TEST(MetricsDeathTest, ProgrammingErrorsAbort) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  MetricsRegistry registry;
  registry.AddCounter("a", "h");
  const double bounds[] = {1, 2};
  const double others[] = {1, 3};
  const double falling[] = {2, 1};
  registry.AddHistogram("hist", "h", bounds);
  EXPECT_DEATH(registry.AddGauge("a", "h"), "another type");
  EXPECT_DEATH(registry.AddGauge("7a", "h"), "not a valid name");
  EXPECT_DEATH(registry.AddGauge("a-b", "h"), "not a valid name");
  EXPECT_DEATH(registry.AddCounter("b_total", "h"), "adds suffixes");
  EXPECT_DEATH(registry.AddGauge("g", "h", {{"le", "1"}}), "reserved");
  EXPECT_DEATH(registry.AddGauge("g", "h", {{"a-b", "1"}}), "not a valid name");
  EXPECT_DEATH(registry.AddGauge("g", "h", {{"a", "1"}, {"a", "2"}}), "twice");
  EXPECT_DEATH(registry.AddHistogram("hist", "h", others), "other bounds");
  EXPECT_DEATH(registry.AddHistogram("hist2", "h", falling), "ascend");
}

TEST(Metrics, FormatIsNegotiated) {
  EXPECT_EQ(NegotiateMetricsFormat("application/openmetrics-text; version=1.0.0,text/plain;q=0.5"),
            MetricsFormat::kOpenMetrics);
  EXPECT_EQ(NegotiateMetricsFormat("*/*"), MetricsFormat::kPrometheusText);
  EXPECT_EQ(NegotiateMetricsFormat(""), MetricsFormat::kPrometheusText);
  EXPECT_EQ(MetricsContentType(MetricsFormat::kOpenMetrics), MetricsRegistry::kContentType);
  EXPECT_THAT(std::string(MetricsContentType(MetricsFormat::kPrometheusText)),
              HasSubstr("text/plain; version=0.0.4"));
}

// ---- what other people's parsers say ----

// A registry with everything in it that a parser could stumble over.
void Fill(MetricsRegistry* registry) {
  registry
      ->AddCounter("selvedge_frames", "Frames captured.",
                   {{"source", "a\\b \"c\"\nd"}, {"kind", "é"}})
      .Add(3);
  registry->AddCounter("selvedge_frames", "Frames captured.", {{"source", ""}, {"kind", "x"}});
  registry->AddCounter("selvedge_cpu_seconds", "Processor time, with a \\ and a\nnew line.")
      .Add(12);
  registry->AddGauge("selvedge_resident_bytes", "Memory.").Set(123456789);
  registry->AddGauge("selvedge_scale", "Tiny.").Set(1e-7);
  auto& latency = registry->AddHistogram("selvedge_latency_seconds", "Capture to decision.",
                                         LatencySecondsBounds(), {{"stage", "infer"}});
  for (int i = 0; i < 100; ++i) latency.Observe(i * 0.0013);
  registry->AddHistogram("selvedge_latency_seconds", "Capture to decision.", LatencySecondsBounds(),
                         {{"stage", "decode"}});
}

struct Outcome {
  int exit_code;
  std::string output;
};

Outcome RunShell(const std::string& command) {
  std::string output;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  char buffer[4096];
  for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;)
    output.append(buffer, n);
  const int status = ::pclose(pipe);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, output};
}

class MetricsParsers : public testing::Test {
 protected:
  MetricsParsers() {
    std::string pattern = (fs::temp_directory_path() / "selvedge-metrics-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    Fill(&registry_);
  }
  ~MetricsParsers() override { fs::remove_all(folder_); }

  std::string Put(const std::string& content) const {
    std::ofstream(folder_ / "metrics", std::ios::binary) << content;
    return (folder_ / "metrics").string();
  }

  MetricsRegistry registry_;
  fs::path folder_;
};

constexpr const char* kNoPromtool = "promtool is not installed (Debian package prometheus)";
bool HavePromtool() {
  return RunShell("promtool --version").exit_code == 0;
}

TEST_F(MetricsParsers, PromtoolChecksTheTextFormat) {
  if (!HavePromtool()) GTEST_SKIP() << kNoPromtool;
  const std::string file = Put(registry_.Render(MetricsFormat::kPrometheusText));
  const Outcome outcome = RunShell("promtool check metrics < " + file);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  EXPECT_EQ(outcome.output, "") << "no advice either";
}

// `promtool check metrics` knows the older format only, but its importer reads OpenMetrics with the
// parser that the server scrapes with. An import needs times, so each sample gets one.
TEST_F(MetricsParsers, PromtoolImportsOpenMetrics) {
  if (!HavePromtool()) GTEST_SKIP() << kNoPromtool;
  std::istringstream lines(registry_.Render());
  std::string timed;
  for (std::string line; std::getline(lines, line);) {
    timed += line + (line.starts_with('#') ? "\n" : " 1700000000\n");
  }
  const std::string import = "promtool tsdb create-blocks-from openmetrics " + Put(timed) + " " +
                             (folder_ / "blocks").string();
  const Outcome outcome = RunShell(import);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  Put(timed.substr(0, timed.size() - 6));  // without "# EOF": the check can fail
  EXPECT_NE(RunShell(import).exit_code, 0);
}

// A Python that has the reference implementation; the machine's own first, where its package puts
// it.
std::string PythonWithParser() {
  for (const std::string python : {"/usr/bin/python3", "python3"}) {
    if (RunShell(python + " -c 'import prometheus_client.openmetrics.parser'").exit_code == 0)
      return python;
  }
  return "";
}

TEST_F(MetricsParsers, TheReferenceParserReadsOpenMetrics) {
  const std::string python = PythonWithParser();
  if (python.empty()) {
    GTEST_SKIP() << "prometheus_client is not installed (Debian package python3-prometheus-client)";
  }
  const std::string program =
      "import sys\n"
      "from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n"
      "families = {f.name: f for f in parse(open(sys.argv[1], newline='').read())}\n"
      "assert list(families) == ['selvedge_frames', 'selvedge_cpu_seconds', "
      "'selvedge_resident_bytes',\n"
      "                          'selvedge_scale', 'selvedge_latency_seconds'], list(families)\n"
      "frames = families['selvedge_frames'].samples[0]\n"
      "assert frames.labels == {'source': 'a\\\\b \"c\"\\nd', 'kind': '\\u00e9'} and frames.value "
      "== 3, frames\n"
      "assert families['selvedge_cpu_seconds'].unit == 'seconds'\n"
      "assert families['selvedge_latency_seconds'].type == 'histogram'\n";
  std::ofstream(folder_ / "check.py") << program;
  const Outcome outcome =
      RunShell(python + " " + (folder_ / "check.py").string() + " " + Put(registry_.Render()));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
}

}  // namespace
}  // namespace selvedge
