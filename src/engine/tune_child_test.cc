#include "engine/tune_child.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>

#include "base/file.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

class TuneChild : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = ::testing::TempDir() + "tune_child_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".fake";
    ASSERT_TRUE(WriteFileAtomically(path_,
                                    "selvedge-fake-model 1\ninput a float32 [1,4]\n"
                                    "output b float32 [1,4] copy a\nbusy 0.2\n")
                    .ok());
  }

  TuneCandidate Candidate(std::string variant = "fp32") const {
    return {.engine = "fake",
            .variant = std::move(variant),
            .model_path = path_,
            .callers = 2,
            .budget = 20 * kMillisecond};
  }

  static Result<TuneMeasurement> Measure(const TuneCandidate& candidate, Nanos timeout = kMinute,
                                         const std::atomic<bool>* stop = nullptr) {
    ChildRunner runner;
    return runner.Measure(candidate, timeout, stop);
  }

  static constexpr Nanos kMinute = 60 * kSecond;
  std::string path_;
};

TEST_F(TuneChild, MeasuresInAProcessOfItsOwn) {
  Result<TuneMeasurement> m = Measure(Candidate());
  ASSERT_TRUE(m.has_value()) << m.error().ToString();
  EXPECT_TRUE(m->ok());
  EXPECT_EQ(m->candidate.engine, "fake");
  EXPECT_EQ(m->engine_version, "1");
  EXPECT_EQ(m->precision, "fp32");
  EXPECT_GE(m->runs, 5);
  EXPECT_GE(m->p50_ms, 0.2);
  EXPECT_GE(m->p99_ms, m->p50_ms);
  EXPECT_GE(m->cpu_ms, 0.2);
  EXPECT_GT(m->throughput, 0);
  EXPECT_GE(m->loaded_p99_ms, m->loaded_p50_ms);
  EXPECT_GT(m->peak_bytes, 0);
}

TEST_F(TuneChild, ACrashIsTheCandidatesFailure) {
  Result<TuneMeasurement> m = Measure(Candidate("crash"));
  ASSERT_FALSE(m.has_value());
#ifndef SELVEDGE_SANITIZED  // which catches the signal and exits
  EXPECT_EQ(m.error().code(), StatusCode::kInternal);
  EXPECT_THAT(m.error().message(), HasSubstr("crashed"));
#endif
}

TEST_F(TuneChild, AHangEndsAtTheTimeout) {
  Result<TuneMeasurement> m = Measure(Candidate("hang"), kSecond / 2);
  ASSERT_FALSE(m.has_value());
  EXPECT_EQ(m.error().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(TuneChild, AHangEndsWhenStopped) {
  const std::atomic<bool> stop = true;
  Result<TuneMeasurement> m = Measure(Candidate("hang"), kMinute, &stop);
  ASSERT_FALSE(m.has_value());
  EXPECT_EQ(m.error().code(), StatusCode::kCancelled);
}

TEST_F(TuneChild, RubbishIsRefused) {
  Result<TuneMeasurement> m = Measure(Candidate("rubbish"));
  ASSERT_FALSE(m.has_value());
  EXPECT_EQ(m.error().code(), StatusCode::kInvalidArgument);
}

TEST_F(TuneChild, MoreOutputThanIsReadIsNoMeasurementAndNoHang) {
  EXPECT_FALSE(Measure(Candidate("flood")).has_value());
}

TEST_F(TuneChild, TheEnginesReasonComesBack) {
  TuneCandidate candidate = Candidate();
  candidate.model_path = "/no/such/model.fake";
  Result<TuneMeasurement> m = Measure(candidate);
  ASSERT_FALSE(m.has_value());
  EXPECT_THAT(m.error().message(), HasSubstr("/no/such/model.fake"));
}

TEST_F(TuneChild, AnExecutableThatIsNotThereIsNamed) {
  ChildRunner runner("/no/such/program");
  Result<TuneMeasurement> m = runner.Measure(Candidate(), kMinute, nullptr);
  ASSERT_FALSE(m.has_value());
  EXPECT_THAT(m.error().message(), HasSubstr("/no/such/program"));
}

}  // namespace
}  // namespace selvedge
