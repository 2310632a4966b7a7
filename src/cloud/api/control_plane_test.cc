#include "cloud/api/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "cloud/api/overview.h"
#include "cloud/api/views.h"
#include "cloud/fleet/fleet_test_util.h"
#include "core/topic.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class OnePackage : public Packages {
 public:
  Result<std::vector<PackageInfo>> List() override {
    return std::vector<PackageInfo>{{.name = "a/b"}};
  }
  std::size_t Count() override { return 1; }
  Result<PackageInfo> Find(std::string_view name) override {
    return name == "a/b" ? Result<PackageInfo>(PackageInfo{.name = "a/b"})
                         : Err(NotFoundError("none"));
  }
  Result<std::string> Resolve(std::string_view name, std::string_view reference) override {
    if (name == "a/b" && reference == "1") return "sha256:" + std::string(64, 'a');
    return Err(NotFoundError("no such tag"));
  }
  std::uint64_t Traffic() override { return 0; }
};

class ControlPlaneTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }

  void Open() {
    plane_.reset();
    auto plane = ControlPlane::Open(
        {.folder = folder_ / "state", .authority = authority_, .version = "0.1.0"}, &packages_,
        clock_);
    ASSERT_TRUE(plane) << plane.error().ToString();
    plane_ = *std::move(plane);
    plane_->SetOutputs(
        {.publish =
             [this](const std::string& topic, std::string payload, int, bool) {
               if (!publishing_) return UnavailableError("full");
               published_[topic].push_back(std::move(payload));
               return OkStatus();
             },
         .members_changed =
             [this](const std::vector<CloudBrokerNode>& members) { members_ = members; },
         .traffic = [] { return std::pair<std::uint64_t, std::uint64_t>(0, 0); }});
    plane_->SetAddresses({.api = "https://cloud:8443",
                          .mqtt = {"mqtts://cloud:8883"},
                          .registry = "https://cloud:5443"});
    plane_->OnConnected();
    published_.clear();
  }
  JoinAnswer Join(const std::string& name, const std::string& role = "device") {
    const auto token = plane_->joining().MakeToken({.join = true, .role = role, .site = "plant-1"});
    const auto answer = plane_->Join({.token_id = token->record.id,
                                      .secret = token->secret,
                                      .name = name,
                                      .role = role,
                                      .csr = *MakeCertificateRequest(key_, name)});
    EXPECT_TRUE(answer) << answer.error().ToString();
    return answer ? *answer : JoinAnswer{};
  }
  void Send(TopicKind kind, const std::string& name, const google::protobuf::Message& message) {
    plane_->OnMessage(TopicName("plant-1", name, kind), message.SerializeAsString(), false);
  }
  void Online(const std::string& name,
              const std::vector<std::pair<std::string, std::string>>& labels = {}) {
    Send(TopicKind::kBirth, name, ABirth(name, labels));
  }
  v1::Desired LastDesired(const std::string& name) {
    v1::Desired desired;
    const auto& list = published_[TopicName("plant-1", name, TopicKind::kDesired)];
    if (!list.empty()) desired.ParseFromString(list.back());
    return desired;
  }
  void Seconds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.Advance(kSecond);
      plane_->Tick();
    }
  }
  v1::EventBatch Batch(const std::string& device, const std::string& id) {
    v1::EventBatch batch;
    batch.set_stream("stream-of-" + device);
    batch.set_first(1);
    v1::Event* event = batch.add_events();
    event->set_id(id);
    event->set_device(device);
    event->set_captured_unix_ns(clock_.Wall() - 200 * kMillisecond);
    event->add_detections()->set_label("person");
    return batch;
  }

  StoreFolder folder_{MemoryFolder()};
  FakeClock clock_{1000 * kSecond};
  const CertificateAuthority authority_ = *MakeCertificateAuthority("fleet", clock_);
  const std::string key_ = *MakePrivateKey();
  OnePackage packages_;
  std::map<std::string, std::vector<std::string>> published_;
  std::vector<CloudBrokerNode> members_;
  bool publishing_ = true;
  std::unique_ptr<ControlPlane> plane_;
};

TEST_F(ControlPlaneTest, JoiningTellsWhereToGoAndLetsTheBrokerKnow) {
  const JoinAnswer answer = Join("a");
  EXPECT_THAT(answer.mqtt, ElementsAre("mqtts://cloud:8883"));
  EXPECT_EQ(answer.registry, "https://cloud:5443");
  ASSERT_EQ(members_.size(), 1U);
  EXPECT_EQ(members_[0].name, "a");
  EXPECT_EQ(LastDesired("a").generation(), 1U);
}

TEST_F(ControlPlaneTest, ApplyPublishesAndSurvivesARestart) {
  Join("a");
  Online("a");
  const auto applied = plane_->Apply(AManifest("app"), "m.yaml", false);
  ASSERT_TRUE(applied) << applied.error().ToString();
  EXPECT_TRUE(applied->applied);
  EXPECT_TRUE(applied->placements[0].devices[0].fits);
  const v1::Desired desired = LastDesired("a");
  ASSERT_EQ(desired.services_size(), 1);
  EXPECT_EQ(desired.services(0).digest(), "sha256:" + std::string(64, 'a'));
  plane_->Tick();
  Open();
  plane_->OnConnected();
  EXPECT_EQ(LastDesired("a").SerializeAsString(), desired.SerializeAsString());
}

TEST_F(ControlPlaneTest, AWrongManifestChangesNothing) {
  Join("a");
  Online("a");
  const std::string unknown =
      AManifest("app") + "---\n" + AManifest("two", "", "pipeline:no/such:9");
  const auto refused = plane_->Apply(unknown, "m.yaml", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(refused.error().message(),
              HasSubstr("pipeline:no/such:9 is not in the fleet's registry"));
  EXPECT_EQ(plane_->Apply("kind: x\n", "m.yaml", false).error().code(),
            StatusCode::kInvalidArgument);
  EXPECT_THAT(plane_->Read([](const Fleet& fleet) { return fleet.applications().size(); }), 0U);
  EXPECT_THAT(LastDesired("a").services(), IsEmpty());
}

TEST_F(ControlPlaneTest, ADryRunSaysAndDoesNothing) {
  Join("a");
  Online("a");
  const auto applied = plane_->Apply(AManifest("app", kOnJetson), "m.yaml", true);
  ASSERT_TRUE(applied);
  EXPECT_FALSE(applied->applied);
  EXPECT_THAT(applied->placements[0].devices[0].reasons,
              ElementsAre("hardware is not there, must be jetson"));
  EXPECT_EQ(plane_->Read([](const Fleet& fleet) { return fleet.applications().size(); }), 0U);
}

TEST_F(ControlPlaneTest, WhatTheQueueDoesNotTakeIsPublishedLater) {
  Join("a");
  Online("a");
  publishing_ = false;
  ASSERT_TRUE(plane_->Apply(AManifest("app"), "m.yaml", false));
  EXPECT_EQ(LastDesired("a").services_size(), 0);
  publishing_ = true;
  Seconds(1);
  EXPECT_EQ(LastDesired("a").services_size(), 1);
}

TEST_F(ControlPlaneTest, EventsAreAcknowledgedAfterTheyAreStored) {
  Join("a");
  Send(TopicKind::kEvent, "a", Batch("a", "e1"));
  Send(TopicKind::kEvent, "a", Batch("a", "e1"));
  const auto& acks = published_[TopicName("plant-1", "a", TopicKind::kAck)];
  ASSERT_EQ(acks.size(), 2U);
  v1::Ack ack;
  ASSERT_TRUE(ack.ParseFromString(acks.back()));
  EXPECT_EQ(ack.through(), 1U);
  EXPECT_EQ(plane_->events().Query({})->size(), 1U);
  const auto numbers = plane_->ReadNumbers();
  EXPECT_EQ(numbers.totals.events, 1U);
  EXPECT_EQ(numbers.totals.doubled, 1U);
  EXPECT_NEAR(numbers.event_p50_ms, 200, 1);
}

TEST_F(ControlPlaneTest, WhoIsNoMemberAndWhatDoesNotParseIsCountedAndNotAnswered) {
  Join("a");
  Send(TopicKind::kEvent, "stranger", Batch("stranger", "e1"));
  Send(TopicKind::kBirth, "stranger", ABirth("stranger"));
  plane_->OnMessage(TopicName("plant-1", "a", TopicKind::kState), "\xFF\xFF", false);
  plane_->OnMessage(TopicName("plant-1", "a", TopicKind::kEvent), "\xFF\xFF", false);
  plane_->OnMessage("selvedge/v2/x", "y", false);
  EXPECT_TRUE(plane_->events().Query({})->empty());
  EXPECT_EQ(plane_->ReadNumbers().foreign_messages, 2U);
  EXPECT_EQ(plane_->ReadNumbers().bad_messages, 2U);
  EXPECT_EQ(published_.count(TopicName("plant-1", "stranger", TopicKind::kAck)), 0U);
}

TEST_F(ControlPlaneTest, AGatewaySpeaksForTheDevicesOfItsSiteOnly) {
  Join("a");
  Join("gw", "gateway");
  v1::EventBatch batch = Batch("a", "e1");
  *batch.add_events() = batch.events(0);
  batch.mutable_events(1)->set_id("e2");
  batch.mutable_events(1)->set_device("elsewhere");
  Send(TopicKind::kEvent, "gw", batch);
  EXPECT_EQ(plane_->events().Query({})->size(), 1U);
}

TEST_F(ControlPlaneTest, DeletingShutsOutAndLeavesNothingOnTheBroker) {
  Join("a");
  Online("a");
  ASSERT_TRUE(plane_->DeleteNode("a").ok());
  EXPECT_THAT(members_, IsEmpty());
  for (const TopicKind kind : {TopicKind::kDesired, TopicKind::kBirth, TopicKind::kState}) {
    EXPECT_EQ(published_[TopicName("plant-1", "a", kind)].back(), "");
  }
  EXPECT_EQ(plane_->DeleteNode("a").code(), StatusCode::kNotFound);
  Online("a");
  EXPECT_EQ(plane_->Read([](const Fleet& fleet) { return fleet.nodes().size(); }), 0U);
}

TEST_F(ControlPlaneTest, ACommandIsAnsweredByTheDeviceThatWasAskedOrTimesOut) {
  Join("a");
  Join("b");
  Online("a");
  std::vector<Result<v1::CommandResult>> answers;
  const auto keep = [&](Result<v1::CommandResult> result) { answers.push_back(std::move(result)); };
  v1::Command command;
  command.mutable_logs();
  plane_->Command("b", command, kSecond, keep);
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].error().code(), StatusCode::kUnavailable) << "it was never heard";
  plane_->Command("a", command, 10 * kSecond, keep);
  v1::Command sent;
  ASSERT_TRUE(
      sent.ParseFromString(published_[TopicName("plant-1", "a", TopicKind::kCommand)].back()));
  v1::CommandResult result;
  result.set_id(sent.id());
  result.set_text("forged");
  Send(TopicKind::kResult, "b", result);
  EXPECT_EQ(answers.size(), 1U);
  result.set_text("lines");
  Send(TopicKind::kResult, "a", result);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1]->text(), "lines");
  plane_->Command("a", command, 10 * kSecond, keep);
  Seconds(11);
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[2].error().code(), StatusCode::kDeadlineExceeded);
}

TEST_F(ControlPlaneTest, TroubleIsSaidWorstFirst) {
  Join("a");
  Online("a");
  ASSERT_TRUE(plane_->Apply(AManifest("app", kOnJetson), "m.yaml", false));
  auto overview = nlohmann::json::parse(OverviewJson(*plane_));
  EXPECT_EQ(overview["devices"]["online"], 1);
  EXPECT_EQ(overview["packages"], 1);
  ASSERT_EQ(overview["trouble"].size(), 1U);
  EXPECT_EQ(overview["trouble"][0]["what"], "application app runs nowhere: no device fits");
  Send(TopicKind::kBirth, "a", AWill("a"));
  overview = nlohmann::json::parse(OverviewJson(*plane_));
  ASSERT_EQ(overview["trouble"].size(), 2U);
  EXPECT_EQ(overview["trouble"][0]["severity"], "error");
  EXPECT_THAT(std::string(overview["trouble"][0]["what"]), HasSubstr("a is offline since"));
  EXPECT_EQ(overview["trouble"][0]["href"], "#/devices/a");
  EXPECT_TRUE(plane_->Ready().ok());
  plane_->OnDisconnected(UnavailableError("gone"));
  EXPECT_FALSE(plane_->Ready().ok());
}

TEST_F(ControlPlaneTest, WhatWasHeardIsKeptOverARestart) {
  Join("a");
  Online("a", {{"hardware", "jetson"}});
  Seconds(11);
  Open();
  plane_->Read([](const Fleet& fleet) {
    EXPECT_EQ(fleet.Find("a")->birth.labels().at("hardware"), "jetson");
    EXPECT_EQ(fleet.Find("a")->status, NodeStatus::kStale);
    return 0;
  });
}

TEST_F(ControlPlaneTest, ViewsSayWhatTheFormatSays) {
  Join("a");
  Online("a", {{"gpu", "1"}, {"hardware", "jetson"}});
  v1::State state = AState("a", 1, 1, clock_.Wall());
  AddService(&state, "app", "detector", v1::RUNNING);
  state.mutable_services(0)->mutable_pipeline()->set_frames_per_second(10);
  Send(TopicKind::kState, "a", state);
  const auto device = plane_->Read([](const Fleet& fleet) { return DeviceJson(*fleet.Find("a")); });
  EXPECT_EQ(device["status"], "online");
  EXPECT_EQ(device["declared"], nlohmann::json({"gpu"}));
  EXPECT_EQ(device["facts"]["memory_mb"], 8192);
  EXPECT_EQ(device["in_sync"], true);
  EXPECT_EQ(device["services"][0]["state"], "running");
  EXPECT_EQ(device["services"][0]["pipeline"]["fps"], 10);
  EXPECT_EQ(device["services"][0]["pipeline"]["privacy"], "local-only");
  Send(TopicKind::kEvent, "a", Batch("a", "e1"));
  const auto event = nlohmann::json::parse(EventJson(plane_->events().Query({})->front()));
  EXPECT_EQ(event["id"], "e1");
  EXPECT_EQ(event["site"], "plant-1");
  EXPECT_EQ(event["cursor"], "1");
  EXPECT_EQ(event["detections"][0]["label"], "person");
}

TEST_F(ControlPlaneTest, AFullDiskIsShownRefusesOrdersAndIsOverWhenThereIsRoom) {
  plane_.reset();
  StoreFolder small;
  if (const std::string why = small.MakeSmallDisk(1500); !why.empty()) GTEST_SKIP() << why;
  auto plane =
      ControlPlane::Open({.folder = small / "state", .authority = authority_}, &packages_, clock_);
  ASSERT_TRUE(plane) << plane.error().ToString();
  plane_ = *std::move(plane);
  plane_->OnConnected();
  FillDisk(small / "filler");
  const std::string large = AManifest("app") + "#" + std::string(600'000, 'x') + "\n";
  const auto refused = plane_->Apply(large, "m.yaml", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), StatusCode::kResourceExhausted);
  EXPECT_FALSE(plane_->Ready().ok());
  EXPECT_THAT(OverviewJson(*plane_), HasSubstr("the control plane cannot write"));
  std::filesystem::remove(small / "filler");
  Seconds(2);
  EXPECT_TRUE(plane_->Ready().ok()) << plane_->Ready().ToString();
  EXPECT_TRUE(plane_->Apply(AManifest("app"), "m.yaml", false));
  plane_.reset();
}

}  // namespace
}  // namespace selvedge
