#include "cloud/fleet/fleet_tables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "cloud/fleet/fleet_test_util.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

class FleetTablesTest : public testing::Test {
 protected:
  void SetUp() override { Open(); }
  void Open() {
    tables_.reset();
    auto tables = FleetTables::Open(folder_ / "fleet.db");
    ASSERT_TRUE(tables) << tables.error().ToString();
    tables_ = *std::move(tables);
  }
  StoreFolder folder_{MemoryFolder()};
  std::unique_ptr<FleetTables> tables_;
};

TEST_F(FleetTablesTest, NodesComeBackWhole) {
  NodeRecord record = ANode("gw", "plant-1", v1::GATEWAY);
  record.offered_mqtt = {"mqtts://gw:8883"};
  record.offered_registry = "https://gw:5443";
  ASSERT_TRUE(tables_->SaveJoin(record, "PEM", "no-token").ok());
  record.birth = ABirth("gw", {{"hardware", "jetson"}});
  record.state = AState("gw", 3, 2, 5);
  record.last_seen_ms = 77;
  record.desired.set_generation(9);
  ASSERT_TRUE(tables_->SaveHeard({&record}).ok());
  ASSERT_TRUE(tables_->SaveDesired({&record}).ok());
  Open();
  const auto nodes = tables_->LoadNodes();
  ASSERT_TRUE(nodes) << nodes.error().ToString();
  ASSERT_EQ(nodes->size(), 1U);
  const NodeRecord& back = nodes->front();
  EXPECT_EQ(back.name, "gw");
  EXPECT_EQ(back.role, v1::GATEWAY);
  EXPECT_EQ(back.certificate_sha256, "certificate-of-gw");
  EXPECT_EQ(back.offered_mqtt, record.offered_mqtt);
  EXPECT_EQ(back.offered_registry, record.offered_registry);
  EXPECT_EQ(back.birth.SerializeAsString(), record.birth.SerializeAsString());
  EXPECT_EQ(back.state.sequence(), 3U);
  EXPECT_EQ(back.desired.generation(), 9U);
  EXPECT_EQ(back.last_seen_ms, 77);
  const auto gateway = tables_->GatewayOf("plant-1");
  ASSERT_TRUE(gateway && *gateway);
  EXPECT_EQ((*gateway)->name, "gw");
  EXPECT_FALSE(tables_->GatewayOf("plant-2")->has_value());
}

TEST_F(FleetTablesTest, JoiningAgainKeepsWhatWasHeard) {
  NodeRecord record = ANode("a");
  ASSERT_TRUE(tables_->SaveJoin(record, "PEM", "t").ok());
  record.desired.set_generation(4);
  ASSERT_TRUE(tables_->SaveDesired({&record}).ok());
  record.certificate_sha256 = "another";
  ASSERT_TRUE(tables_->SaveJoin(record, "PEM 2", "t").ok());
  const auto nodes = tables_->LoadNodes();
  ASSERT_TRUE(nodes && nodes->size() == 1);
  EXPECT_EQ(nodes->front().desired.generation(), 4U);
  EXPECT_EQ(nodes->front().certificate_sha256, "another");
  EXPECT_EQ((*tables_->FindNode("a"))->certificate_pem, "PEM 2");
}

TEST_F(FleetTablesTest, ADeletedNodesCertificateIsRemembered) {
  ASSERT_TRUE(tables_->SaveJoin(ANode("a"), "PEM", "t").ok());
  EXPECT_FALSE(*tables_->IsShutOut("certificate-of-a"));
  ASSERT_TRUE(tables_->RemoveNode("a", 5).ok());
  EXPECT_TRUE(*tables_->IsShutOut("certificate-of-a"));
  EXPECT_FALSE(tables_->FindNode("a")->has_value());
}

TEST_F(FleetTablesTest, ApplicationsComeBackFromTheirManifests) {
  const ApplicationRecord record = AnApplication(AManifest("app", kOnJetson), 11, "sha256:abc");
  ASSERT_TRUE(tables_->SaveApplications({record}).ok());
  Open();
  const auto records = tables_->LoadApplications();
  ASSERT_TRUE(records) << records.error().ToString();
  ASSERT_EQ(records->size(), 1U);
  EXPECT_EQ(records->front().application, record.application);
  EXPECT_EQ(records->front().manifest, record.manifest);
  EXPECT_EQ(records->front().created_ms, 11);
  EXPECT_EQ(records->front().images.at("pipeline:a/b:1").digest, "sha256:abc");
  ASSERT_TRUE(tables_->RemoveApplication("app").ok());
  EXPECT_TRUE(tables_->LoadApplications()->empty());
}

TEST_F(FleetTablesTest, TokensAreListedByPageAndSpentByAJoin) {
  for (const std::string id : {"b", "a", "c"}) {
    ASSERT_TRUE(
        tables_->AddToken({.id = id, .join = true, .role = "device", .site = "s"}, 100).ok());
  }
  const auto first = tables_->ListTokens("", 2);
  ASSERT_TRUE(first && first->size() == 2);
  EXPECT_EQ(first->at(1).id, "b");
  EXPECT_EQ(tables_->ListTokens("b", 2)->at(0).id, "c");
  ASSERT_TRUE(tables_->SaveJoin(ANode("n"), "PEM", "a").ok());
  const auto spent = tables_->FindToken("a");
  ASSERT_TRUE(spent && *spent);
  EXPECT_EQ((*spent)->spent_by, "n");
  EXPECT_EQ((*spent)->spent_key, "key-of-n");
  EXPECT_TRUE(*tables_->RemoveToken("a"));
  EXPECT_FALSE(*tables_->RemoveToken("a"));
}

TEST_F(FleetTablesTest, TokensLongSpentOrExpiredAreForgotten) {
  constexpr std::int64_t kDay = 86'400'000;
  ASSERT_TRUE(tables_->AddToken({.id = "expired", .created_ms = 1, .expires_ms = 2}, 1).ok());
  ASSERT_TRUE(tables_->AddToken({.id = "lasting", .created_ms = 1}, 1).ok());
  ASSERT_TRUE(tables_->AddToken({.id = "new", .created_ms = 31 * kDay}, 31 * kDay).ok());
  EXPECT_FALSE(tables_->FindToken("expired")->has_value());
  EXPECT_TRUE(tables_->FindToken("lasting")->has_value());
}

TEST(FleetTablesFull, AFullDiskRefusesAndRecovers) {
  StoreFolder folder;
  if (const std::string why = folder.MakeSmallDisk(512); !why.empty()) GTEST_SKIP() << why;
  auto tables = FleetTables::Open(folder / "fleet.db");
  ASSERT_TRUE(tables) << tables.error().ToString();
  ASSERT_TRUE((*tables)->SaveJoin(ANode("a"), "PEM", "t").ok());
  FillDisk(folder / "filler");
  ApplicationRecord large = AnApplication(AManifest("app"));
  large.manifest += "#" + std::string(300'000, 'x') + "\n";
  EXPECT_EQ((*tables)->SaveApplications({large}).code(), StatusCode::kResourceExhausted);
  EXPECT_EQ((*tables)->LoadNodes()->size(), 1U);
  std::filesystem::remove(folder / "filler");
  EXPECT_TRUE((*tables)->Probe().ok());
  EXPECT_TRUE((*tables)->SaveApplications({AnApplication(AManifest("app"))}).ok());
}

}  // namespace
}  // namespace selvedge
