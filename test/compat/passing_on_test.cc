// What a message of another version meets on its way through device, gateway and control plane.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "cloud/fleet/fleet.h"
#include "compat/golden.h"
#include "core/event_batch.h"
#include "device/agent/reconcile.h"
#include "gateway/node_relay.h"
#include "gateway/site_store.h"
#include "store/inbox.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

const std::string kNew(kNewField);

class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "selvedge-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const char* name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

template <typename T>
T Golden(const std::string& name) {
  T message;
  EXPECT_TRUE(message.ParseFromString(ReadGolden(name + ".pb"))) << name;
  return message;
}

// ---- an older peer is understood ---------------------------------------------------------------

TEST(OlderPeer, ItsBirthAndStateAreTakenByTheControlPlane) {
  const FakeClock clock;
  Fleet fleet({}, clock);
  NodeRecord record;
  record.name = "pi-1";
  record.site = "plant-1";
  fleet.AddNode(record);
  bool ours = false;
  fleet.OnBirth("plant-1", "pi-1", Golden<v1::Birth>("birth"), &ours);
  EXPECT_TRUE(ours);
  fleet.OnState("plant-1", "pi-1", Golden<v1::State>("state"), false, &ours);
  EXPECT_TRUE(ours);
  const Node& node = *fleet.Find("pi-1");
  EXPECT_EQ(node.status, NodeStatus::kOnline);
  EXPECT_EQ(node.birth.facts().arch(), "arm64");
  EXPECT_EQ(node.birth.labels().at("hardware"), "pi");
  EXPECT_EQ(node.desired.generation(), node.state.generation() + 1) << "it is overtaken";
  fleet.OnBirth("plant-1", "pi-1", Golden<v1::Birth>("will"), &ours);
  EXPECT_EQ(node.status, NodeStatus::kOffline);
}

TEST(OlderPeer, ItsDocumentIsActedUpon) {
  Reconciler reconciler({});
  reconciler.SetDesired(Golden<v1::Desired>("desired"), 0);
  const std::vector<Action> actions = reconciler.Step(0);
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_EQ(actions[0].service.ToString(), "safety/camera");
  EXPECT_EQ(actions[0].spec.resources().gpu(), 1U);
  EXPECT_EQ(actions[1].spec.kind(), v1::CONTAINER);
  EXPECT_EQ(actions[1].spec.volumes(0).host(), "/var/edge-models");
}

TEST(OlderPeer, ItsEventsAreCommittedAndAcknowledged) {
  const Folder folder;
  const std::array<std::string_view, 1> migrations = {kInboxSchema};
  auto database = Database::Open(folder / "inbox.db", migrations);
  ASSERT_TRUE(database) << database.error().ToString();
  Inbox inbox(database->get());
  std::vector<std::string> ids;
  const auto keep = [&](v1::EventList* fresh) {
    for (const v1::Event& event : fresh->events()) ids.push_back(event.id());
    for (const v1::Aggregate& aggregate : fresh->aggregates()) ids.push_back(aggregate.id());
    return OkStatus();
  };
  for (const char* name : {"event_batch", "event_batch_compressed", "event_batch"}) {
    const auto accepted = inbox.Accept("pi-1", Golden<v1::EventBatch>(name), keep);
    ASSERT_TRUE(accepted) << accepted.error().ToString();
    EXPECT_FALSE(accepted->gap);
  }
  EXPECT_THAT(ids, testing::ElementsAre("01HZZZZZZZZZZZZZZZZZZZZZZ1", "01HZZZZZZZZZZZZZZZZZZZZZZ2",
                                        "01HZZZZZZZZZZZZZZZZZZZZZZ3"));
}

// ---- what a newer peer added goes through ------------------------------------------------------

TEST(NewerPeer, ItsBirthStateAndDocumentPassTheGatewayUnchanged) {
  NodeRelay relay;
  std::vector<std::string> gone;
  relay.SetMembers({"pi-1"}, kSecond, &gone);
  const std::string birth = ReadGolden("birth.pb") + kNew;
  const std::string state = ReadGolden("state.pb") + kNew;
  EXPECT_EQ(relay.OnBirth("pi-1", birth, kSecond).at(0).payload, birth);
  EXPECT_EQ(relay.OnState("pi-1", state, kSecond).at(0).payload, state);

  const Folder folder;
  const FakeClock clock;
  auto store = SiteStore::Open(folder / "site.db", clock);
  ASSERT_TRUE(store) << store.error().ToString();
  const std::string payload = ReadGolden("desired.pb") + kNew;
  v1::Desired desired;
  ASSERT_TRUE(desired.ParseFromString(payload));
  ASSERT_TRUE((*store)->KeepDesired("pi-1", desired, payload));
  EXPECT_EQ((*store)->AllDesired()->at(0).payload, payload);
}

TEST(NewerPeer, ItsEventsKeepTheirNewFieldsThroughOutboxAndGateway) {
  v1::Event event;
  ASSERT_TRUE(event.ParseFromString(ReadGolden("event.pb") + kNew));
  ASSERT_TRUE(event.mutable_decision()->MergeFromString(kNew));
  const Folder folder;
  const FakeClock clock;
  auto store = SiteStore::Open(folder / "site.db", clock);
  ASSERT_TRUE(store) << store.error().ToString();
  v1::EventBatch batch;
  batch.set_stream("of-the-device");
  batch.set_first(1);
  v1::EventList list;
  ASSERT_TRUE(list.add_events()->ParseFromString(OutboxRecord::Of(event).body));
  PackEvents(list, &batch);
  ASSERT_TRUE((*store)->Accept("pi-1", batch, v1::GatewayPolicy::RULES));
  auto slice = (*store)->outbox()->Peek(1, 1 << 20, 10);
  ASSERT_TRUE(slice) << slice.error().ToString();
  const auto out = UnpackEvents(MakeEventBatch(*std::move(slice)));
  ASSERT_TRUE(out) << out.error().ToString();
  ASSERT_EQ(out->events_size(), 1);
  EXPECT_THAT(out->events(0).SerializeAsString(), HasSubstr(kNew));
  EXPECT_THAT(out->events(0).decision().SerializeAsString(), HasSubstr(kNew));
}

// A kind of service, an order or a state that we do not know is no reason to drop what we do know.
TEST(NewerPeer, ValuesThatAreNotKnownAreKeptAsNumbers) {
  v1::Desired desired = Golden<v1::Desired>("desired");
  desired.mutable_services(0)->set_kind(static_cast<v1::ServiceKind>(77));
  v1::Desired again;
  ASSERT_TRUE(again.ParseFromString(desired.SerializeAsString()));
  EXPECT_EQ(static_cast<int>(again.services(0).kind()), 77);
  EXPECT_EQ(again.services_size(), 2);
}

}  // namespace
}  // namespace selvedge
