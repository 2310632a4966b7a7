// The fleet across a network that delays, loses and is cut, and kills in the middle of it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <tuple>

#include "test_hosts.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr Way kUplink = {.delay = 200 * kMillisecond, .loss = 0.05};
constexpr Way kSite = {.delay = 20 * kMillisecond, .loss = 0.05};
// Debian's libfaketime, for what runs under it.
constexpr const char* kFakeTime = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

class HostsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = WhyNoHosts(); !why.empty()) {
      GTEST_SKIP() << "this machine has no hosts to give: " << why;
    }
    if (!std::filesystem::exists("/usr/sbin/mosquitto")) GTEST_SKIP() << "mosquitto is missing";
    const Status made = hosts_.SetUp();
    ASSERT_TRUE(made.ok()) << made.ToString();
  }

  void TearDown() override {
    if (HasFailure()) std::fprintf(stderr, "%s\n", hosts_.Logs().c_str());
  }

  std::size_t EventsOfBoth() {
    return hosts_.Events(kDeviceNames[0]).size() + hosts_.Events(kDeviceNames[1]).size();
  }
  // Events keep arriving, from both.
  void AwaitMoreEvents() {
    for (const char* name : kDeviceNames) {
      const std::size_t before = hosts_.Events(name).size();
      EXPECT_TRUE(Await([&] { return hosts_.Events(name).size() > before; })) << name;
    }
  }
  // So many of the application's services run on each, all has been taken up, all is there.
  bool Settled(std::size_t services) {
    for (const char* name : {kGatewayName, kDeviceNames[0], kDeviceNames[1]}) {
      const json node = hosts_.Device(name);
      if (!node.is_object() || node.value("status", "") != "online" ||
          !node.value("in_sync", false)) {
        return false;
      }
      if (name == std::string(kGatewayName)) continue;
      if (node["services"].size() != services) return false;
      for (const json& service : node["services"]) {
        if (service.value("state", "") != "running") return false;
      }
    }
    return true;
  }
  // After the last event was made: everything that an outbox took is in the cloud, once, and was
  // counted once by the gateway.
  void ExpectEveryEventOnce(const std::string& name);

  TestHosts hosts_;
};

void HostsTest::ExpectEveryEventOnce(const std::string& name) {
  SCOPED_TRACE(name);
  std::uint64_t accepted = 0;
  std::size_t arrived = 0;
  const bool all = Await([&] {
    const json device = hosts_.Device(name);
    if (!device.is_object() || device["outbox"].value("waiting", 1) != 0) return false;
    accepted = device["outbox"].value("accepted", std::uint64_t{0});
    arrived = hosts_.Events(name).size();
    return accepted > 0 && arrived >= accepted;
  });
  EXPECT_TRUE(all) << arrived << " of " << accepted << " arrived";
  EXPECT_EQ(hosts_.Device(name)["outbox"].value("dropped", 1), 0);
  std::set<std::string> ids;
  std::set<std::tuple<std::string, std::string>> moments;  // of whom two events would be one
  for (const json& event : hosts_.Events(name)) {
    ids.insert(event.value("id", ""));
    moments.insert({event["captured_unix_ns"].dump(), event["decision"].dump()});
  }
  EXPECT_EQ(ids.size(), accepted);
  EXPECT_EQ(moments.size(), accepted);
  EXPECT_TRUE(Await([&] { return hosts_.Counted(name) == accepted; }))
      << hosts_.Counted(name) << " of " << accepted << " were counted";
}

TEST_F(HostsTest, DelayLossCutsAndKillsLoseAndDoubleNothingAndWhatIsDesiredRuns) {
  const Status started = hosts_.StartAll();
  ASSERT_TRUE(started.ok()) << started.ToString();
  hosts_.SetNetwork(kUplink, kSite);
  ASSERT_TRUE(hosts_.Apply(0).ok());
  ASSERT_TRUE(Await([&] { return Settled(1); }));
  AwaitMoreEvents();

  // The cloud changes its mind while nobody can hear it; the site goes on.
  hosts_.CutUplink(true);
  ASSERT_TRUE(hosts_.Apply(1).ok());
  EXPECT_TRUE(Await([&] { return hosts_.WaitingInTheGateway() >= 10; }));
  hosts_.CutUplink(false);
  EXPECT_TRUE(Await([&] { return Settled(1); }));
  AwaitMoreEvents();

  EXPECT_TRUE(hosts_.KillSiteBroker().ok());
  AwaitMoreEvents();
  EXPECT_TRUE(hosts_.RestartGateway().ok());
  AwaitMoreEvents();
  EXPECT_TRUE(hosts_.RestartCloud().ok());
  EXPECT_TRUE(Await([&] { return Settled(1); }));

  hosts_.CutSite(true);
  EXPECT_TRUE(Await([&] {
    const json device = hosts_.Device(kDeviceNames[0]);
    return device.is_object() && device.value("status", "") != "online";
  }));
  EXPECT_TRUE(hosts_.RestartGateway().ok());
  hosts_.CutSite(false);
  EXPECT_TRUE(Await([&] { return Settled(1); }));
  AwaitMoreEvents();

  EXPECT_GT(hosts_.network().lost(), 20U);
  ASSERT_TRUE(hosts_.DeleteApplication().ok());
  EXPECT_TRUE(Await([&] { return Settled(0); }));
  for (const char* name : kDeviceNames) ExpectEveryEventOnce(name);
  std::printf("%zu events, %llu packets, %llu of them lost\n", EventsOfBoth(),
              static_cast<unsigned long long>(hosts_.network().carried()),
              static_cast<unsigned long long>(hosts_.network().lost()));
}

// It joins, runs what it is told and is believed; and a person is told.
TEST_F(HostsTest, ADeviceWhoseClockIsOffByAYearWorks) {
  if (!std::filesystem::exists(kFakeTime)) GTEST_SKIP() << "libfaketime is missing";
  const Status started = hosts_.StartAll({std::string("LD_PRELOAD=") + kFakeTime, "FAKETIME=-365d",
                                          "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_NO_CACHE=1"});
  ASSERT_TRUE(started.ok()) << started.ToString();
  ASSERT_TRUE(hosts_.Apply(0).ok());
  EXPECT_TRUE(Await([&] { return Settled(1); }));
  AwaitMoreEvents();
  EXPECT_TRUE(Await([&] {
    return hosts_.Device(kDeviceNames[1]).value("trouble", "").starts_with("its clock is 365 days");
  })) << hosts_.Device(kDeviceNames[1]).value("trouble", "");
  EXPECT_EQ(hosts_.Device(kDeviceNames[0]).value("trouble", "none"), "");
  ASSERT_TRUE(hosts_.DeleteApplication().ok());
  EXPECT_TRUE(Await([&] { return Settled(0); }));
  for (const char* name : kDeviceNames) ExpectEveryEventOnce(name);
}

}  // namespace
}  // namespace selvedge
