#include "cloud/fleet/joining.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/store_test_util.h"

namespace selvedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class JoiningTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tables = FleetTables::Open(folder_ / "fleet.db");
    ASSERT_TRUE(tables) << tables.error().ToString();
    tables_ = *std::move(tables);
    joining_ = std::make_unique<Joining>(tables_.get(), *MakeCertificateAuthority("fleet", clock_),
                                         std::vector<std::string>{"cloud.example"}, clock_);
  }

  Joining::MadeToken Token(const std::string& role = "device", const std::string& site = "plant-1",
                           std::int64_t expires_s = 0) {
    auto made =
        joining_->MakeToken({.join = true, .role = role, .site = site, .expires_s = expires_s});
    EXPECT_TRUE(made) << made.error().ToString();
    return *made;
  }
  static JoinRequest Ask(const Joining::MadeToken& token, const std::string& name,
                         const std::string& key) {
    return {.token_id = token.record.id,
            .secret = token.secret,
            .name = name,
            .role = token.record.role,
            .csr = *MakeCertificateRequest(key, name)};
  }
  StatusCode CodeOf(const JoinRequest& request) {
    const auto answer = joining_->Join(request);
    return answer ? StatusCode::kOk : answer.error().code();
  }

  StoreFolder folder_{MemoryFolder()};
  FakeClock clock_;
  std::unique_ptr<FleetTables> tables_;
  std::unique_ptr<Joining> joining_;
  const std::string key_ = *MakePrivateKey();
  const std::string other_key_ = *MakePrivateKey();
};

TEST_F(JoiningTest, GivesACertificateOfTheFleetForTheDevicesKey) {
  const auto answer = joining_->Join(Ask(Token(), "jetson-1", key_));
  ASSERT_TRUE(answer) << answer.error().ToString();
  EXPECT_EQ(answer->record.site, "plant-1");
  const auto info = ReadCertificate(answer->certificate_pem);
  ASSERT_TRUE(info);
  EXPECT_EQ(info->name, "jetson-1");
  EXPECT_TRUE(info->client);
  EXPECT_FALSE(info->server);
  EXPECT_EQ(info->sha256, answer->record.certificate_sha256);
  EXPECT_TRUE(CheckKeyFits(answer->certificate_pem, key_).ok());
  EXPECT_TRUE(CheckIssuedBy(answer->certificate_pem, joining_->authority().certificate_pem).ok());
}

TEST_F(JoiningTest, AskingAgainWithTheSameKeyIsAnsweredAgain) {
  const auto token = Token();
  ASSERT_TRUE(joining_->Join(Ask(token, "a", key_)));
  EXPECT_EQ(CodeOf(Ask(token, "a", key_)), StatusCode::kOk);
}

TEST_F(JoiningTest, ASpentTokenIsRefusedToEverybodyElse) {
  const auto token = Token();
  ASSERT_TRUE(joining_->Join(Ask(token, "a", key_)));
  EXPECT_EQ(CodeOf(Ask(token, "b", key_)), StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(Ask(token, "a", other_key_)), StatusCode::kUnauthenticated);
  // Nor does it bring back who was deleted.
  ASSERT_TRUE(tables_->RemoveNode("a", 1).ok());
  EXPECT_EQ(CodeOf(Ask(token, "a", key_)), StatusCode::kUnauthenticated);
}

TEST_F(JoiningTest, ForgedExpiredAndMisusedTokensAreRefused) {
  auto token = Token();
  JoinRequest forged = Ask(token, "a", key_);
  forged.secret[0] = forged.secret[0] == 'A' ? 'B' : 'A';
  EXPECT_EQ(CodeOf(forged), StatusCode::kUnauthenticated);
  JoinRequest unknown = Ask(token, "a", key_);
  unknown.token_id = "nobody";
  EXPECT_EQ(CodeOf(unknown), StatusCode::kUnauthenticated);
  JoinRequest wrong_role = Ask(token, "a", key_);
  wrong_role.role = "gateway";
  EXPECT_EQ(CodeOf(wrong_role), StatusCode::kUnauthenticated);
  const auto user = joining_->MakeToken({.role = "admin", .name = "me"});
  ASSERT_TRUE(user);
  JoinRequest with_user = Ask(*user, "a", key_);
  EXPECT_EQ(CodeOf(with_user), StatusCode::kUnauthenticated);
  const auto brief = Token("device", "plant-1", 60);
  clock_.Advance(61 * kSecond);
  const auto late = joining_->Join(Ask(brief, "a", key_));
  ASSERT_FALSE(late);
  EXPECT_THAT(late.error().message(), HasSubstr("expired"));
  EXPECT_EQ(late.error().message().find(brief.secret), std::string::npos);
  EXPECT_EQ(CodeOf(Ask(token, "a", key_)), StatusCode::kOk);
}

TEST_F(JoiningTest, ANameThatAnotherKeyHoldsIsRefused) {
  ASSERT_TRUE(joining_->Join(Ask(Token(), "a", key_)));
  const auto token = Token();
  const auto answer = joining_->Join(Ask(token, "a", other_key_));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(CodeOf(Ask(token, "b", other_key_)), StatusCode::kOk)
      << "the token is not spent by that";
  EXPECT_EQ(CodeOf(Ask(Token(), "a", key_)), StatusCode::kOk) << "its own key may join again";
  EXPECT_EQ(CodeOf(Ask(Token("device", "plant-2"), "a", key_)), StatusCode::kAlreadyExists);
  EXPECT_EQ(CodeOf(Ask(Token(), "selvedge-cloud", key_)), StatusCode::kAlreadyExists);
}

TEST_F(JoiningTest, MalformedRequestsAreRefused) {
  const auto token = Token();
  JoinRequest request = Ask(token, "a", key_);
  request.name = "A b";
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
  request = Ask(token, "a", key_);
  request.name = "b";  // the request is for a
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
  request = Ask(token, "a", key_);
  request.csr = "no PEM";
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
}

TEST_F(JoiningTest, AGatewayGetsAServerCertificateAndSpeaksForItsDevices) {
  JoinRequest request = Ask(Token("gateway"), "gw", key_);
  request.hosts = {"gw.example", "192.0.2.7", "localhost"};
  request.mqtt = {"mqtts://gw.example:8883"};
  request.registry = "https://gw.example:5443";
  const auto gateway = joining_->Join(request);
  ASSERT_TRUE(gateway) << gateway.error().ToString();
  const auto info = ReadCertificate(gateway->certificate_pem);
  EXPECT_TRUE(info->server);
  EXPECT_THAT(info->dns_names, ElementsAre("gw.example", "localhost"));
  EXPECT_THAT(info->addresses, ElementsAre("192.0.2.7"));
  const auto device = joining_->Join(Ask(Token(), "a", other_key_));
  ASSERT_TRUE(device);
  EXPECT_THAT(device->mqtt, ElementsAre("mqtts://gw.example:8883"));
  EXPECT_EQ(device->registry, "https://gw.example:5443");
  const auto elsewhere = joining_->Join(Ask(Token("device", "plant-2"), "b", other_key_));
  ASSERT_TRUE(elsewhere);
  EXPECT_TRUE(elsewhere->mqtt.empty());
  EXPECT_EQ(CodeOf(Ask(Token("gateway"), "gw-2", other_key_)), StatusCode::kAlreadyExists);
}

TEST_F(JoiningTest, AGatewayGetsNoCertificateForTheControlPlanesNames) {
  JoinRequest request = Ask(Token("gateway"), "gw", key_);
  request.hosts = {"cloud.example"};
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
  request.hosts = {"not a host"};
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
  request.hosts = std::vector<std::string>(17, "h.example");
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
  request.hosts = {};
  request.registry = "http://plain.example";
  EXPECT_EQ(CodeOf(request), StatusCode::kInvalidArgument);
}

TEST_F(JoiningTest, UsersTokensCarryARoleUntilTheyExpireOrAreWithdrawn) {
  const auto made = joining_->MakeToken({.role = "operator", .name = "me", .expires_s = 60});
  ASSERT_TRUE(made);
  const std::string bearer = Joining::UserToken(*made);
  EXPECT_EQ(*joining_->RoleOf(bearer), UserRole::kOperator);
  EXPECT_EQ(*joining_->RoleOf(bearer + "x"), UserRole::kNone);
  EXPECT_EQ(*joining_->RoleOf(""), UserRole::kNone);
  EXPECT_EQ(*joining_->RoleOf("slvt." + made->record.id + "."), UserRole::kNone);
  clock_.Advance(61 * kSecond);
  EXPECT_EQ(*joining_->RoleOf(bearer), UserRole::kNone);
  const auto lasting = joining_->MakeToken({.role = "viewer", .name = "me"});
  EXPECT_EQ(*joining_->RoleOf(Joining::UserToken(*lasting)), UserRole::kViewer);
  ASSERT_TRUE(*tables_->RemoveToken(lasting->record.id));
  EXPECT_EQ(*joining_->RoleOf(Joining::UserToken(*lasting)), UserRole::kNone);
  const auto join = Token();
  EXPECT_EQ(*joining_->RoleOf("slvt." + join.record.id + "." + join.secret), UserRole::kNone);
}

TEST_F(JoiningTest, TokensThatMakeNoSenseAreNotMade) {
  const auto refused = [&](const TokenOrder& order) {
    const auto made = joining_->MakeToken(order);
    return !made && made.error().code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({.join = true, .role = "device", .site = "Bad Site"}));
  EXPECT_TRUE(refused({.join = true, .role = "admin", .site = "s"}));
  EXPECT_TRUE(refused({.join = true, .role = "device", .site = "s", .via = "http://x"}));
  EXPECT_TRUE(refused({.role = "device", .name = "n"}));
  EXPECT_TRUE(refused({.role = "admin"}));
  EXPECT_TRUE(refused({.role = "admin", .name = "n", .expires_s = -1}));
}

}  // namespace
}  // namespace selvedge
