#include "net/mqtt/broker_config.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

BrokerOptions Example() {
  BrokerOptions options;
  options.folder = "/state/broker";
  options.listeners = {{.address = "0.0.0.0", .port = 8883},
                       {.address = "127.0.0.1", .port = 0, .websockets = true}};
  options.certificate_file = "/state/certificate.pem";
  options.key_file = "/state/key.pem";
  options.ca_file = "/state/ca.pem";
  return options;
}

TEST(BrokerConfigTest, EveryListenerAsksForACertificate) {
  const std::string text = BrokerConfig(Example(), {8883, 40001}, "/state/broker/acl", "worker");
  const std::size_t first = text.find("listener 8883 0.0.0.0\n");
  const std::size_t second = text.find("listener 40001 127.0.0.1\n");
  ASSERT_NE(first, std::string::npos) << text;
  ASSERT_NE(second, std::string::npos) << text;
  for (const std::string& part : {text.substr(first, second - first), text.substr(second)}) {
    EXPECT_NE(part.find("require_certificate true\n"), std::string::npos) << part;
    EXPECT_NE(part.find("use_identity_as_username true\n"), std::string::npos) << part;
    EXPECT_NE(part.find("cafile /state/ca.pem\n"), std::string::npos) << part;
  }
  EXPECT_EQ(text.substr(first, second - first).find("websockets"), std::string::npos);
  EXPECT_NE(text.substr(second).find("protocol websockets\n"), std::string::npos);
  EXPECT_NE(text.find("allow_anonymous false\n"), std::string::npos);
  EXPECT_NE(text.find("acl_file /state/broker/acl\n"), std::string::npos);
  EXPECT_NE(text.find("user worker\n"), std::string::npos);
  EXPECT_NE(text.find("persistence false\n"), std::string::npos);
}

TEST(BrokerConfigTest, WhatWouldWriteAnotherLineIsRefused) {
  EXPECT_EQ(CheckBrokerOptions(Example()), OkStatus());
  BrokerOptions options = Example();
  options.ca_file = "/state/ca.pem\nallow_anonymous true";
  EXPECT_EQ(CheckBrokerOptions(options).code(), StatusCode::kInvalidArgument);
  options = Example();
  options.key_file = "key.pem";
  EXPECT_EQ(CheckBrokerOptions(options).code(), StatusCode::kInvalidArgument);
  options = Example();
  options.listeners[0].address = "localhost";
  EXPECT_EQ(CheckBrokerOptions(options).code(), StatusCode::kInvalidArgument);
  options = Example();
  options.listeners[0].port = 65536;
  EXPECT_EQ(CheckBrokerOptions(options).code(), StatusCode::kInvalidArgument);
  options = Example();
  options.listeners.clear();
  EXPECT_EQ(CheckBrokerOptions(options).code(), StatusCode::kInvalidArgument);
}

TEST(BrokerConfigTest, LinesOfTheLogAreGraded) {
  EXPECT_EQ(LevelOfBrokerLine("Error: Address already in use"), BrokerLogLevel::kError);
  EXPECT_EQ(LevelOfBrokerLine("Warning: Mosquitto should not be run as root/administrator."),
            BrokerLogLevel::kDebug);
  EXPECT_EQ(LevelOfBrokerLine("Warning: Invalid user"), BrokerLogLevel::kWarning);
  EXPECT_EQ(LevelOfBrokerLine("New connection from 127.0.0.1:5 on port 8883."),
            BrokerLogLevel::kDebug);
  EXPECT_TRUE(SaysRunning("mosquitto version 2.0.11 running"));
  EXPECT_FALSE(SaysRunning("mosquitto version 2.0.11 starting"));
}

}  // namespace
}  // namespace selvedge
