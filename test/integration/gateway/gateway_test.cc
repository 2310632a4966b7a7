// The gateway between real brokers: what passes, what is kept, and what kills do to it.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "core/topic.h"
#include "test_site.h"

namespace selvedge {
namespace {

class GatewayTest : public ::testing::Test {
 protected:
  void StartGateway(const std::string& state = "") {
    gateway_ = std::make_unique<GatewayProcess>(&fleet_, cloud_,
                                                state.empty() ? fleet_ / "gateway" : state);
    gateway_->Start();
    ASSERT_TRUE(gateway_->AwaitReady());
  }
  std::unique_ptr<FakeDevice> Device(const std::string& name) {
    return std::make_unique<FakeDevice>(&fleet_, name, gateway_->mqtt_port());
  }
  // Nothing lost, nothing doubled.
  void ExpectExactlyOnce(const FakeDevice& device) {
    EXPECT_TRUE(
        Eventually([&] { return cloud_.events() == device.added(); }, std::chrono::seconds(90)))
        << cloud_.events() << " of " << device.added() << "; the device holds " << device.waiting();
    EXPECT_EQ(cloud_.doubled(), 0U);
    EXPECT_TRUE(Eventually([&] { return device.waiting() == 0; }));
  }

  TestFleet fleet_;
  FakeCloud cloud_{&fleet_};
  std::unique_ptr<GatewayProcess> gateway_;
};

TEST_F(GatewayTest, IsANodeOfItsOwn) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  EXPECT_TRUE(cloud_.AwaitBirth(
      kGateway, [](const v1::Birth& b) { return b.online() && b.role() == v1::GATEWAY; }));
  EXPECT_TRUE(cloud_.AwaitState(kGateway, [](const v1::State& s) { return s.generation() == 1; }));
  // A good-bye tells that it went on purpose; a kill is told by its Will.
  EXPECT_EQ(gateway_->Terminate(), 0);
  EXPECT_TRUE(cloud_.AwaitBirth(kGateway, [](const v1::Birth& b) { return !b.online(); }));
  gateway_->Start();
  EXPECT_TRUE(cloud_.AwaitBirth(kGateway, [](const v1::Birth& b) { return b.online(); }));
  gateway_->Kill();
  EXPECT_TRUE(cloud_.AwaitBirth(kGateway, [](const v1::Birth& b) { return !b.online(); }));
}

TEST_F(GatewayTest, PassesBirthsStatesAndResultsUpAndDocumentsAndCommandsDown) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  auto device = Device("pi-1");
  EXPECT_TRUE(cloud_.AwaitBirth("pi-1", [](const v1::Birth& b) { return b.online(); }));
  // Of a device that booted in 1970: nothing here asks its clock.
  device->SendState(10, 5);
  EXPECT_TRUE(cloud_.AwaitState("pi-1", [](const v1::State& s) { return s.time_unix_ns() == 5; }));

  v1::Desired desired;
  desired.set_device("pi-1");
  desired.set_generation(7);
  cloud_.Publish("pi-1", TopicKind::kDesired, desired.SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return device->desired().generation() == 7; }));
  v1::Command command;
  command.set_id("c1");
  cloud_.Publish("pi-1", TopicKind::kCommand, command.SerializeAsString());
  EXPECT_TRUE(Eventually([&] { return device->commands().size() == 1; }));
  v1::CommandResult result;
  result.set_id("c1");
  EXPECT_TRUE(device->client()
                  .Publish(TopicName(kSite, "pi-1", TopicKind::kResult), result.SerializeAsString(),
                           1, false)
                  .ok());
  EXPECT_TRUE(cloud_.AwaitResult("pi-1", "c1"));
  // Its Will goes up as well.
  device->client().Stop(MqttClient::StopMode::kWill);
  EXPECT_TRUE(cloud_.AwaitBirth("pi-1", [](const v1::Birth& b) { return !b.online(); }));
}

TEST_F(GatewayTest, ADeviceThatRestartsWhileTheCloudIsAwayFindsItsDocument) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  v1::Desired desired;
  desired.set_device("pi-1");
  desired.set_generation(3);
  cloud_.Publish("pi-1", TopicKind::kDesired, desired.SerializeAsString());
  {
    auto device = Device("pi-1");
    EXPECT_TRUE(Eventually([&] { return device->desired().generation() == 3; }));
  }
  cloud_.StopBroker();
  gateway_->Kill();
  gateway_->Start();
  ASSERT_TRUE(gateway_->AwaitReady());
  std::filesystem::remove(fleet_ / "pi-1.db");
  auto device = Device("pi-1");
  EXPECT_TRUE(Eventually([&] { return device->desired().generation() == 3; }));
  // The members are known too: its events are taken.
  device->Add(10);
  EXPECT_TRUE(Eventually([&] { return device->waiting() == 0; }));
  cloud_.StartBroker();
  ExpectExactlyOnce(*device);
}

TEST_F(GatewayTest, EventsReachTheCloudAndAreCountedInWindows) {
  cloud_.SetMembers({"pi-1", "pi-2"}, 1);
  StartGateway();
  auto first = Device("pi-1");
  auto second = Device("pi-2");
  first->Add(120);
  second->Add(80);
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 200; })) << cloud_.events();
  EXPECT_TRUE(Eventually([&] { return cloud_.aggregated() == 200; })) << cloud_.aggregated();
  EXPECT_EQ(cloud_.doubled(), 0U);
  for (const v1::Event& event : cloud_.Events()) {
    EXPECT_EQ(event.device(), event.id().substr(0, 4));
  }
  EXPECT_GT(gateway_->Metric("selvedge_gateway_uplink_sent_ip_bytes_total"), 1000);
  EXPECT_GT(gateway_->Metric("selvedge_gateway_uplink_received_ip_bytes_total"), 1000);
  EXPECT_EQ(gateway_->Metric("selvedge_gateway_events_total"), 200);
}

TEST_F(GatewayTest, KillsOfBrokersAndGatewayMidStreamLoseAndDoubleNothing) {
  cloud_.SetMembers({"pi-1"}, 1);
  StartGateway();
  auto device = Device("pi-1");
  const auto broker_of_the_site = [&] {
    // The gateway's child: it ends with it, and is started again by it.
    const std::string children = "/proc/" + std::to_string(gateway_->pid()) + "/task";
    for (const auto& task : std::filesystem::directory_iterator(children)) {
      pid_t pid = 0;
      if (std::ifstream(task.path() / "children") >> pid) return pid;
    }
    return pid_t{0};
  };
  for (int round = 0; round < 9; ++round) {
    device->Add(100);
    const std::size_t before = cloud_.events();
    // Mid-stream: something arrived, and not everything.
    EXPECT_TRUE(Eventually([&] { return cloud_.events() > before; })) << "round " << round;
    device->Add(100);
    switch (round % 3) {
      case 0: {
        pid_t pid = 0;
        EXPECT_TRUE(Eventually([&] { return (pid = broker_of_the_site()) != 0; }));
        EXPECT_EQ(::kill(pid, SIGKILL), 0);
        break;
      }
      case 1: {
        pid_t pid = 0;
        EXPECT_TRUE(Eventually([&] { return (pid = cloud_.broker().pid()) != 0; }));
        EXPECT_EQ(::kill(pid, SIGKILL), 0);
        break;
      }
      default: gateway_->Kill(); gateway_->Start();
    }
  }
  ExpectExactlyOnce(*device);
  EXPECT_TRUE(Eventually([&] { return cloud_.aggregated() == device->added(); }))
      << cloud_.aggregated() << " of " << device->added();
}

TEST_F(GatewayTest, ACloudThatIsGoneForAWhileMissesNothing) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  auto device = Device("pi-1");
  device->Add(10);
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 10; }));
  cloud_.StopBroker();
  device->Add(500);
  // The gateway keeps them: the device may forget.
  EXPECT_TRUE(Eventually([&] { return device->waiting() == 0; }));
  EXPECT_EQ(cloud_.events(), 10U);
  EXPECT_EQ(gateway_->Get("/readyz"), "ready\n");
  EXPECT_EQ(gateway_->Metric("selvedge_gateway_outbox_waiting"), 500);
  cloud_.StartBroker();
  ExpectExactlyOnce(*device);
  EXPECT_TRUE(Eventually([&] { return gateway_->Metric("selvedge_gateway_outbox_waiting") == 0; }));
}

TEST_F(GatewayTest, WhoIsNoMemberIsNotHeardUntilItIs) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  EXPECT_TRUE(cloud_.AwaitState(kGateway, [](const v1::State& s) { return s.generation() == 1; }));
  auto member = Device("pi-1");
  auto stranger = Device("pi-2");
  stranger->Add(5);
  EXPECT_TRUE(Eventually(
      [&] { return gateway_->Metric("selvedge_gateway_strangers_messages_total") >= 2; }));
  member->Add(1);
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 1; }));
  EXPECT_FALSE(cloud_.Heard("pi-2"));
  EXPECT_EQ(stranger->waiting(), 5U);
  cloud_.SetMembers({"pi-1", "pi-2"});
  EXPECT_TRUE(cloud_.AwaitBirth("pi-2", [](const v1::Birth& b) { return b.online(); }));
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 6; }));
  EXPECT_TRUE(Eventually([&] { return stranger->waiting() == 0; }));
}

TEST_F(GatewayTest, ADeletedDeviceLeavesNothingBehind) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  v1::Desired desired;
  desired.set_device("pi-1");
  desired.set_generation(3);
  cloud_.Publish("pi-1", TopicKind::kDesired, desired.SerializeAsString());
  {
    auto device = Device("pi-1");
    EXPECT_TRUE(Eventually([&] { return device->desired().generation() == 3; }));
  }
  cloud_.SetMembers({});
  EXPECT_TRUE(cloud_.AwaitState(kGateway, [](const v1::State& s) { return s.generation() == 2; }));
  v1::Command command;
  command.set_id("last");
  // The site's broker hears of it on another connection than the cloud does: who comes at once may
  // still see it.
  EXPECT_TRUE(Eventually([&] {
    TestClient heir(fleet_.Client("pi-1", gateway_->mqtt_port()), {"selvedge/v1/plant-1/pi-1/#"});
    EXPECT_TRUE(heir.Connected());
    EXPECT_TRUE(heir->Subscribe("selvedge/v1/plant-1/pi-1/command", 1).ok());
    cloud_.Publish("pi-1", TopicKind::kCommand, command.SerializeAsString());
    EXPECT_FALSE(heir.Take("selvedge/v1/plant-1/pi-1/command").payload.empty());
    return heir.Topics().empty();
  })) << "what was retained is gone";
}

TEST_F(GatewayTest, AMegabyteOfNonsenseIsNobodysEnd) {
  cloud_.SetMembers({"pi-1"});
  StartGateway();
  auto device = Device("pi-1");
  EXPECT_TRUE(cloud_.AwaitBirth("pi-1", [](const v1::Birth& b) { return b.online(); }));
  for (const TopicKind kind :
       {TopicKind::kBirth, TopicKind::kState, TopicKind::kEvent, TopicKind::kResult}) {
    EXPECT_TRUE(device->client()
                    .Publish(TopicName(kSite, "pi-1", kind),
                             std::string((std::size_t{1} << 20) - 100, '\xff'), 0, false)
                    .ok());
  }
  device->Add(1);
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 1; }));
  EXPECT_GE(gateway_->Metric("selvedge_gateway_malformed_messages_total"), 2);
  EXPECT_GE(gateway_->Metric("selvedge_gateway_batches_refused_total"), 1);
}

TEST_F(GatewayTest, AFullDiskIsSaidAndWhatComesMeanwhileIsKeptByTheDevice) {
  const std::string disk = fleet_ / "disk";
  std::filesystem::create_directory(disk);
  if (::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=24m") != 0) {
    GTEST_SKIP() << "a small disk cannot be mounted here: " << std::strerror(errno);
  }
  cloud_.SetMembers({"pi-1"});
  StartGateway(disk + "/gateway");
  auto device = Device("pi-1");
  device->Add(10);
  EXPECT_TRUE(Eventually([&] { return cloud_.events() == 10; }));
  // The link is gone as well, so that nothing leaves the gateway's disk.
  cloud_.StopBroker();
  {
    std::ofstream filler(disk + "/filler", std::ios::binary);
    const std::string block(4096, 'x');
    while (filler.write(block.data(), 4096).flush()) {
    }
  }
  for (int i = 0; i < 30; ++i) device->Add(500);
  EXPECT_TRUE(
      Eventually([&] { return gateway_->Metric("selvedge_gateway_batches_refused_total") > 0; }));
  EXPECT_GT(device->waiting(), 0U);
  EXPECT_NE(gateway_->Get("/readyz"), "ready\n");
  cloud_.StartBroker();
  EXPECT_TRUE(cloud_.AwaitState(kGateway, [](const v1::State& s) { return !s.trouble().empty(); }));
  std::filesystem::remove(disk + "/filler");
  ExpectExactlyOnce(*device);
  EXPECT_TRUE(Eventually([&] { return gateway_->Get("/readyz") == "ready\n"; }));
  gateway_.reset();
  EXPECT_EQ(::umount(disk.c_str()), 0);
}

TEST_F(GatewayTest, AStateFolderThatHasNotJoinedIsOneSentence) {
  ChildOptions options;
  options.program = SELVEDGE_GATEWAY;
  options.arguments = {"--state", fleet_ / "empty", "--mqtt-port", "0", "--https-port", "0"};
  options.output_file = fleet_ / "out";
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value());
  EXPECT_EQ(child->Wait(20 * kSecond), 1);
  std::ifstream out(fleet_ / "out");
  std::string text((std::istreambuf_iterator<char>(out)), {});
  EXPECT_NE(text.find("has not joined a fleet"), std::string::npos) << text;
}

}  // namespace
}  // namespace selvedge
