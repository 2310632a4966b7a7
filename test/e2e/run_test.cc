// `selvedge run` as people meet it: the built executable, good and bad input, signals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "core/event_json.h"
#include "e2e/process.h"
#include "proto/event.pb.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

const std::string kRoot = SELVEDGE_SOURCE_DIR;
const std::string kVideo = kRoot + "/.deps/video/vtest.avi";

const char kModel[] =
    "selvedge-fake-model 1\n"
    "input image float32 [1,32,32,3]\n"
    "output boxes float32 [1,10,6] rows\n"
    "rows 0 boxes 4 4 16 28 0.9 0\n"
    "repeat\n";

const char kCard[] =
    "name: boxes\n"
    "version: \"1\"\n"
    "task: detection\n"
    "variants: [{name: fp32, path: boxes.fake, precision: fp32}]\n"
    "input: {layout: nhwc, color: rgb, width: 32, height: 32, resize: squash}\n"
    "decoder: {kind: centernet, boxes: boxes, score_threshold: 0.3, nms_iou: 0.5}\n"
    "labels: [person]\n";

// A pipeline with the engine that needs no library, in a folder of its own.
class RunTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_.Write("boxes.fake", kModel);
    folder_.Write("boxes.card.yaml", kCard);
  }

  std::string Pipeline(const std::string& uri, const std::string& more = "",
                       const std::string& source_more = "") const {
    return folder_.Write(
        "pipeline.yaml",
        "pipeline: test\nsource: {uri: \"" + uri + "\"" + source_more +
            "}\n"
            "model: {card: boxes.card.yaml, engine: fake, threads: 1, workers: 2}\n"
            "http: {enabled: false}\n" +
            more);
  }

  // Runs to the end; the exit code, -1 where it hung.
  int Run(const std::string& pipeline, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {pipeline, "--report", folder_ / "report.json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process process("run", arguments);
    const int code = process.Wait().value_or(-1);
    errors_ = process.errors();
    output_ = process.output();
    return code;
  }

  json Report() const { return json::parse(ReadWhole(folder_ / "report.json")); }

  // One sentence of ours, no crash, no pile of lines.
  void ExpectOneError(const std::vector<std::string>& parts) const {
    const std::size_t at = errors_.find("selvedge run: error: ");
    ASSERT_NE(at, std::string::npos) << errors_;
    const std::string sentence = errors_.substr(at, errors_.find('\n', at) - at);
    for (const std::string& part : parts) EXPECT_THAT(sentence, HasSubstr(part));
    EXPECT_EQ(errors_.find("error: ", at + 20), std::string::npos) << errors_;
  }

  TemporaryFolder folder_;
  std::string errors_;
  std::string output_;
};

TEST_F(RunTest, APatternRunsToItsEndWithABalancedLedgerAndOneRecordPerFrame) {
  const std::string events = folder_ / "events.jsonl";
  ASSERT_EQ(Run(Pipeline("test://?width=64&height=48&frames=50",
                         "rules: [{name: there, kind: presence}]\n"),
                {"--as-fast-as-possible", "--every-frame", "--events", events}),
            0)
      << errors_;
  const json report = Report();
  EXPECT_EQ(report["ledger"]["in"], 50);
  EXPECT_EQ(report["ledger"]["local"], 50);
  EXPECT_TRUE(report["ledger"]["balances"]);
  int records = 0;
  int fired = 0;
  std::istringstream lines(ReadWhole(events));
  for (std::string line; std::getline(lines, line);) {
    const auto event = ParseEventLine(line);
    ASSERT_TRUE(event.has_value()) << event.error().message();
    ++(event->has_decision() ? fired : records);
    EXPECT_EQ(event->pipeline(), "test");
    EXPECT_EQ(event->model().engine(), "fake");
  }
  EXPECT_EQ(records, 50);
  EXPECT_EQ(fired, 1);
}

TEST_F(RunTest, ReportsAsJsonOnStdout) {
  ASSERT_EQ(Run(Pipeline("test://?frames=5"), {"--as-fast-as-possible", "--json", "--quiet"}), 0);
  EXPECT_EQ(json::parse(output_)["ledger"]["local"], 5);
}

struct BadSource {
  const char* name;
  std::string uri;
  std::string content;  // written to that file, where not empty
  bool create;
  std::vector<std::string> says;
};

class BadSourceTest : public RunTest, public ::testing::WithParamInterface<BadSource> {};

TEST_P(BadSourceTest, EndsInOneSentence) {
  const BadSource& bad = GetParam();
  if (bad.create) folder_.Write(bad.uri, bad.content);
  EXPECT_EQ(Run(Pipeline(bad.uri, "", ", fail_fast: true, timeout: 2s")), 1);
  ExpectOneError(bad.says);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadSourceTest,
    ::testing::Values(
        BadSource{"missing", "gone.mp4", "", false, {"gone.mp4"}},
        BadSource{"empty", "empty.mp4", "", true, {"empty.mp4"}},
        BadSource{"text", "text.mp4", std::string(5000, 'x'), true, {"text.mp4"}},
        BadSource{"unknown_scheme", "gopher://host/video", "", false, {"gopher"}},
        BadSource{"no_device", "/dev/video97", "", false, {"/dev/video97"}},
        BadSource{"refused_rtsp", "rtsp://127.0.0.1:9/stream", "", false, {"127.0.0.1"}},
        BadSource{"refused_http", "http://127.0.0.1:9/stream.mjpg", "", false, {"127.0.0.1"}}),
    [](const auto& info) { return std::string(info.param.name); });

struct BadModel {
  const char* name;
  std::string model;
  std::string card;
  std::vector<std::string> says;
};

std::string With(std::string text, const std::string& from, const std::string& to) {
  text.replace(text.find(from), from.size(), to);
  return text;
}

class BadModelTest : public RunTest, public ::testing::WithParamInterface<BadModel> {};

TEST_P(BadModelTest, EndsInOneSentence) {
  folder_.Write("boxes.fake", GetParam().model);
  folder_.Write("boxes.card.yaml", GetParam().card);
  EXPECT_EQ(Run(Pipeline("test://?frames=5")), 1);
  ExpectOneError(GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(
    All, BadModelTest,
    ::testing::Values(
        BadModel{"empty", "", kCard, {"boxes.fake", "empty"}},
        BadModel{"corrupt", "rubbish\n", kCard, {"boxes.fake"}},
        BadModel{"unknown_operator", With(kModel, "rows\n", "frobnicate\n"), kCard, {"frobnicate"}},
        BadModel{"missing", kModel, With(kCard, "boxes.fake", "gone.fake"), {"gone.fake"}},
        BadModel{"shape", kModel, With(kCard, "width: 32", "width: 64"), {"64", "32"}},
        BadModel{"layout", kModel, With(kCard, "nhwc", "nchw"), {"layout"}},
        BadModel{"output", kModel, With(kCard, "boxes: boxes", "boxes: bxes"), {"bxes", "boxes"}},
        BadModel{
            "card_key", kModel, With(kCard, "labels:", "label:"), {"boxes.card.yaml", "labels"}}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(RunTest, AModelOfMoreThanTwoGigabytesIsRefusedWithoutReadingIt) {
  std::filesystem::resize_file(folder_ / "boxes.fake", (std::uintmax_t{2} << 30) + 1);
  EXPECT_EQ(Run(Pipeline("test://?frames=5")), 1);
  ExpectOneError({"boxes.fake", "2147483649"});
}

TEST_F(RunTest, AnUnknownKeyNamesFileLineAndTheNearestKey) {
  EXPECT_EQ(Run(Pipeline("test://?frames=5", "qeue: {capacity: 3}\n")), 1);
  ExpectOneError({"pipeline.yaml:5", "qeue", "queue"});
}

TEST_F(RunTest, AZoneOutsideOfThePictureIsNamed) {
  EXPECT_EQ(Run(Pipeline("test://?width=64&height=48&frames=50",
                         "zones: {far: {unit: pixels, points: [[0,0],[900,0],[900,40]]}}\n"
                         "rules: [{name: r, kind: zone, zone: far}]\n")),
            1);
  ExpectOneError({"far", "64"});
}

TEST_F(RunTest, AFullDiskLosesEventsNotFramesAndSaysSo) {
  EXPECT_EQ(Run(Pipeline("test://?frames=50"),
                {"--as-fast-as-possible", "--every-frame", "--events", "/dev/full"}),
            1);
  EXPECT_EQ(Report()["ledger"]["local"], 50);
  EXPECT_EQ(Report()["event_lines_lost"], 50);
  ExpectOneError({"/dev/full", "50"});
}

TEST_F(RunTest, AClosedStdoutLosesEventsNotFrames) {
  Process process("run",
                  {Pipeline("test://?frames=50"), "--as-fast-as-possible", "--every-frame",
                   "--events", "-", "--report", folder_ / "report.json"},
                  {.close_stdout = true});
  EXPECT_EQ(process.Wait(), 1);
  EXPECT_EQ(Report()["ledger"]["local"], 50);
  EXPECT_THAT(process.errors(), HasSubstr("stdout"));
}

TEST_F(RunTest, SignalsAtAnyTimeEndItCleanlyWithABalancedLedger) {
  std::mt19937 random(2026);
  for (int attempt = 0; attempt < 16; ++attempt) {
    std::filesystem::remove(folder_ / "report.json");
    Process process("run", {Pipeline("test://?width=320&height=240&fps=200"), "--report",
                            folder_ / "report.json", "--log-level", "info"});
    // From before the pipeline is there to well into its run.
    if (attempt % 4 != 0) {
      ASSERT_TRUE(process.WaitForError("pipeline started")) << process.errors();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 60));
    process.Signal(attempt % 2 == 0 ? SIGTERM : SIGINT);
    const auto code = process.Wait();
    // Before main has blocked it, a signal is the system's to handle.
    const bool before_main = code == 128 + SIGTERM || code == 128 + SIGINT;
    EXPECT_TRUE(code == 0 || (attempt % 4 == 0 && before_main)) << process.errors();
    if (std::filesystem::exists(folder_ / "report.json")) {
      EXPECT_TRUE(Report()["ledger"]["balances"]);
    }
  }
}

TEST_F(RunTest, MisuseIsExplainedAndExitsWithTwo) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{},
                                             {"p.yaml", "--no-such-option"},
                                             {"p.yaml", "--threads", "0"},
                                             {"p.yaml", "--json", "--events", "-"}}) {
    Process process("run", arguments);
    EXPECT_EQ(process.Wait(), 2) << process.errors();
    EXPECT_FALSE(process.errors().empty() && process.output().empty());
  }
}

TEST_F(RunTest, ABusyPortIsPassedOver) {
  const std::string pipeline =
      folder_.Write("served.yaml",
                    "pipeline: test\nsource: {uri: \"test://?fps=20\"}\n"
                    "model: {card: boxes.card.yaml, engine: fake, threads: 1, workers: 1}\n"
                    "http: {port: 18790}\n");
  Process first("run", {pipeline});
  ASSERT_TRUE(first.WaitForError("http://localhost:1879")) << first.errors();
  Process second("run", {pipeline});
  ASSERT_TRUE(second.WaitForError("http://localhost:1879")) << second.errors();
  first.Signal(SIGTERM);
  second.Signal(SIGTERM);
  EXPECT_EQ(first.Wait(), 0);
  EXPECT_EQ(second.Wait(), 0);
}

TEST(Verbs, EachHasHelpWithAnExample) {
  for (const std::string verb : {"run", "tune", "inspect", "bench"}) {
    Process process("", {verb, "--help"});
    EXPECT_EQ(process.Wait(), 0) << verb;
    EXPECT_THAT(process.output(), HasSubstr("Example")) << verb;
  }
}

TEST(Verbs, AMisspeltOneIsSuggested) {
  Process process("", {"rnu"});
  EXPECT_EQ(process.Wait(), 2);
  EXPECT_THAT(process.errors(), HasSubstr("did you mean \"run\"?"));
}

// The shipped example, with whatever engine is there, on the real video.
class ExampleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kVideo)) GTEST_SKIP() << "the demo's video is not at " << kVideo;
  }
  TemporaryFolder folder_;
};

TEST_F(ExampleTest, SeesPeopleAndFiresRules) {
  Process process(
      "", {"run", kRoot + "/examples/safety-monitor/pipeline.yaml", "--as-fast-as-possible",
           "--frames", "60", "--engine", "onnxruntime", "--threads", "1", "--workers", "2",
           "--no-http", "--events", folder_ / "events.jsonl", "--report", folder_ / "report.json"});
  ASSERT_EQ(process.Wait(std::chrono::seconds(100)), 0) << process.errors();
  const json report = json::parse(ReadWhole(folder_ / "report.json"));
  EXPECT_TRUE(report["ledger"]["balances"]);
  EXPECT_GT(report["detections"], 100);
  EXPECT_GT(report["rule_events"], 3);
}

TEST_F(ExampleTest, RulesCountTheVideosTimeHoweverFastItIsRead) {
  std::vector<std::string> decided;
  for (const char* workers : {"1", "2"}) {
    const std::string events = folder_ / "events.jsonl";
    Process process("", {"run", kRoot + "/examples/safety-monitor/pipeline.yaml",
                         "--as-fast-as-possible", "--frames", "150", "--engine", "onnxruntime",
                         "--threads", "1", "--workers", workers, "--no-http", "--events", events});
    ASSERT_EQ(process.Wait(std::chrono::seconds(100)), 0) << process.errors();
    std::string all;
    std::istringstream lines(ReadWhole(events));
    for (std::string line; std::getline(lines, line);) {
      const auto event = ParseEventLine(line);
      ASSERT_TRUE(event.has_value()) << event.error().message();
      if (event->frame() >= 150) continue;  // was under way when the limit was reached
      all += event->decision().rule() + " " + event->decision().state() + " in frame " +
             std::to_string(event->frame()) + "\n";
    }
    decided.push_back(all);
    std::filesystem::remove(events);
  }
  EXPECT_THAT(decided[0], HasSubstr("loitering"));
  EXPECT_EQ(decided[0], decided[1]);
}

TEST_F(ExampleTest, ATruncatedAndADamagedVideoAreSurvived) {
  const std::string whole = ReadWhole(kVideo);
  std::string damaged = whole.substr(0, 1'500'000);
  std::mt19937 random(1);
  for (int i = 0; i < 60; ++i) {
    damaged[200'000 + random() % (damaged.size() - 200'000)] = static_cast<char>(random());
  }
  for (const std::string& content : {whole.substr(0, 1'000'000), damaged}) {
    const std::string video = folder_.Write("video.avi", content);
    Process process("run", {kRoot + "/examples/safety-monitor/pipeline.yaml", "--source", video,
                            "--as-fast-as-possible", "--engine", "onnxruntime", "--threads", "1",
                            "--workers", "2", "--no-http", "--report", folder_ / "report.json"});
    const auto code = process.Wait(std::chrono::seconds(100));
    EXPECT_TRUE(code == 0 || code == 1) << process.errors();
    const json report = json::parse(ReadWhole(folder_ / "report.json"));
    EXPECT_TRUE(report["ledger"]["balances"]);
    EXPECT_GT(report["ledger"]["local"], 50);
  }
}

}  // namespace
}  // namespace selvedge
