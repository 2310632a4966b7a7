#include "engine/tune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/fake/fake_backend.h"
#include "engine/tune_json.h"
#include "engine/tune_measure.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers from a list, spends fake time, and remembers what it was asked.
class ScriptedRunner : public CandidateRunner {
 public:
  explicit ScriptedRunner(FakeClock* clock) : clock_(clock) {}

  Result<TuneMeasurement> Measure(const TuneCandidate& candidate, Nanos timeout,
                                  const std::atomic<bool>* /*stop*/) override {
    asked.push_back(candidate.ToString());
    timeouts.push_back(timeout);
    clock_->Advance(cost);
    if (on_measure) on_measure();
    const auto failure = failures.find(candidate.ToString());
    if (failure != failures.end()) return Err(InternalError(failure->second));
    const auto slow = p50.find(candidate.engine + " " + candidate.variant);
    const double ms = (slow != p50.end() ? slow->second : 10) / candidate.threads;
    TuneMeasurement m;
    m.candidate = candidate;
    m.p50_ms = m.p99_ms = m.loaded_p50_ms = m.loaded_p99_ms = ms;
    m.cpu_ms = ms * candidate.threads;
    m.throughput = 1000 / ms * candidate.callers;
    return m;
  }

  std::vector<std::string> asked;
  std::vector<Nanos> timeouts;
  std::map<std::string, double> p50;
  std::map<std::string, std::string> failures;
  std::function<void()> on_measure;
  Nanos cost = kSecond;

 private:
  FakeClock* clock_;
};

// An engine library that may be there or not, and may change.
class NamedBackend : public EngineBackend {
 public:
  NamedBackend(std::string name, std::string ending, std::string identity)
      : identity(std::move(identity)), name_(std::move(name)), ending_(std::move(ending)) {}
  std::string_view name() const override { return name_; }
  Result<std::string> Probe() override {
    return Err(NotFoundError("engine " + name_ + " is not on this machine"));
  }
  std::string Identity() override { return identity; }
  std::vector<std::string> Devices() override { return {"cpu"}; }
  bool Reads(std::string_view path) const override { return path.ends_with(ending_); }
  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> /*model*/,
                                       const EngineOptions& /*options*/) override {
    return Err(UnimplementedError("never loaded"));
  }

  std::string identity;

 private:
  std::string name_;
  std::string ending_;
};

class TuneTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A folder for each test: they may run at the same time.
    folder_ = ::testing::TempDir() + "tune_test_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    Write("m.onnx", "weights");
    Write("m.int8.onnx", "smaller weights");
    Write("m.tflite", "other weights");
    card_.name = "m";
    card_.variants = {{.name = "fp32", .path = "m.onnx", .accuracy = 0.6},
                      {.name = "int8", .path = "m.int8.onnx", .accuracy = 0.6, .engines = {"ort"}}};
    options_.backends = {&ort_, &ov_, &tflite_};
    options_.cpus = 2;
    options_.cache_folder = folder_ + "/cache";
    options_.clock = &clock_;
  }

  void Write(const std::string& name, const std::string& content) const {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/" + name, content).ok());
  }

  Result<TuneReport> Run() { return Tune(card_, folder_ + "/card.yaml", options_, runner_); }

  std::string folder_;
  ModelCard card_;
  NamedBackend ort_{"ort", ".onnx", "ort 1"};
  NamedBackend ov_{"ov", ".onnx", "ov 1"};
  NamedBackend tflite_{"tflite", ".tflite", "tflite 1"};
  FakeClock clock_;
  ScriptedRunner runner_{&clock_};
  TuneOptions options_;
};

TEST_F(TuneTest, MeasuresEachEngineVariantAndDivisionOnce) {
  Result<TuneReport> report = Run();
  ASSERT_TRUE(report.has_value()) << report.error().ToString();
  EXPECT_THAT(runner_.asked,
              ElementsAre("ort fp32, 1 thread", "ov fp32, 1 thread", "ort int8, 1 thread",
                          "ort fp32, 1 thread x 2 callers", "ov fp32, 1 thread x 2 callers",
                          "ort int8, 1 thread x 2 callers", "ort fp32, 2 threads",
                          "ov fp32, 2 threads", "ort int8, 2 threads"));
  EXPECT_EQ(report->measurements.size(), 9);
  EXPECT_EQ(report->chosen().candidate.threads, 2);
  EXPECT_TRUE(report->choice.meets_objective);
  EXPECT_FALSE(report->from_cache);
  EXPECT_EQ(report->seconds, 9);
}

TEST_F(TuneTest, WhatTheUserSettledIsNotTriedOtherwise) {
  options_.engine = "ort";
  options_.variant = "int8";
  options_.callers = 2;
  ASSERT_TRUE(Run().has_value());
  EXPECT_THAT(runner_.asked,
              ElementsAre("ort int8, 1 thread x 2 callers", "ort int8, 2 threads x 2 callers"));
}

TEST_F(TuneTest, DividesMoreProcessorsInPowersOfTwo) {
  options_.engine = "ov";
  const auto candidates = [&](int cpus) {
    std::vector<std::pair<int, int>> divisions;
    for (const TuneCandidate& c : TuneCandidates(card_, "", options_, {&ov_}, cpus)) {
      divisions.emplace_back(c.threads, c.callers);
    }
    return divisions;
  };
  using P = std::pair<int, int>;
  EXPECT_THAT(candidates(1), ElementsAre(P(1, 1)));
  EXPECT_THAT(candidates(2), ElementsAre(P(1, 1), P(1, 2), P(2, 1)));
  EXPECT_THAT(candidates(4), ElementsAre(P(1, 1), P(1, 4), P(2, 2), P(2, 1), P(4, 1)));
  EXPECT_THAT(candidates(6), ElementsAre(P(1, 1), P(1, 6), P(2, 3), P(2, 1), P(4, 1), P(6, 1)));
}

TEST_F(TuneTest, TheHopelessAreMeasuredOnce) {
  runner_.p50 = {{"ov fp32", 40}};
  runner_.failures = {{"ort int8, 1 thread", "no such operator"}};
  Result<TuneReport> report = Run();
  ASSERT_TRUE(report.has_value());
  EXPECT_THAT(runner_.asked,
              ElementsAre("ort fp32, 1 thread", "ov fp32, 1 thread", "ort int8, 1 thread",
                          "ort fp32, 1 thread x 2 callers", "ort fp32, 2 threads"));
  EXPECT_THAT(report->choice.verdicts[2], HasSubstr("no such operator"));
  EXPECT_THAT(report->choice.verdicts[4], HasSubstr("4 times slower"));
  EXPECT_THAT(report->choice.verdicts[5], HasSubstr("failed with one thread"));
}

TEST_F(TuneTest, StaysWithinItsTime) {
  options_.budget = 3 * kSecond;
  Result<TuneReport> report = Run();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(runner_.asked.size(), 3);
  EXPECT_THAT(report->choice.verdicts.back(), HasSubstr("the time was used up"));
}

TEST_F(TuneTest, ASlowMachineGetsAtLeastOneMeasurement) {
  options_.budget = kSecond;
  runner_.cost = 30 * kSecond;
  runner_.failures = {{"ort fp32, 1 thread", "slow and broken"}};
  Result<TuneReport> report = Run();
  ASSERT_TRUE(report.has_value());
  EXPECT_EQ(report->chosen().candidate.engine, "ov");
  EXPECT_EQ(runner_.asked.size(), 2);
  EXPECT_GE(runner_.timeouts[1], 10 * kSecond);
}

TEST_F(TuneTest, TheSecondTimeNothingIsMeasured) {
  Result<TuneReport> first = Run();
  ASSERT_TRUE(first.has_value());
  const std::size_t asked = runner_.asked.size();
  options_.objective.prefer_throughput = true;  // another question to the same measurements
  Result<TuneReport> second = Run();
  ASSERT_TRUE(second.has_value());
  EXPECT_TRUE(second->from_cache);
  EXPECT_EQ(runner_.asked.size(), asked);
  EXPECT_EQ(second->key, first->key);
  EXPECT_EQ(second->measurements.size(), first->measurements.size());
  EXPECT_EQ(second->choice.why.find("highest throughput"), 0);
}

TEST_F(TuneTest, WhateverItDependsOnMeasuresAnew) {
  const auto measures = [&] {
    const std::size_t before = runner_.asked.size();
    Result<TuneReport> report = Run();
    EXPECT_TRUE(report.has_value());
    return runner_.asked.size() > before;
  };
  EXPECT_TRUE(measures());
  EXPECT_FALSE(measures());
  Write("m.int8.onnx", "other smaller weights");
  EXPECT_TRUE(measures());
  ov_.identity = "ov 2";
  EXPECT_TRUE(measures());
  ov_.identity = "";  // uninstalled
  EXPECT_TRUE(measures());
  options_.cpus = 1;
  EXPECT_TRUE(measures());
  options_.variant = "fp32";
  EXPECT_TRUE(measures());
  options_.input_shapes = {Shape{1, 4}};
  EXPECT_TRUE(measures());
  card_.variants[0].engines = {"ort"};
  EXPECT_TRUE(measures());
  EXPECT_FALSE(measures());
  options_.use_cache = false;
  EXPECT_TRUE(measures());
}

TEST_F(TuneTest, ADamagedCacheFileIsMeasuredAnewAndReplaced) {
  ASSERT_TRUE(Run().has_value());
  const std::string path = fs::directory_iterator(options_.cache_folder)->path();
  const std::string good = *ReadFile(path, 1 << 20);
  for (const std::string& damaged :
       {std::string(), std::string("{"), good.substr(0, good.size() / 2), std::string("[1,2]"),
        std::string(R"({"format": 1, "key": {}, "measurements": []})"),
        std::string(R"({"format": "1", "measurements": 7})")}) {
    ASSERT_TRUE(WriteFileAtomically(path, damaged).ok());
    Result<TuneReport> report = Run();
    ASSERT_TRUE(report.has_value());
    EXPECT_FALSE(report->from_cache) << damaged;
  }
  EXPECT_TRUE(Run()->from_cache);
}

TEST_F(TuneTest, ACacheThatCannotBeWrittenIsNoFailure) {
  Write("cache", "a file where the folder should be");
  EXPECT_TRUE(Run().has_value());
  EXPECT_FALSE(Run()->from_cache);
}

TEST_F(TuneTest, StopsWhenToldTo) {
  std::atomic<bool> stop = false;
  options_.stop = &stop;
  runner_.on_measure = [&] { stop = runner_.asked.size() == 2; };
  Result<TuneReport> report = Run();
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code(), StatusCode::kCancelled);
  EXPECT_EQ(runner_.asked.size(), 2);
  EXPECT_FALSE(fs::exists(options_.cache_folder));
}

TEST_F(TuneTest, ReportsProgressFromNoneToAll) {
  std::vector<int> done;
  options_.progress = [&](const TuneProgress& p) {
    EXPECT_EQ(p.total, 9);
    EXPECT_EQ(p.current == nullptr, p.done == 9);
    done.push_back(p.done);
  };
  ASSERT_TRUE(Run().has_value());
  EXPECT_THAT(done, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
}

TEST_F(TuneTest, SaysWhyNothingCanRun) {
  card_.variants = {{.name = "fp32", .path = "m.pt"}};
  Result<TuneReport> report = Run();
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(report.error().message(), HasSubstr("reads any variant of model m"));

  card_.variants = {{.name = "fp32", .path = "m.tflite"}};
  tflite_.identity = "";
  EXPECT_THAT(Run().error().message(), HasSubstr("engine tflite is not on this machine"));

  tflite_.identity = "tflite 1";
  runner_.failures = {{"tflite fp32, 1 thread", "no such operator"}};
  EXPECT_THAT(Run().error().message(), HasSubstr("tflite fp32, 1 thread: no such operator"));
  EXPECT_FALSE(fs::exists(options_.cache_folder));

  card_.variants = {{.name = "fp32", .path = "gone.onnx"}};
  report = Run();
  EXPECT_EQ(report.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(report.error().message(), HasSubstr("gone.onnx"));
}

TEST_F(TuneTest, MeasuresTheFakeEngineForReal) {
  Write("m.fake", "selvedge-fake-model 1\ninput a uint8 [1,4]\noutput b uint8 [1,4] copy a\n");
  card_.variants = {{.name = "fp32", .path = "m.fake"}};
  auto fake = MakeFakeBackend();
  options_.backends = {fake.get()};
  options_.clock = &Clock::System();
  options_.budget = 100 * kMillisecond;
  InProcessRunner runner({fake.get()});
  Result<TuneReport> report = Tune(card_, folder_ + "/card.yaml", options_, runner);
  ASSERT_TRUE(report.has_value()) << report.error().ToString();
  EXPECT_GE(report->chosen().runs, 5);
  EXPECT_EQ(report->chosen().engine_version, "1");
}

TEST(TuneJson, WhatIsWrittenIsRead) {
  TuneMeasurement m;
  m.candidate = {.engine = "ov",
                 .device = "gpu",
                 .variant = "fp16",
                 .model_path = "/a b\"c.onnx",
                 .threads = 3,
                 .callers = 2,
                 .input_shapes = {Shape{1, 3, 300, 300}, Shape{}},
                 .budget = 123456789012};
  m.error = "quotes \" and \xff bytes";
  m.engine_version = "2026.4";
  m.precision = "bf16";
  m.load_ms = 1.5;
  m.runs = 77;
  m.p50_ms = 0.1;
  m.peak_bytes = std::int64_t{1} << 40;
  Result<TuneMeasurement> read = MeasurementFromJson(ToJson(m));
  ASSERT_TRUE(read.has_value()) << read.error().ToString();
  EXPECT_EQ(read->candidate.ToString(), m.candidate.ToString());
  EXPECT_EQ(read->candidate.model_path, m.candidate.model_path);
  EXPECT_EQ(read->candidate.input_shapes, m.candidate.input_shapes);
  EXPECT_EQ(read->candidate.budget, m.candidate.budget);
  EXPECT_THAT(read->error, HasSubstr("quotes \" and "));
  EXPECT_EQ(read->runs, 77);
  EXPECT_EQ(read->p50_ms, 0.1);
  EXPECT_EQ(read->peak_bytes, m.peak_bytes);
  EXPECT_EQ(read->precision, "bf16");
}

TEST(TuneJson, WrongTypesAreRefusedByName) {
  TuneCandidate candidate;
  candidate.engine = "ov";
  const std::string good = ToJson(candidate);
  ASSERT_TRUE(CandidateFromJson(good).has_value());
  const std::pair<std::string, std::string> cases[] = {
      {"", "not a JSON object"},
      {"null", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "has no engine"},
      {R"({"engine": 7})", "engine has the wrong type"},
  };
  for (const auto& [text, complaint] : cases) {
    Result<TuneCandidate> read = CandidateFromJson(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_THAT(read.error().message(), HasSubstr(complaint));
  }
  for (const char* threads : {"-1", "99999999999", "1.5", "\"1\"", "null"}) {
    std::string bad = good;
    bad.replace(bad.find("\"threads\":1"), 11, std::string("\"threads\":") + threads);
    EXPECT_FALSE(CandidateFromJson(bad).has_value()) << threads;
  }
}

}  // namespace
}  // namespace selvedge
