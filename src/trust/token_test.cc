#include "trust/token.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace selvedge {
namespace {

JoinToken Example() {
  return {.url = "https://fleet.example.com:8443",
          .ca_sha256 = std::string(64, 'a'),
          .id = "kQ3v_x-9",
          .secret = "0123456789abcdefghijklmnopqrstuvwxyzABCDEF",
          .role = "device",
          .site = "plant-1"};
}

std::string Encode(const nlohmann::json& json) {
  return std::string(kJoinTokenPrefix) + ToBase64Url(json.dump());
}

nlohmann::json ExampleJson() {
  const JoinToken token = Example();
  return {{"url", token.url},       {"ca", token.ca_sha256}, {"id", token.id},
          {"secret", token.secret}, {"role", token.role},    {"site", token.site}};
}

// RFC 4648, section 10, without padding; and the two characters that differ from base64.
TEST(Base64Url, IsThatOfTheRfc) {
  EXPECT_EQ(ToBase64Url(""), "");
  EXPECT_EQ(ToBase64Url("f"), "Zg");
  EXPECT_EQ(ToBase64Url("fo"), "Zm8");
  EXPECT_EQ(ToBase64Url("foo"), "Zm9v");
  EXPECT_EQ(ToBase64Url("foobar"), "Zm9vYmFy");
  EXPECT_EQ(ToBase64Url("\xfb\xff"), "-_8");
  for (const std::string text : {"", "f", "fo", "foo", "foobar", "\xfb\xff"}) {
    EXPECT_EQ(*FromBase64Url(ToBase64Url(text)), text);
  }
}

TEST(Base64Url, RefusesWhatNoEncoderWrites) {
  for (const char* text : {"Z", "Zg==", "Zm9v\n", "Zm+v", "Zh", "Zm9vY"}) {
    EXPECT_FALSE(FromBase64Url(text).has_value()) << text;
  }
}

TEST(JoinTokenTest, IsReadBack) {
  const Result<std::string> text = FormatJoinToken(Example());
  ASSERT_TRUE(text.has_value()) << text.error().ToString();
  EXPECT_TRUE(text->starts_with("slv1."));
  EXPECT_EQ(*ParseJoinToken(*text), Example());
  EXPECT_EQ(*ParseJoinToken("  " + *text + "\r\n"), Example());
}

TEST(JoinTokenTest, FieldsOfALaterVersionAreNoError) {
  nlohmann::json json = ExampleJson();
  json["via"] = {{"x", 1}};
  EXPECT_EQ(*ParseJoinToken(Encode(json)), Example());
}

TEST(JoinTokenTest, DamageIsOneSentenceWithoutTheSecret) {
  const std::string good = *FormatJoinToken(Example());
  for (const std::string& text :
       {std::string(), std::string("   "), std::string("hello"), std::string("slv2.abcd"),
        std::string("slv1."), std::string("slv1.####"), good.substr(0, good.size() / 2), good + "A",
        std::string("slv1.") + std::string(kMaxJoinTokenBytes, 'A'),
        Encode(nlohmann::json::array({1, 2}))}) {
    const Result<JoinToken> token = ParseJoinToken(text);
    ASSERT_FALSE(token.has_value()) << text;
    EXPECT_EQ(token.error().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(token.error().message().find(Example().secret), std::string::npos);
  }
}

TEST(JoinTokenTest, EveryFieldIsHeldToItsForm) {
  const struct {
    const char* field;
    nlohmann::json value;
  } kBad[] = {
      {"url", "http://fleet.example.com"},
      {"url", "https://"},
      {"url", "https://a/b"},
      {"url", "https://user@host"},
      {"url", 7},
      {"url", "https://a b"},
      {"ca", "abc"},
      {"ca", std::string(64, 'A')},
      {"id", ""},
      {"id", "a b"},
      {"secret", "short"},
      {"secret", std::string(129, 'a')},
      {"role", "admin"},
      {"site", "Plant 1"},
      {"site", ""},
  };
  for (const auto& bad : kBad) {
    nlohmann::json json = ExampleJson();
    json[bad.field] = bad.value;
    const Result<JoinToken> token = ParseJoinToken(Encode(json));
    ASSERT_FALSE(token.has_value()) << json.dump();
    EXPECT_NE(token.error().message().find(bad.field), std::string::npos)
        << token.error().message();
  }
  nlohmann::json json = ExampleJson();
  json.erase("ca");
  EXPECT_FALSE(ParseJoinToken(Encode(json)).has_value());
  JoinToken token = Example();
  token.url = "https://host/path";
  EXPECT_FALSE(FormatJoinToken(token).has_value());
}

TEST(Secrets, AreRandomAndLongEnough) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(*RandomText(32));
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_EQ(seen.begin()->size(), 43U);
  EXPECT_FALSE(RandomText(0).has_value());
  EXPECT_FALSE(RandomText(65).has_value());
}

TEST(Secrets, AreComparedWhole) {
  EXPECT_TRUE(EqualInConstantTime("", ""));
  EXPECT_TRUE(EqualInConstantTime("abc", "abc"));
  EXPECT_FALSE(EqualInConstantTime("abc", "abd"));
  EXPECT_FALSE(EqualInConstantTime("abc", "ab"));
  // FIPS 180-4's example for "abc".
  EXPECT_EQ(*SecretDigest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace selvedge
