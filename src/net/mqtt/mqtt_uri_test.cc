#include "net/mqtt/mqtt_uri.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(MqttUriTest, ReadsWhatIsMeant) {
  EXPECT_EQ(*ParseMqttUri("mqtts://broker.example.com:8884"),
            (MqttUri{.host = "broker.example.com", .port = 8884}));
  EXPECT_EQ(*ParseMqttUri("mqtts://broker"), (MqttUri{.host = "broker", .port = 8883}));
  EXPECT_EQ(*ParseMqttUri("mqtts://[2001:db8::1]:1"), (MqttUri{.host = "2001:db8::1", .port = 1}));
  EXPECT_EQ(*ParseMqttUri("wss://broker/mqtt"),
            (MqttUri{.websockets = true, .host = "broker", .port = 443, .path = "/mqtt"}));
  EXPECT_EQ(*ParseMqttUri("mqtt://127.0.0.1:1883"),
            (MqttUri{.tls = false, .host = "127.0.0.1", .port = 1883}));
  EXPECT_EQ(ParseMqttUri("mqtts://[2001:db8::1]")->Place(), "[2001:db8::1]:8883");
  EXPECT_EQ(ParseMqttUri("mqtts://a")->Place(), "a:8883");
}

TEST(MqttUriTest, NothingInTheClearLeavesTheMachine) {
  EXPECT_TRUE(ParseMqttUri("mqtt://127.8.0.1").has_value());
  EXPECT_TRUE(ParseMqttUri("ws://[::1]:80/x").has_value());
  for (const char* text : {"mqtt://192.0.2.1", "mqtt://localhost", "ws://broker.example.com",
                           "mqtt://127.0.0.1.example.com", "mqtt://[2001:db8::1]"}) {
    const Result<MqttUri> uri = ParseMqttUri(text);
    ASSERT_FALSE(uri.has_value()) << text;
    EXPECT_NE(uri.error().message().find("TLS"), std::string::npos);
  }
}

TEST(MqttUriTest, RefusesTheRest) {
  for (const char* text :
       {"", "broker:8883", "http://a", "tcp://127.0.0.1", "mqtts://", "mqtts://:1",
        "mqtts://a:", "mqtts://a:0", "mqtts://a:65536", "mqtts://a:8883x", "mqtts://a b",
        "mqtts://user@a", "mqtts://a/b", "mqtts://[::1", "mqtts://[::1]8883", "wss://a/ b"}) {
    const Result<MqttUri> uri = ParseMqttUri(text);
    ASSERT_FALSE(uri.has_value()) << text;
    EXPECT_EQ(uri.error().code(), StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace selvedge
