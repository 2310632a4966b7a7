#include "cloud/fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cloud/fleet/fleet_test_util.h"

namespace selvedge {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class FleetTest : public testing::Test {
 protected:
  FleetChange Birth(const v1::Birth& birth, const std::string& site = "plant-1") {
    bool ours = false;
    FleetChange change = fleet_.OnBirth(site, birth.device(), birth, &ours);
    EXPECT_TRUE(ours);
    return change;
  }
  FleetChange State(const v1::State& state, bool retained = false,
                    const std::string& site = "plant-1") {
    bool ours = false;
    FleetChange change = fleet_.OnState(site, state.device(), state, retained, &ours);
    EXPECT_TRUE(ours);
    return change;
  }
  v1::State NowState(const std::string& name, std::uint64_t sequence, std::uint64_t generation = 0,
                     const std::string& boot = "boot-1") {
    return AState(name, sequence, generation, clock_.Wall(), boot);
  }
  void Join(const std::string& name, v1::Role role = v1::DEVICE) {
    fleet_.AddNode(ANode(name, "plant-1", role));
  }
  const Node& Get(const std::string& name) { return *fleet_.Find(name); }

  FakeClock clock_{1000 * kSecond};
  Fleet fleet_{{.registry_url = "https://cloud:5443"}, clock_};
};

TEST_F(FleetTest, ANewDeviceGetsAnEmptyDocumentOfGenerationOne) {
  const FleetChange change = fleet_.AddNode(ANode("a"));
  EXPECT_THAT(change.desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").desired.generation(), 1U);
  EXPECT_EQ(Get("a").desired.registry(), "https://cloud:5443");
  EXPECT_THAT(Get("a").desired.services(), IsEmpty());
  EXPECT_EQ(Get("a").status, NodeStatus::kNever);
}

TEST_F(FleetTest, ApplyingPublishesToThoseThatFitAndToNobodyElse) {
  Join("a");
  Join("b");
  Birth(ABirth("a", {{"hardware", "jetson"}}));
  Birth(ABirth("b"));
  FleetChange change = fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson))});
  EXPECT_THAT(change.desired, ElementsAre("a"));
  ASSERT_EQ(Get("a").desired.services_size(), 1);
  const v1::ServiceSpec& spec = Get("a").desired.services(0);
  EXPECT_EQ(spec.application(), "app");
  EXPECT_EQ(spec.name(), "detector");
  EXPECT_EQ(spec.kind(), v1::PIPELINE);
  EXPECT_EQ(spec.repository(), "a/b");
  EXPECT_EQ(spec.digest(), "sha256:one");
  EXPECT_EQ(spec.version(), "1");
  EXPECT_EQ(Get("a").desired.generation(), 2U);
  // The same again changes nothing.
  change = fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson))});
  EXPECT_THAT(change.desired, IsEmpty());
  // Another digest of the same tag does.
  change = fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson), 1, "sha256:two")});
  EXPECT_THAT(change.desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").desired.generation(), 3U);
  change = fleet_.RemoveApplication("app");
  EXPECT_THAT(change.desired, ElementsAre("a"));
  EXPECT_THAT(Get("a").desired.services(), IsEmpty());
}

TEST_F(FleetTest, LabelsThatChangeMoveTheApplication) {
  fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson))});
  Join("a");
  EXPECT_THAT(Birth(ABirth("a")).desired, IsEmpty());
  EXPECT_THAT(Birth(ABirth("a", {{"hardware", "jetson"}}, "boot-2")).desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").desired.services_size(), 1);
  EXPECT_THAT(Birth(ABirth("a", {}, "boot-3")).desired, ElementsAre("a"));
  EXPECT_THAT(Get("a").desired.services(), IsEmpty());
}

TEST_F(FleetTest, ADeviceThatKnowsALaterGenerationGetsOneAboveIt) {
  Join("a");
  const FleetChange change = State(NowState("a", 1, 41));
  EXPECT_THAT(change.desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").desired.generation(), 42U);
  EXPECT_THAT(State(NowState("a", 2, 42)).desired, IsEmpty());
  EXPECT_TRUE(Get("a").InSync());
}

TEST_F(FleetTest, RestoringGivesTheSameDocumentsAndNoNewGenerations) {
  Join("a");
  Birth(ABirth("a", {{"hardware", "jetson"}}));
  fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson))});
  Fleet again({}, clock_);
  EXPECT_THAT(again.Restore({Get("a")}, {AnApplication(AManifest("app", kOnJetson))}).desired,
              IsEmpty());
  EXPECT_THAT(again.SetRegistry("https://cloud:5443").desired, IsEmpty());
  EXPECT_EQ(again.Find("a")->desired.generation(), Get("a").desired.generation());
  EXPECT_EQ(again.Find("a")->status, NodeStatus::kStale);
  // What changed while it was away shows.
  EXPECT_THAT(again.RemoveApplication("app").desired, ElementsAre("a"));
  EXPECT_THAT(again.Find("a")->status_reason, HasSubstr("since the control plane started"));
}

TEST_F(FleetTest, StatusFollowsBirthStateSilenceAndWill) {
  Join("a");
  EXPECT_EQ(Get("a").status, NodeStatus::kNever);
  Birth(ABirth("a"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
  State(NowState("a", 1));
  clock_.Advance(90 * kSecond);
  EXPECT_THAT(fleet_.Tick().nodes, IsEmpty());
  clock_.Advance(kSecond);
  EXPECT_THAT(fleet_.Tick().nodes, ElementsAre("a"));
  EXPECT_EQ(Get("a").status, NodeStatus::kStale);
  State(NowState("a", 2));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
  Birth(AWill("a"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOffline);
  EXPECT_TRUE(Get("a").birth.has_facts()) << "a Will must not take the facts away";
  Birth(ABirth("a", {}, "boot-2"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
}

TEST_F(FleetTest, AStateKeptByTheBrokerIsNoSignOfLife) {
  Join("a");
  Birth(ABirth("a"));
  clock_.Advance(91 * kSecond);
  State(NowState("a", 1), /*retained=*/true);
  fleet_.Tick();
  EXPECT_EQ(Get("a").status, NodeStatus::kStale);
}

TEST_F(FleetTest, WithoutTheirGatewayDevicesAreUnreachable) {
  Join("gw", v1::GATEWAY);
  Join("a");
  Join("b");
  Birth(ABirth("gw"));
  Birth(ABirth("a"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
  const FleetChange change = Birth(AWill("gw"));
  EXPECT_EQ(Get("gw").status, NodeStatus::kOffline);
  EXPECT_EQ(Get("a").status, NodeStatus::kUnreachable);
  EXPECT_THAT(Get("a").status_reason, HasSubstr("gw"));
  EXPECT_EQ(Get("b").status, NodeStatus::kNever);
  EXPECT_THAT(change.nodes, Contains("a"));
  Birth(ABirth("gw", {}, "boot-2"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
}

TEST_F(FleetTest, LateAndDoubledStatesCountForNothing) {
  Join("a");
  Birth(ABirth("a"));
  State(NowState("a", 5, 1));
  v1::State late = NowState("a", 4, 1);
  late.set_trouble("old");
  EXPECT_TRUE(State(late).empty());
  EXPECT_EQ(Get("a").state.trouble(), "");
  EXPECT_TRUE(State(NowState("a", 5, 1)).empty());
  v1::State rebooted = NowState("a", 1, 1, "boot-2");
  rebooted.set_trouble("new");
  EXPECT_FALSE(State(rebooted).empty());
  EXPECT_EQ(Get("a").state.trouble(), "new");
}

TEST_F(FleetTest, ABirthOrWillOfAnEarlierBootDoesNotUndoTheLater) {
  Join("a");
  Birth(ABirth("a"));
  Birth(ABirth("a", {{"hardware", "jetson"}}, "boot-2"));
  EXPECT_TRUE(Birth(AWill("a", "boot-1")).empty());
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
  EXPECT_TRUE(Birth(ABirth("a", {}, "boot-1")).empty());
  EXPECT_EQ(Get("a").birth.labels().size(), 1U);
  // A Will of the boot that states come from counts, whatever birth was last.
  State(NowState("a", 1, 0, "boot-3"));
  Birth(AWill("a", "boot-3"));
  EXPECT_EQ(Get("a").status, NodeStatus::kOffline);
}

// Doubled by a link, it comes after the birth of the next connection.
TEST_F(FleetTest, AWillThatComesLateIsOverWhenTheNodeGoesOnReporting) {
  Join("a");
  Birth(ABirth("a"));
  State(NowState("a", 1));
  Birth(AWill("a"));
  State(NowState("a", 1));  // again
  State(NowState("a", 2));  // may have been on its way
  EXPECT_EQ(Get("a").status, NodeStatus::kOffline);
  State(NowState("a", 3));
  EXPECT_EQ(Get("a").status, NodeStatus::kOnline);
  Birth(AWill("a"));
  State(NowState("a", 4), /*retained=*/true);
  State(NowState("a", 5), /*retained=*/true);
  EXPECT_EQ(Get("a").status, NodeStatus::kOffline) << "what the broker kept is no sign of life";
}

// A gateway that kept a birth of an earlier boot says it to a control plane that was restarted.
TEST_F(FleetTest, ABirthOfAnEarlierBootGivesWayToTheBootThatStatesComeFrom) {
  Join("a");
  fleet_.PutApplications({AnApplication(AManifest("app", kOnJetson))});
  Birth(ABirth("a", {{"hardware", "jetson"}}, "boot-2"));
  State(NowState("a", 1, 0, "boot-2"));
  EXPECT_THAT(Birth(ABirth("a", {}, "boot-1")).desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").desired.services_size(), 0);
  State(NowState("a", 2, 0, "boot-2"));
  EXPECT_THAT(State(NowState("a", 3, 0, "boot-2")).desired, ElementsAre("a"));
  EXPECT_EQ(Get("a").birth.boot_id(), "boot-2");
  EXPECT_EQ(Get("a").desired.services_size(), 1);
  // And it is known from here on.
  EXPECT_TRUE(Birth(ABirth("a", {}, "boot-1")).empty());
}

// The device keeps the document that it has when another one comes with the same generation.
TEST_F(FleetTest, NoGenerationIsGivenTwiceAfterABackupOrUnderANameThatIsFreeAgain) {
  clock_.SetWall(1'800'000'000 * kSecond);
  Join("a");
  Birth(ABirth("a", {{"hardware", "jetson"}}));
  const NodeRecord backup = Get("a");
  clock_.Advance(kSecond);
  fleet_.PutApplications({AnApplication(AManifest("lost", kOnJetson))});
  const std::uint64_t lost = Get("a").desired.generation();
  clock_.Advance(kSecond);
  Fleet again({.registry_url = "https://cloud:5443"}, clock_);
  again.Restore({backup}, {});
  again.PutApplications({AnApplication(AManifest("other", kOnJetson))});
  EXPECT_GT(again.Find("a")->desired.generation(), lost);
  fleet_.RemoveNode("a");
  Join("a");
  EXPECT_GT(Get("a").desired.generation(), lost);
}

TEST_F(FleetTest, WhoIsNoMemberOfTheSiteIsNotHeard) {
  Join("a");
  bool ours = true;
  EXPECT_TRUE(fleet_.OnBirth("plant-2", "a", ABirth("a"), &ours).empty());
  EXPECT_FALSE(ours);
  EXPECT_TRUE(fleet_.OnState("plant-1", "stranger", NowState("stranger", 1), false, &ours).empty());
  EXPECT_FALSE(ours);
}

TEST_F(FleetTest, AGatewaysDocumentListsItsDevicesAndTheyUseItsMirror) {
  NodeRecord gateway = ANode("gw", "plant-1", v1::GATEWAY);
  gateway.offered_registry = "https://gw:5443";
  Join("a");
  fleet_.AddNode(ANode("other", "plant-2"));
  const FleetChange change = fleet_.AddNode(gateway);
  EXPECT_THAT(change.desired, ElementsAre("a", "gw"));
  ASSERT_EQ(Get("gw").desired.members_size(), 1);
  EXPECT_EQ(Get("gw").desired.members(0).device(), "a");
  EXPECT_EQ(Get("gw").desired.members(0).certificate_sha256(), "certificate-of-a");
  EXPECT_EQ(Get("a").desired.registry(), "https://gw:5443");
  EXPECT_EQ(Get("other").desired.registry(), "https://cloud:5443");
  EXPECT_THAT(fleet_.AddNode(ANode("b")).desired, ElementsAre("b", "gw"));
  EXPECT_THAT(fleet_.RemoveNode("b").desired, ElementsAre("gw"));
  EXPECT_EQ(Get("gw").desired.members_size(), 1);
  fleet_.RemoveNode("gw");
  EXPECT_EQ(Get("a").desired.registry(), "https://cloud:5443");
}

TEST_F(FleetTest, AClockThatIsOffIsTroubleOnceTwoStatesSaySo) {
  Join("a");
  Birth(ABirth("a"));
  const Nanos year = 365 * 86'400 * kSecond;
  State(AState("a", 1, 0, clock_.Wall() - year));
  EXPECT_EQ(Get("a").Trouble(), "");
  State(AState("a", 2, 0, clock_.Wall() - year));
  EXPECT_EQ(Get("a").Trouble(), "its clock is 365 days slow");
  EXPECT_TRUE(Get("a").Failing());
  State(NowState("a", 3));
  EXPECT_EQ(Get("a").Trouble(), "");
}

TEST_F(FleetTest, AFailingServiceShowsInItsDeviceAndApplication) {
  Join("a");
  v1::State state = NowState("a", 1);
  AddService(&state, "app", "detector", v1::RUNNING);
  State(state);
  EXPECT_FALSE(Get("a").Failing());
  state.set_sequence(2);
  state.mutable_services(0)->set_state(v1::FAILING);
  const FleetChange change = State(state);
  EXPECT_TRUE(Get("a").Failing());
  EXPECT_THAT(change.applications, ElementsAre("app"));
  state.set_sequence(3);
  state.mutable_services(0)->mutable_pipeline()->set_frames_per_second(10);
  EXPECT_THAT(State(state).applications, IsEmpty());
}

TEST_F(FleetTest, JoiningAgainKeepsTheGenerations) {
  Join("a");
  State(NowState("a", 1, 9));
  fleet_.AddNode(ANode("a"));
  EXPECT_GE(Get("a").desired.generation(), 10U);
}

TEST_F(FleetTest, PreviewSaysWhatWouldHappenAndChangesNothing) {
  Join("a");
  Birth(ABirth("a", {{"gpu", "1"}}));
  fleet_.PutApplications(
      {AnApplication(AManifest("old", "", "pipeline:a:1", "    resources: {gpu: 1}\n"))});
  const auto placements = fleet_.Placements(
      {AnApplication(AManifest("new", "", "pipeline:a:1", "    resources: {gpu: 1}\n"), 2)});
  ASSERT_EQ(placements.size(), 2U);
  EXPECT_EQ(placements[0].application, "new");
  EXPECT_FALSE(placements[0].devices[0].fits);
  EXPECT_TRUE(placements[1].devices[0].fits);
  EXPECT_EQ(fleet_.applications().size(), 1U);
}

}  // namespace
}  // namespace selvedge
