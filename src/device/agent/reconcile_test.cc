#include "device/agent/reconcile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace selvedge {
namespace {

using ::testing::HasSubstr;

constexpr char kA[] = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
constexpr char kB[] = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const ServiceKey kKey{"app", "svc"};

v1::ServiceSpec Spec(const std::string& digest, v1::ServiceKind kind = v1::PIPELINE) {
  v1::ServiceSpec spec;
  spec.set_application("app");
  spec.set_name("svc");
  spec.set_kind(kind);
  spec.set_digest(digest);
  spec.set_version(digest == kA ? "1" : "2");
  return spec;
}

v1::Desired Wants(std::initializer_list<v1::ServiceSpec> specs) {
  v1::Desired desired;
  for (const v1::ServiceSpec& spec : specs) *desired.add_services() = spec;
  return desired;
}

class ReconcilerTest : public ::testing::Test {
 protected:
  ReconcilerTest() : reconciler_(Options()) {}

  ReconcileOptions Options() {
    ReconcileOptions options;
    options.check = [this](const v1::ServiceSpec&) { return refusal_; };
    return options;
  }

  // "fetch app/svc 1, stop app/svc": what a step asks for.
  std::string Step() {
    std::string text;
    for (const Action& action : reconciler_.Step(now_)) {
      if (!text.empty()) text += ", ";
      switch (action.kind) {
        case Action::Kind::kFetch: text += "fetch "; break;
        case Action::Kind::kStart: text += "start "; break;
        case Action::Kind::kStop: text += "stop "; break;
        case Action::Kind::kForget: text += "forget "; break;
      }
      text += action.service.ToString();
      if (!action.spec.version().empty()) text += " " + action.spec.version();
    }
    return text;
  }

  void Want(std::initializer_list<v1::ServiceSpec> specs) {
    reconciler_.SetDesired(Wants(specs), now_);
  }

  v1::ServiceStatus Status() {
    const auto report = reconciler_.Report(now_);
    EXPECT_EQ(report.size(), 1u);
    return report.empty() ? v1::ServiceStatus() : report.front();
  }

  void Hear(bool ready = true) {
    v1::PipelineMetrics metrics;
    metrics.set_ready(ready);
    if (!ready) metrics.set_ready_detail("no frame has been decided yet");
    reconciler_.Heard(kKey, &metrics, now_);
  }

  // Version 1 is there and runs.
  void RunFirst() {
    Want({Spec(kA)});
    ASSERT_EQ(Step(), "fetch app/svc 1");
    reconciler_.ContentReady(kA);
    ASSERT_EQ(Step(), "start app/svc 1");
    reconciler_.Started(kKey, now_);
    Hear();
    ASSERT_EQ(Step(), "");
  }

  Nanos now_ = 1000 * kSecond;
  class Status refusal_;
  Reconciler reconciler_;
};

TEST_F(ReconcilerTest, FetchesThenStartsAndAsksForEachOnce) {
  Want({Spec(kA)});
  EXPECT_EQ(Step(), "fetch app/svc 1");
  EXPECT_EQ(Step(), "");
  reconciler_.FetchProgress(kA, 0.25);
  EXPECT_EQ(Status().state(), v1::DOWNLOADING);
  EXPECT_DOUBLE_EQ(Status().progress(), 0.25);
  reconciler_.ContentReady(kA);
  EXPECT_EQ(Step(), "start app/svc 1");
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(Status().state(), v1::STARTING);
  reconciler_.Started(kKey, now_);
  EXPECT_EQ(Status().state(), v1::STARTING);  // until it says something itself
  Hear(false);
  EXPECT_EQ(Status().state(), v1::RUNNING);
  EXPECT_EQ(Status().message(), "no frame has been decided yet");
  Hear();
  EXPECT_EQ(Status().message(), "");
  EXPECT_EQ(Status().digest(), kA);
  EXPECT_EQ(Step(), "");
}

TEST_F(ReconcilerTest, TheOldVersionRunsUntilTheNewOneIsThere) {
  RunFirst();
  Want({Spec(kB)});
  EXPECT_EQ(Step(), "fetch app/svc 2");
  reconciler_.FetchProgress(kB, 0.5);
  Hear();
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(Status().state(), v1::RUNNING);
  EXPECT_EQ(Status().digest(), kA);
  EXPECT_THAT(Status().message(), HasSubstr("version 2 is being fetched"));
  reconciler_.ContentReady(kB);
  EXPECT_EQ(Step(), "stop app/svc");
  EXPECT_EQ(Step(), "");
  reconciler_.Ended(kKey, "exit code 0", now_);
  EXPECT_EQ(Step(), "start app/svc 2");
  reconciler_.Started(kKey, now_);
  Hear();
  EXPECT_EQ(Status().digest(), kB);
  EXPECT_EQ(Status().restarts(), 0u);
}

TEST_F(ReconcilerTest, AVersionThatCannotBeFetchedLeavesTheOldOneAndIsTriedAgain) {
  RunFirst();
  Want({Spec(kB)});
  EXPECT_EQ(Step(), "fetch app/svc 2");
  reconciler_.FetchFailed(kB, DataLossError("its digest is another one"), now_);
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(Status().state(), v1::RUNNING);
  EXPECT_THAT(Status().message(), HasSubstr("its digest is another one"));
  now_ = *reconciler_.NextTime();
  Hear();
  EXPECT_EQ(Step(), "fetch app/svc 2");
}

// Both fit the device, but not together: the one before may take a while to end.
TEST_F(ReconcilerTest, WaitsUntilWhatItTakesThePlaceOfHasEnded) {
  const ServiceKey next_key{"next", "svc"};
  for (const char* share : {"gpu", "memory", "port"}) {
    SCOPED_TRACE(share);
    v1::ServiceSpec old_spec = Spec(kA);
    v1::ServiceSpec next = Spec(kA);
    next.set_application("next");
    for (v1::ServiceSpec* spec : {&old_spec, &next}) {
      if (share == std::string_view("gpu")) spec->mutable_resources()->set_gpu(1);
      if (share == std::string_view("memory")) spec->mutable_resources()->set_memory_bytes(1 << 30);
      if (share == std::string_view("port")) spec->add_ports()->set_external(5000);
    }
    Reconciler reconciler(Options());
    reconciler.Adopted(old_spec, now_);
    reconciler.SetDesired(Wants({next}), now_);
    reconciler.ContentReady(kA);
    std::vector<Action> actions = reconciler.Step(now_);
    ASSERT_EQ(actions.size(), 1U);
    EXPECT_EQ(actions[0].kind, Action::Kind::kStop);
    now_ += kSecond;
    EXPECT_TRUE(reconciler.Step(now_).empty());
    const auto report = reconciler.Report(now_);
    EXPECT_EQ(report.back().state(), v1::WAITING);
    EXPECT_THAT(report.back().message(), HasSubstr("app/svc still has"));
    reconciler.Ended(kKey, "exit code 0", now_);
    now_ = *reconciler.NextTime();
    actions = reconciler.Step(now_);
    EXPECT_THAT(actions,
                ::testing::Contains(::testing::Field(&Action::kind, Action::Kind::kStart)));
  }
}

TEST_F(ReconcilerTest, TwoThatFitTogetherDoNotWaitForEachOther) {
  v1::ServiceSpec first = Spec(kA);
  v1::ServiceSpec second = Spec(kA);
  second.set_application("second");
  for (v1::ServiceSpec* spec : {&first, &second}) spec->mutable_resources()->set_gpu(1);
  Reconciler reconciler(Options());
  reconciler.Adopted(first, now_);
  reconciler.SetDesired(Wants({first, second}), now_);
  reconciler.ContentReady(kA);
  const std::vector<Action> actions = reconciler.Step(now_);
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(actions[0].kind, Action::Kind::kStart);
}

TEST_F(ReconcilerTest, WaitsForFetchesDoubleUpToTheCap) {
  Want({Spec(kA)});
  Nanos last = 0;
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Step(), "fetch app/svc 1");
    reconciler_.FetchFailed(kA, UnavailableError("no network"), now_);
    EXPECT_EQ(Status().state(), v1::FAILING);
    const Nanos wait = *reconciler_.NextTime() - now_;
    EXPECT_GE(wait, last);
    EXPECT_LE(wait, 300 * kSecond);
    last = wait;
    now_ += wait;
  }
  EXPECT_EQ(last, 300 * kSecond);
}

TEST_F(ReconcilerTest, AnUnaskedEndIsFollowedByAStartWithGrowingWaitsThatAGoodTimeForgets) {
  RunFirst();
  Nanos last = 0;
  for (std::uint32_t i = 1; i <= 10; ++i) {
    reconciler_.Ended(kKey, "exit code 1", now_);
    EXPECT_EQ(Step(), "");
    EXPECT_EQ(Status().state(), v1::FAILING);
    EXPECT_EQ(Status().message(), "exit code 1");
    EXPECT_EQ(Status().restarts(), i);
    const Nanos wait = *reconciler_.NextTime() - now_;
    EXPECT_GE(wait, last);
    EXPECT_LE(wait, 60 * kSecond);
    last = wait;
    now_ += wait - 1;
    EXPECT_EQ(Step(), "");
    now_ += 1;
    EXPECT_EQ(Step(), "start app/svc 1");
    reconciler_.Started(kKey, now_);
  }
  EXPECT_EQ(last, 60 * kSecond);
  now_ += 60 * kSecond;
  Hear();
  reconciler_.Ended(kKey, "exit code 1", now_);
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(*reconciler_.NextTime() - now_, kSecond);
}

TEST_F(ReconcilerTest, TheJitterTakesUpToAQuarterOff) {
  ReconcileOptions options;
  options.random = [] { return 0.999; };
  Reconciler reconciler(options);
  reconciler.SetDesired(Wants({Spec(kA)}), 0);
  (void)reconciler.Step(0);
  reconciler.FetchFailed(kA, UnavailableError("x"), 0);
  EXPECT_NEAR(static_cast<double>(*reconciler.NextTime()), 1.5e9, 1e7);
}

TEST_F(ReconcilerTest, APipelineThatFallsSilentIsKilledAndStartedAgain) {
  RunFirst();
  now_ += 15 * kSecond - 1;
  EXPECT_EQ(Step(), "");
  now_ += 1;
  EXPECT_EQ(Step(), "stop app/svc");
  EXPECT_THAT(Status().message(), HasSubstr("nothing was heard"));
  reconciler_.Ended(kKey, "killed by SIGKILL", now_);
  EXPECT_EQ(Status().state(), v1::FAILING);
  EXPECT_THAT(Status().message(), HasSubstr("hung"));
  EXPECT_EQ(Status().restarts(), 1u);
  now_ += kSecond;
  EXPECT_EQ(Step(), "start app/svc 1");
}

TEST_F(ReconcilerTest, AContainerNeedNotSpeak) {
  Want({Spec(kA, v1::CONTAINER)});
  Step();
  reconciler_.ContentReady(ContentKeyOf(Spec(kA, v1::CONTAINER)));
  EXPECT_EQ(Step(), "start app/svc 1");
  reconciler_.Started(kKey, now_);
  EXPECT_EQ(Status().state(), v1::RUNNING);
  now_ += 3600 * kSecond;
  EXPECT_EQ(Step(), "");
  EXPECT_FALSE(reconciler_.NextTime().has_value());
}

TEST_F(ReconcilerTest, WhatIsNoLongerWantedStopsAndIsForgotten) {
  RunFirst();
  Want({});
  EXPECT_EQ(Step(), "stop app/svc");
  EXPECT_EQ(Status().state(), v1::STOPPED);
  EXPECT_EQ(Step(), "");
  reconciler_.Ended(kKey, "exit code 0", now_);
  EXPECT_EQ(Step(), "forget app/svc");
  EXPECT_TRUE(reconciler_.Report(now_).empty());
  EXPECT_EQ(Step(), "");
}

TEST_F(ReconcilerTest, WantedAgainWhileItStopsItStartsAgain) {
  RunFirst();
  Want({});
  EXPECT_EQ(Step(), "stop app/svc");
  Want({Spec(kA)});
  EXPECT_EQ(Step(), "");
  reconciler_.Ended(kKey, "exit code 0", now_);
  EXPECT_EQ(Step(), "start app/svc 1");
}

TEST_F(ReconcilerTest, ARefusedServiceSaysWhyAndIsNeitherFetchedNorStarted) {
  refusal_ = FailedPreconditionError("this device has no camera");
  Want({Spec(kA)});
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(Status().state(), v1::REFUSED);
  EXPECT_EQ(Status().message(), "this device has no camera");
  EXPECT_FALSE(reconciler_.NextTime().has_value());
  // Another document is another chance.
  refusal_ = OkStatus();
  Want({Spec(kB)});
  EXPECT_EQ(Step(), "fetch app/svc 2");
}

TEST_F(ReconcilerTest, ARefusedNewVersionLeavesTheOldOneRunning) {
  RunFirst();
  refusal_ = FailedPreconditionError("the volume is not allowed");
  Want({Spec(kB)});
  EXPECT_EQ(Step(), "");
  EXPECT_EQ(Status().state(), v1::REFUSED);
  EXPECT_THAT(Status().message(), HasSubstr("version 1 goes on"));
  EXPECT_EQ(Status().digest(), kA);
}

TEST_F(ReconcilerTest, ABusyPortIsWaitedForAndIsNoFailure) {
  Want({Spec(kA)});
  Step();
  reconciler_.ContentReady(kA);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Step(), "start app/svc 1");
    reconciler_.Deferred(kKey, "port 5000 is taken", now_);
    EXPECT_EQ(Step(), "");
    EXPECT_EQ(Status().state(), v1::WAITING);
    EXPECT_EQ(Status().message(), "port 5000 is taken");
    EXPECT_EQ(Status().restarts(), 0u);
    EXPECT_EQ(*reconciler_.NextTime() - now_, kSecond);
    now_ += kSecond;
  }
}

TEST_F(ReconcilerTest, ARestartOnRequestIsNoFailure) {
  RunFirst();
  EXPECT_TRUE(reconciler_.Restart(kKey).ok());
  EXPECT_EQ(Step(), "stop app/svc");
  reconciler_.Ended(kKey, "exit code 0", now_);
  EXPECT_EQ(Step(), "start app/svc 1");
  reconciler_.Started(kKey, now_);
  EXPECT_EQ(Status().restarts(), 1u);
  EXPECT_EQ(reconciler_.Restart({"app", "other"}).code(), StatusCode::kNotFound);
}

TEST_F(ReconcilerTest, ARestartOnRequestEndsTheWaitAfterAFailure) {
  RunFirst();
  reconciler_.Ended(kKey, "exit code 1", now_);
  EXPECT_EQ(Step(), "");
  EXPECT_TRUE(reconciler_.Restart(kKey).ok());
  EXPECT_EQ(Step(), "start app/svc 1");
}

TEST_F(ReconcilerTest, AnAdoptedProcessIsNotStartedTwice) {
  reconciler_.Adopted(Spec(kA), now_);
  Want({Spec(kA)});
  EXPECT_EQ(Step(), "");
  Hear();
  EXPECT_EQ(Status().state(), v1::RUNNING);
  EXPECT_TRUE(reconciler_.AnythingRuns());
}

TEST_F(ReconcilerTest, AnAdoptedProcessThatNobodyWantsIsStopped) {
  reconciler_.Adopted(Spec(kA), now_);
  Want({});
  EXPECT_EQ(Step(), "stop app/svc");
}

TEST_F(ReconcilerTest, ShuttingDownStopsAllAndStartsNothing) {
  RunFirst();
  reconciler_.ShutDown();
  EXPECT_EQ(Step(), "stop app/svc");
  Want({Spec(kB)});  // comes too late
  EXPECT_EQ(Step(), "");
  reconciler_.Ended(kKey, "exit code 0", now_);
  EXPECT_EQ(Step(), "");  // its log is still there at the next start
  EXPECT_FALSE(reconciler_.AnythingRuns());
}

TEST_F(ReconcilerTest, ADeviceThatChangedIsAskedAgain) {
  refusal_ = FailedPreconditionError("no runtime");
  Want({Spec(kA)});
  EXPECT_EQ(Step(), "");
  reconciler_.CheckAgain();
  EXPECT_EQ(Step(), "");
  refusal_ = OkStatus();
  reconciler_.CheckAgain();
  EXPECT_EQ(Step(), "fetch app/svc 1");
}

TEST_F(ReconcilerTest, WhatMustStayOnDiskIsWantedOrRunning) {
  RunFirst();
  Want({Spec(kB)});
  Step();
  std::vector<std::string> digests;
  for (const v1::ServiceSpec& spec : reconciler_.Needed()) digests.push_back(spec.digest());
  EXPECT_THAT(digests, ::testing::UnorderedElementsAre(kA, kB));
}

TEST_F(ReconcilerTest, AStateKeepsItsBeginningUntilItChanges) {
  RunFirst();
  const auto since = Status().since_unix_ns();
  now_ += 5 * kSecond;
  Hear();
  EXPECT_EQ(Status().since_unix_ns(), since);
  reconciler_.Ended(kKey, "exit code 1", now_);
  EXPECT_EQ(Status().since_unix_ns(), now_);
}

// Whatever happens in whatever order, what is wanted runs in the end, and never two at once.
// length: one walk, every step of which is checked
TEST_F(ReconcilerTest, ConvergesFromAnySequence) {
  std::uint64_t random = 88172645463325252ULL;
  const auto next = [&](std::uint64_t below) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random % below;
  };
  for (int round = 0; round < 300; ++round) {
    Reconciler reconciler(Options());
    Nanos now = kSecond;
    int running = 0;
    std::string runs;
    const auto carry_out = [&](bool kind) {
      for (const Action& action : reconciler.Step(now)) {
        const bool works = kind || next(3) > 0;
        switch (action.kind) {
          case Action::Kind::kFetch:
            works ? reconciler.ContentReady(ContentKeyOf(action.spec))
                  : reconciler.FetchFailed(ContentKeyOf(action.spec), UnavailableError("x"), now);
            break;
          case Action::Kind::kStart:
            ASSERT_EQ(running, 0);
            if (works) {
              ++running;
              runs = action.spec.digest();
              reconciler.Started(action.service, now);
            } else if (next(2) == 0) {
              reconciler.Deferred(action.service, "port", now);
            } else {
              reconciler.StartFailed(action.service, InternalError("x"), now);
            }
            break;
          case Action::Kind::kStop:
            ASSERT_EQ(running, 1);
            --running;
            reconciler.Ended(action.service, "asked", now);
            break;
          case Action::Kind::kForget: ASSERT_EQ(running, 0); break;
        }
      }
    };
    for (int i = 0; i < 60; ++i) {
      now += static_cast<Nanos>(next(20)) * kSecond;
      switch (next(6)) {
        case 0: reconciler.SetDesired(Wants({Spec(kA)}), now); break;
        case 1: reconciler.SetDesired(Wants({Spec(kB)}), now); break;
        case 2: reconciler.SetDesired(Wants({}), now); break;
        case 3:
          if (running > 0) {
            --running;
            reconciler.Ended(kKey, "crash", now);
          }
          break;
        case 4: (void)reconciler.Restart(kKey); break;
        default: reconciler.Heard(kKey, nullptr, now);
      }
      carry_out(false);
      if (HasFatalFailure()) return;
    }
    reconciler.SetDesired(Wants({Spec(kB)}), now);
    for (int i = 0; i < 20; ++i) {
      now += 301 * kSecond;
      reconciler.Heard(kKey, nullptr, now);
      carry_out(true);
      if (HasFatalFailure()) return;
    }
    ASSERT_EQ(running, 1) << round;
    ASSERT_EQ(runs, kB) << round;
  }
}

}  // namespace
}  // namespace selvedge
