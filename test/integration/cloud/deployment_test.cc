// Applying, watching, commanding, and events exactly once in effect.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include "net/websocket_client.h"
#include "test_cloud.h"

namespace selvedge {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;
using testing::HasSubstr;

std::set<std::string> EventIds(TestCloud& cloud, int* count) {
  std::set<std::string> ids;
  *count = 0;
  std::string after;
  do {
    const json page = cloud.Get("/events?limit=1000" + (after.empty() ? "" : "&after=" + after));
    for (const json& event : page["items"]) {
      ids.insert(event["id"]);
      ++*count;
    }
    after = page["next"];
  } while (!after.empty());
  return ids;
}

TEST(CloudDeployment, WhatIsAppliedIsPublishedObservedAndShown) {
  TestCloud cloud;
  cloud.Push("safety/person-detector", "1.0");
  TestDevice jetson(cloud.MakeJoinToken(), "jetson-1");
  TestDevice pi(cloud.MakeJoinToken(), "pi-1");
  jetson.Connect({{"hardware", "jetson"}});
  pi.Connect({{"hardware", "raspberry-pi"}});
  ASSERT_TRUE(Await([&] { return cloud.Get("/overview")["devices"]["online"] == 2; }));
  const std::string manifest =
      TestManifest("safety-monitor", "pipeline:safety/person-detector:1.0", "jetson");

  const auto dry = cloud.Call("POST", "/applications?dry_run=true", manifest);
  ASSERT_EQ(dry.status, 200) << dry.text;
  EXPECT_EQ(dry.json["applied"], false);
  EXPECT_TRUE(cloud.Get("/applications")["items"].empty());

  const auto applied = cloud.Call("POST", "/applications", manifest);
  ASSERT_EQ(applied.status, 200) << applied.text;
  const json placements = applied.json["applications"][0]["microservices"][0]["placements"];
  EXPECT_EQ(placements[0]["fits"], true);
  EXPECT_EQ(placements[1]["reasons"][0], "hardware is raspberry-pi, must be jetson");
  ASSERT_TRUE(Await([&] { return jetson.desired().services_size() == 1; }));
  const v1::ServiceSpec spec = jetson.desired().services(0);
  const json tag = cloud.Get("/packages/safety/person-detector")["tags"][0];
  EXPECT_EQ(spec.digest(), tag["digest"].get<std::string>());
  EXPECT_EQ(pi.desired().services_size(), 0);

  jetson.Report([](v1::State* state) {
    v1::ServiceStatus* service = state->add_services();
    service->set_application("safety-monitor");
    service->set_name("detector");
    service->set_state(v1::RUNNING);
    service->set_kind(v1::PIPELINE);
    service->mutable_pipeline()->set_frames_per_second(9.5);
  });
  ASSERT_TRUE(Await([&] {
    return cloud.Get(
               "/applications/safety-monitor")["microservices"][0]["placements"][0]["state"] ==
           "running";
  }));
  EXPECT_TRUE(Await([&] { return cloud.Get("/devices/jetson-1")["in_sync"] == true; }));
  EXPECT_EQ(cloud.Get("/overview")["rates"]["frames_per_s"], 9.5);
  const json series = cloud.Get("/devices/jetson-1/series?minutes=1");
  EXPECT_TRUE(series["services"].contains("safety-monitor/detector")) << series.dump();

  EXPECT_EQ(cloud.Call("DELETE", "/applications/safety-monitor").status, 200);
  EXPECT_TRUE(Await([&] { return jetson.desired().services_size() == 0; }));
  EXPECT_EQ(cloud.Call("DELETE", "/applications/safety-monitor").status, 404);
}

TEST(CloudDeployment, AWrongManifestIsRefusedWholeWithFileLineAndKey) {
  TestCloud cloud;
  const auto unknown_key = cloud.Call("POST", "/applications?name=edge.yaml",
                                      "apiVersion: iofog.org/v3\nkind: Application\nmetadat: {}\n");
  EXPECT_EQ(unknown_key.status, 400);
  EXPECT_THAT(unknown_key.json["error"]["message"].get<std::string>(), HasSubstr("edge.yaml:"));
  const auto unknown_model =
      cloud.Call("POST", "/applications", TestManifest("app", "pipeline:no/such:1"));
  EXPECT_EQ(unknown_model.status, 404);
  EXPECT_THAT(unknown_model.json["error"]["message"].get<std::string>(),
              HasSubstr("pipeline:no/such:1 is not in the fleet's registry"));
  EXPECT_TRUE(cloud.Get("/applications")["items"].empty());
}

TEST(CloudDeployment, TheDesiredDocumentSurvivesAKillAndTheDeviceFollowsOn) {
  TestCloud cloud;
  cloud.Push("a/b", "1");
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.Connect();
  ASSERT_TRUE(Await([&] { return cloud.Get("/devices/a")["status"] == "online"; }));
  ASSERT_EQ(cloud.Call("POST", "/applications", TestManifest("app", "pipeline:a/b:1")).status, 200);
  ASSERT_TRUE(Await([&] { return device.desired().services_size() == 1; }));
  const std::uint64_t generation = device.desired().generation();
  cloud.Kill();
  cloud.Start();
  ASSERT_TRUE(Await([&] { return cloud.Get("/devices/a")["status"] == "online"; }));
  EXPECT_EQ(cloud.Get("/devices/a")["generation"]["desired"], generation);
  EXPECT_EQ(cloud.Get("/applications")["items"].size(), 1U);
  ASSERT_EQ(cloud.Call("DELETE", "/applications/app").status, 200);
  EXPECT_TRUE(Await([&] { return device.desired().generation() > generation; }));
}

TEST(CloudDeployment, ADeviceThatIsAheadIsOvertaken) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "a");
  static constexpr std::uint64_t kAhead = std::uint64_t{1} << 50;
  device.Report([](v1::State* state) {
    state->set_generation(std::max<std::uint64_t>(state->generation(), kAhead));
  });
  device.Connect();
  EXPECT_TRUE(Await([&] { return device.desired().generation() == kAhead + 1; }));
}

TEST(CloudDeployment, NoEventIsLostOrDoubledWhenTheCloudIsKilledInTheStream) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.Connect();
  constexpr int kRounds = 4;
  constexpr int kEach = 300;
  for (int round = 0; round < kRounds; ++round) {
    device.AddEvents(kEach);
    int count = 0;
    ASSERT_TRUE(Await([&] { return !EventIds(cloud, &count).empty(); }));
    cloud.Kill();
    device.AddEvents(kEach);
    cloud.Start();
  }
  ASSERT_TRUE(Await([&] { return device.waiting() == 0; }));
  int count = 0;
  const std::set<std::string> ids = EventIds(cloud, &count);
  EXPECT_EQ(count, 2 * kRounds * kEach);
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(count));
  EXPECT_EQ(cloud.Get("/overview")["totals"]["events"], count);
}

TEST(CloudDeployment, EventsAreFoundByFilter) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.Connect();
  device.AddEvents(3);
  ASSERT_TRUE(Await([&] { return cloud.Get("/events")["items"].size() == 3; }));
  EXPECT_EQ(cloud.Get("/events?device=a&rule=kerb&label=person&application=app")["items"].size(),
            3U);
  EXPECT_EQ(cloud.Get("/events?device=b")["items"].size(), 0U);
  const json page = cloud.Get("/events?limit=2&order=desc");
  EXPECT_EQ(page["items"][0]["id"], "a-3");
  EXPECT_EQ(cloud.Get("/events?limit=2&order=desc&after=" +
                      page["next"].get<std::string>())["items"][0]["id"],
            "a-1");
  EXPECT_EQ(cloud.Call("GET", "/events?limit=0").status, 400);
  EXPECT_EQ(cloud.Call("GET", "/events?order=up").status, 400);
}

TEST(CloudDeployment, WatchersHearWhatHappens) {
  TestCloud cloud;
  auto refused = WebSocketClient::Connect(
      {.url = cloud.url() + "/api/v1/stream", .subprotocols = {"selvedge.v1", "bearer.wrong"}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), StatusCode::kUnauthenticated);
  auto stream =
      WebSocketClient::Connect({.url = cloud.url() + "/api/v1/stream",
                                .subprotocols = {"selvedge.v1", "bearer." + cloud.admin()}});
  ASSERT_TRUE(stream) << stream.error().ToString();
  EXPECT_EQ((*stream)->subprotocol(), "selvedge.v1");
  const auto hear = [&](const std::function<bool(const json&)>& wanted) {
    return Await([&] {
      const auto message = (*stream)->Next(1000ms);
      if (!message || !*message) return false;
      return wanted(json::parse(**message, nullptr, false));
    });
  };
  EXPECT_TRUE(hear([](const json& m) { return m["type"] == "hello" && m["role"] == "admin"; }));
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.Connect();
  EXPECT_TRUE(hear(
      [](const json& m) { return m["type"] == "device" && m["device"]["status"] == "online"; }));
  device.AddEvents(1);
  EXPECT_TRUE(
      hear([](const json& m) { return m["type"] == "event" && m["event"]["id"] == "a-1"; }));
  EXPECT_TRUE(hear([](const json& m) {
    return m["type"] == "overview" && m["overview"]["totals"]["events"] == 1;
  }));
  cloud.Call("DELETE", "/devices/a");
  EXPECT_TRUE(hear([](const json& m) { return m["type"] == "removed" && m["name"] == "a"; }));
}

TEST(CloudDeployment, CommandsReachTheDeviceAndItsAnswerComesBack) {
  TestCloud cloud;
  TestDevice device(cloud.MakeJoinToken(), "a");
  device.OnCommand([](const v1::Command& command) {
    v1::CommandResult result;
    if (command.has_logs()) {
      result.set_text("the last " + std::to_string(command.logs().lines()) + " lines");
    } else if (command.has_snapshot()) {
      result.set_error("the privacy policy keeps pictures on the device");
    }
    return result;
  });
  device.Connect();
  ASSERT_TRUE(Await([&] { return cloud.Get("/devices/a")["status"] == "online"; }));
  const std::string target = R"({"application":"app","service":"detector","lines":7})";
  const auto logs = cloud.Call("POST", "/devices/a/logs", target);
  EXPECT_EQ(logs.status, 200);
  EXPECT_EQ(logs.json["text"], "the last 7 lines");
  EXPECT_EQ(cloud.Call("POST", "/devices/a/snapshot", target).status, 403);
  EXPECT_EQ(cloud.Call("POST", "/devices/a/restart", target).status, 200);
  EXPECT_EQ(cloud.Call("POST", "/devices/a/restart", "{}").status, 400);
  EXPECT_EQ(cloud.Call("POST", "/devices/nobody/logs", target).status, 404);
}

TEST(CloudDeployment, RolesDecideWhoMayWhat) {
  TestCloud cloud;
  const std::string viewer = cloud.MakeUserToken("viewer");
  const std::string steward = cloud.MakeUserToken("operator");
  const std::string manifest = TestManifest("app", "host.example/a:1");
  EXPECT_EQ(cloud.CallAs("", "GET", "/devices").status, 401);
  EXPECT_EQ(cloud.CallAs("slvt.x.y", "GET", "/devices").status, 401);
  EXPECT_EQ(cloud.CallAs(viewer, "GET", "/devices").status, 200);
  EXPECT_EQ(cloud.CallAs(viewer, "POST", "/applications", manifest).status, 403);
  EXPECT_EQ(cloud.CallAs(steward, "POST", "/applications", manifest).status, 200);
  EXPECT_EQ(cloud.CallAs(viewer, "DELETE", "/applications/app").status, 403);
  EXPECT_EQ(cloud.CallAs(viewer, "GET", "/tokens").status, 403);
  EXPECT_EQ(cloud.CallAs(steward, "POST", "/tokens", R"({"kind":"join","site":"s"})").status, 201);
  EXPECT_EQ(cloud.CallAs(steward, "POST", "/tokens", R"({"kind":"user","role":"admin","name":"x"})")
                .status,
            403);
  for (const json& token : cloud.CallAs(steward, "GET", "/tokens").json["items"]) {
    EXPECT_EQ(token["kind"], "join") << "an operator sees no users' tokens";
  }
  EXPECT_EQ(cloud.Raw({.url = cloud.url() + "/metrics"}).status, 401);
  const auto metrics = cloud.Raw({.url = cloud.url() + "/metrics", .bearer = viewer});
  EXPECT_EQ(metrics.status, 200);
  EXPECT_THAT(metrics.text, HasSubstr("selvedge_cloud_devices{status=\"online\"} 0"));
  EXPECT_EQ(cloud.Call("PUT", "/applications", manifest).status, 405);
}

TEST(CloudDeployment, TheDashboardComesWithoutATokenAndWithAStrictPolicy) {
  TestCloud cloud;
  const auto page = cloud.Raw({.url = cloud.url() + "/"});
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(page.text, HasSubstr("assets/app.js"));
  EXPECT_EQ(cloud.Raw({.url = cloud.url() + "/assets/app.js"}).status, 200);
  EXPECT_EQ(cloud.Raw({.url = cloud.url() + "/api/openapi.json"}).json["openapi"], "3.1.0");
}

TEST(CloudProcess, StopsCleanlyAndASecondOneOfTheSameFolderIsRefused) {
  TestCloud cloud;
  TestFolder folder;
  ChildOptions options{.program = SELVEDGE_CLOUD, .output_file = folder / "log"};
  std::string state = cloud.File("");
  options.arguments = {"--state", state, "--http", "localhost:0", "--https", "127.0.0.1:0"};
  auto second = ChildProcess::Start(options);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->Wait(20 * kSecond), 1);
  EXPECT_EQ(cloud.Stop(), 0);
}

TEST(CloudProcess, ABusyPortIsOneClearSentence) {
  TestCloud cloud;
  const std::string port = cloud.url().substr(cloud.url().rfind(':') + 1);
  TestFolder folder;
  ChildOptions options{.program = SELVEDGE_CLOUD, .output_file = folder / "log"};
  options.arguments = {"--state",     folder / "state", "--http", "localhost:" + port, "--https",
                       "127.0.0.1:0", "--mqtt-port",    "0",      "--registry-port",   "0"};
  auto second = ChildProcess::Start(options);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->Wait(20 * kSecond), 1);
  std::ifstream log(folder / "log");
  const std::string text{std::istreambuf_iterator<char>(log), {}};
  EXPECT_THAT(text, HasSubstr(port));
}

}  // namespace
}  // namespace selvedge
