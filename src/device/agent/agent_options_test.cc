#include "device/agent/agent_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace selvedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

Status ReadText(const std::string& text, AgentOptions* options) {
  const fs::path file =
      fs::temp_directory_path() / ("selvedge-agent-options-" + std::to_string(getpid()) + ".yaml");
  std::ofstream(file) << text;
  const Status status = ReadAgentFile(file, options);
  fs::remove(file);
  return status;
}

TEST(AgentOptions, AFileSaysEverything) {
  AgentOptions options;
  const Status status = ReadText(
      "name: jetson-1\n"
      "state: /data/agent\n"
      "labels: {hardware: jetson, gpu: 1, zone.a/b: \"x y\"}\n"
      "cameras:\n"
      "  yard: rtsp://user:secret@camera/stream\n"
      "  gate: /dev/video0\n"
      "allow_volumes: [/srv/models]\n"
      "container_network: host\n"
      "outbox_bytes: 10485760\n"
      "metrics_interval: 10s\n",
      &options);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(options.name, "jetson-1");
  EXPECT_EQ(options.labels.at("gpu"), "1");
  EXPECT_EQ(options.labels.at("zone.a/b"), "x y");
  EXPECT_EQ(options.default_camera, "yard");
  EXPECT_EQ(options.cameras.at("gate"), "/dev/video0");
  EXPECT_EQ(options.container_network, ContainerNetwork::kHost);
  EXPECT_EQ(options.outbox_bytes, 10485760);
  EXPECT_EQ(options.metrics_interval, 10 * kSecond);
  EXPECT_TRUE(CheckAgentOptions(options).ok());
}

TEST(AgentOptions, AnUnknownKeyNamesFileLineAndTheNearest) {
  AgentOptions options;
  const Status status = ReadText("name: a\nlables: {a: b}\n", &options);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(":2:"), HasSubstr("labels")));
}

TEST(AgentOptions, PairsAndCameras) {
  AgentOptions options;
  EXPECT_TRUE(AddCamera("yard=rtsp://a/?x=1", &options).ok());
  EXPECT_TRUE(AddCamera("gate=/dev/video0", &options).ok());
  EXPECT_EQ(options.cameras.at("yard"), "rtsp://a/?x=1");
  EXPECT_EQ(options.default_camera, "yard");
  EXPECT_THAT(AddPair("--label", "hardware", &options.labels).message(), HasSubstr("NAME=VALUE"));
  EXPECT_FALSE(AddPair("--label", "=x", &options.labels).ok());
  EXPECT_TRUE(AddPair("--label", "empty=", &options.labels).ok());
}

TEST(AgentOptions, WhatDoesNotFitIsRefused) {
  const auto refused = [](auto spoil) {
    AgentOptions options;
    spoil(&options);
    return !CheckAgentOptions(options).ok();
  };
  EXPECT_FALSE(refused([](auto*) {}));
  EXPECT_TRUE(refused([](auto* o) { o->name = "Cam 7"; }));
  EXPECT_TRUE(refused([](auto* o) { o->labels["a b"] = "x"; }));
  EXPECT_TRUE(refused([](auto* o) { o->labels["a"] = "x\ny"; }));
  EXPECT_TRUE(refused([](auto* o) { o->labels["a"] = std::string(300, 'x'); }));
  EXPECT_TRUE(refused([](auto* o) { o->cameras["a"] = ""; }));
  EXPECT_TRUE(refused([](auto* o) { o->cameras["A/b"] = "x"; }));
  EXPECT_TRUE(refused([](auto* o) { o->allow_volumes = {"models"}; }));
  EXPECT_TRUE(refused([](auto* o) { o->state = ""; }));
  EXPECT_TRUE(refused([](auto* o) { o->metrics_interval = 0; }));
}

TEST(AgentOptions, HostNamesBecomeNamesOfNodes) {
  EXPECT_EQ(NodeNameOf("Cam_07.plant.local"), "cam-07");
  EXPECT_EQ(NodeNameOf("raspberrypi"), "raspberrypi");
  EXPECT_EQ(NodeNameOf("--x--"), "x");
  EXPECT_EQ(NodeNameOf(""), "device");
  EXPECT_EQ(NodeNameOf("..."), "device");
  EXPECT_EQ(NodeNameOf("дом"), "device");
  EXPECT_EQ(NodeNameOf(std::string(100, 'a')), std::string(63, 'a'));
}

}  // namespace
}  // namespace selvedge
