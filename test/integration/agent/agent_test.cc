// The agent as a process, among real others: mosquitto, our registry, selvedge-run.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "net/free_port.h"
#include "net/http_client.h"
#include "test_device.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

// Ten pictures a second for ever, a record of each.
// The queue holds what a busy machine comes to late: none is dropped.
constexpr char kEveryFrame[] =
    "source: {uri: \"test://?width=64&height=48&fps=10&frames=0\"}\n"
    "queue: {capacity: 300}\n"
    "events: {path: frames.jsonl, every_frame: true}\n";
// The same, and no records.
constexpr char kQuiet[] = "source: {uri: \"test://?width=64&height=48&fps=10&frames=0\"}\n";

bool Runs(const v1::ServiceStatus& service) {
  return service.state() == v1::RUNNING && service.pipeline().ready();
}

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() : site_(&fleet_), agent_(fleet_ / "device", fleet_ / "agent.out") {
    WriteIdentity(agent_.state(), &fleet_, site_);
  }

  Result<HttpAnswer> Get(const std::string& url) {
    HttpClient client({.proxy = "none"});
    HttpCall call;
    call.url = url;
    return client.Call(call);
  }

  TestFleet fleet_;
  FakeSite site_;
  AgentProcess agent_;
};

TEST_F(AgentTest, RunsWhatIsDesiredAndReports) {
  v1::ServiceSpec service = site_.Service(site_.Push("1", kEveryFrame));
  const auto port = FindFreePort("127.0.0.1");
  ASSERT_TRUE(port.has_value());
  v1::Port* mapping = service.add_ports();
  mapping->set_external(static_cast<std::uint32_t>(*port));
  mapping->set_internal(5000);
  service.set_config_json(R"({"confidence_threshold": 0.5})");
  site_.Want({service});
  agent_.Start({"--label", "hardware=jetson", "--camera",
                "yard=test://?width=96&height=64&fps=10&frames=0"});
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return birth.online(); }));
  ASSERT_TRUE(site_.AwaitService(Runs));
  const v1::State state = site_.state();
  EXPECT_EQ(state.generation(), 1u);
  EXPECT_EQ(state.services(0).digest(), service.digest());
  EXPECT_EQ(state.services(0).pipeline().privacy(), "local-only");
  EXPECT_EQ(state.services(0).ports(0).external(), static_cast<std::uint32_t>(*port));
  EXPECT_EQ(state.trouble(), "");
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) {
    return birth.labels().contains("hardware") && birth.facts().cameras_size() == 1;
  }));

  const std::string url = "http://127.0.0.1:" + std::to_string(*port);
  ASSERT_TRUE(site_.AwaitEvents(20));
  EXPECT_EQ(site_.events().front().width(), 96);  // the camera's picture, not the file's
  const auto status = Get(url + "/api/status");
  ASSERT_TRUE(status.has_value()) << status.error().message();
  EXPECT_EQ(json::parse(status->body)["pipeline"], "safety/detector");
  EXPECT_EQ(Get(url + "/api/results")->status, 200);
  EXPECT_EQ(Get(url + "/readyz")->status, 200);
  EXPECT_EQ(Get(url + "/live.mjpg")->status, 404);
  EXPECT_EQ(Get(url + "/snapshot.jpg")->status, 404);

  v1::Command logs;
  logs.mutable_logs()->set_lines(50);
  const auto own = site_.AwaitResult(site_.Command(logs));
  ASSERT_TRUE(own.has_value());
  EXPECT_THAT(own->text(), HasSubstr("service started"));
  logs.mutable_logs()->set_application("safety");
  logs.mutable_logs()->set_service("detector");
  const auto its = site_.AwaitResult(site_.Command(logs));
  ASSERT_TRUE(its.has_value());
  EXPECT_THAT(its->text(), HasSubstr("pipeline started"));

  v1::Command snapshot;
  snapshot.mutable_snapshot()->set_application("safety");
  snapshot.mutable_snapshot()->set_service("detector");
  const auto refused = site_.AwaitResult(site_.Command(snapshot));
  ASSERT_TRUE(refused.has_value());
  EXPECT_THAT(refused->error(), HasSubstr("local-only"));
  EXPECT_TRUE(refused->jpeg().empty());

  EXPECT_EQ(agent_.Services().size(), 1u);
  EXPECT_EQ(agent_.Terminate(), 0);
  EXPECT_TRUE(agent_.Services().empty());
  EXPECT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return !birth.online(); }));
  site_.ExpectNoFrameMissing();
}

TEST_F(AgentTest, ASnapshotComesWherePrivacyAllowsIt) {
  site_.Want({site_.Service(site_.Push(
      "1", std::string(kQuiet) + "privacy: frames\nhttp: {live_view: {enabled: true}}\n"))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  v1::Command snapshot;
  snapshot.mutable_snapshot()->set_application("safety");
  snapshot.mutable_snapshot()->set_service("detector");
  const auto picture = site_.AwaitResult(site_.Command(snapshot));
  ASSERT_TRUE(picture.has_value());
  EXPECT_EQ(picture->error(), "");
  EXPECT_EQ(picture->jpeg().substr(0, 2), "\xff\xd8");
}

TEST_F(AgentTest, ARestartOnRequest) {
  site_.Want({site_.Service(site_.Push("1", kQuiet))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  const std::set<pid_t> before = agent_.Services();
  v1::Command restart;
  restart.mutable_restart()->set_application("safety");
  restart.mutable_restart()->set_service("detector");
  const auto done = site_.AwaitResult(site_.Command(restart));
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->error(), "");
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& service) { return service.restarts() == 1 && Runs(service); }));
  EXPECT_NE(agent_.Services(), before);
  restart.mutable_restart()->set_service("other");
  const auto unknown = site_.AwaitResult(site_.Command(restart));
  ASSERT_TRUE(unknown.has_value());
  EXPECT_THAT(unknown->error(), HasSubstr("no microservice safety/other"));
}

TEST_F(AgentTest, KilledItFindsItsServicesAgainAndNothingIsLostOrDoubled) {
  site_.Want({site_.Service(site_.Push("1", kEveryFrame))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  const std::set<pid_t> running = agent_.Services();
  ASSERT_EQ(running.size(), 1u);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(site_.AwaitEvents(site_.events().size() + 10));
    agent_.Kill();
    EXPECT_EQ(agent_.Services(), running);
    agent_.Start();
  }
  ASSERT_TRUE(site_.AwaitEvents(site_.events().size() + 20));
  EXPECT_EQ(agent_.Services(), running);
  EXPECT_EQ(agent_.Terminate(), 0);
  site_.ExpectNoFrameMissing();
}

TEST_F(AgentTest, WithoutABrokerEverythingGoesOnAndArrivesAfterwards) {
  site_.Want({site_.Service(site_.Push("1", kEveryFrame))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitEvents(10));
  for (int round = 0; round < 2; ++round) {
    site_.StopBroker();
    std::this_thread::sleep_for(std::chrono::seconds(2));  // frames come meanwhile
    site_.StartBroker();
    ASSERT_TRUE(site_.AwaitEvents(site_.events().size() + 30));
  }
  EXPECT_EQ(agent_.Terminate(), 0);
  site_.ExpectNoFrameMissing();
}

TEST_F(AgentTest, AfterARebootWithNoNetworkServicesStartFromDisk) {
  site_.Want({site_.Service(site_.Push("1", kEveryFrame))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  ASSERT_EQ(agent_.Terminate(), 0);
  ASSERT_TRUE(agent_.Services().empty());
  const std::size_t before = site_.events().size();
  site_.StopBroker();
  site_.StopRegistry();
  agent_.Start();
  ASSERT_TRUE(Eventually([&] { return agent_.Services().size() == 1; }));
  site_.StartBroker();
  EXPECT_TRUE(site_.AwaitEvents(before + 20));
}

TEST_F(AgentTest, TheOldVersionRunsUntilTheNewOneIsThere) {
  const std::string first = site_.Push("1", kQuiet);
  site_.Want({site_.Service(first)});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  const std::set<pid_t> running = agent_.Services();
  // A version that no registry has.
  site_.Want({site_.Service("sha256:" + std::string(64, 'd'))});
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& service) {
    return service.message().find("cannot be fetched") != std::string::npos;
  }));
  EXPECT_EQ(site_.state().services(0).digest(), first);
  EXPECT_EQ(agent_.Services(), running);
  const std::string second = site_.Push("2", kQuiet);
  ASSERT_NE(first, second);
  site_.Want({site_.Service(second)});
  ASSERT_TRUE(site_.AwaitService([&](const v1::ServiceStatus& service) {
    return service.digest() == second && Runs(service);
  }));
  EXPECT_EQ(agent_.Services().size(), 1u);
  // The one before stays on disk: going back needs no network.
  site_.StopRegistry();
  site_.Want({site_.Service(first)});
  ASSERT_TRUE(site_.AwaitService([&](const v1::ServiceStatus& service) {
    return service.digest() == first && Runs(service);
  }));
  site_.Want({});
  ASSERT_TRUE(site_.AwaitState([](const v1::State& state) { return state.services_size() == 0; }));
  EXPECT_TRUE(agent_.Services().empty());
}

TEST_F(AgentTest, WhatIsNotWhatItsDigestSaysNeverRuns) {
  // A registry that gives something else under every name.
  HttpServerOptions options;
  options.address = "127.0.0.1";
  options.port = 0;
  HttpServer liar(options);
  const std::string digest = "sha256:" + std::string(64, 'd');
  const auto lie = [](const HttpRequest&) {
    HttpResponse response;
    response.content_type = "application/vnd.oci.image.index.v1+json";
    response.body = R"({"schemaVersion":2,"manifests":[]})";
    return response;
  };
  liar.Handle("GET", "/v2/safety/boxes/manifests/" + digest, lie);
  ASSERT_TRUE(liar.Start().ok());
  site_.Want({site_.Service(digest)}, "http://127.0.0.1:" + std::to_string(liar.port()));
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& service) {
    return service.state() == v1::FAILING && service.message().find("digest") != std::string::npos;
  })) << site_.state().ShortDebugString();
  EXPECT_TRUE(agent_.Services().empty());
}

TEST_F(AgentTest, ABusyPortIsWaitedForWithoutACrashLoop) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(socket_fd, 1), 0);
  ASSERT_EQ(getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  v1::ServiceSpec service = site_.Service(site_.Push("1", kQuiet));
  v1::Port* port = service.add_ports();
  port->set_external(ntohs(address.sin_port));
  port->set_internal(5000);
  site_.Want({service});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& status) { return status.state() == v1::WAITING; }));
  EXPECT_THAT(site_.state().services(0).message(), HasSubstr("taken"));
  EXPECT_EQ(site_.state().services(0).restarts(), 0u);
  close(socket_fd);
  EXPECT_TRUE(site_.AwaitService(Runs));
}

TEST_F(AgentTest, APipelineThatCannotRunSaysWhyAndIsTriedAgain) {
  site_.Want({site_.Service(
      site_.Push("1", std::string(kQuiet) + "rules: [{name: r, kind: zone, zone: nowhere}]\n"))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& status) {
    return status.state() == v1::FAILING && status.restarts() >= 2;
  }));
  EXPECT_THAT(site_.state().services(0).message(),
              AllOf(HasSubstr("exit code"), HasSubstr("nowhere")));
}

TEST_F(AgentTest, AServiceThatIsKilledComesBack) {
  site_.Want({site_.Service(site_.Push("1", kQuiet))});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitService(Runs));
  const std::set<pid_t> before = agent_.Services();
  ASSERT_EQ(before.size(), 1u);
  kill(*before.begin(), SIGKILL);
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& status) { return status.restarts() == 1 && Runs(status); }));
  EXPECT_NE(agent_.Services(), before);
}

TEST_F(AgentTest, WhatADeviceCannotRunIsRefusedWithTheReason) {
  v1::ServiceSpec camera = site_.Service(site_.Push("1", kQuiet));
  camera.set_config_json(R"({"camera": "roof"})");
  site_.Want({camera});
  agent_.Start({"--camera", "yard=test://"});
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& status) { return status.state() == v1::REFUSED; }));
  EXPECT_THAT(site_.state().services(0).message(), HasSubstr("roof"));
  v1::ServiceSpec volume = site_.Service(camera.digest());
  volume.add_volumes()->set_host("/etc");
  volume.mutable_volumes(0)->set_container("/x");
  site_.Want({volume});
  ASSERT_TRUE(site_.AwaitService([](const v1::ServiceStatus& status) {
    return status.message().find("--allow-volume") != std::string::npos;
  }));
}

TEST_F(AgentTest, AVolumeThatLeadsOutOfWhatIsAllowedIsRefused) {
  const std::string allowed = fleet_ / "volumes";
  fs::create_directories(allowed);
  fs::create_directory_symlink("/etc", allowed + "/link");
  v1::ServiceSpec service = site_.Service(site_.Push("1", kQuiet));
  service.add_volumes()->set_host(allowed + "/link/ssl");
  service.mutable_volumes(0)->set_container("/x");
  site_.Want({service});
  agent_.Start({"--allow-volume", allowed});
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& status) { return status.state() == v1::REFUSED; }));
  EXPECT_THAT(site_.state().services(0).message(), HasSubstr("leads out"));
}

TEST_F(AgentTest, AnOlderOrForeignDocumentIsIgnored) {
  const v1::ServiceSpec service = site_.Service(site_.Push("1", kQuiet));
  for (int i = 0; i < 3; ++i) site_.Want({service});
  agent_.Start();
  ASSERT_TRUE(site_.AwaitState([](const v1::State& state) { return state.generation() == 3; }));
  v1::Desired old;
  old.set_device(kDevice);
  old.set_generation(2);
  site_.SendDesired(old.SerializeAsString());
  old.set_device("another");
  old.set_generation(9);
  site_.SendDesired(old.SerializeAsString());
  site_.SendDesired("\xff no document");
  site_.Want({service, site_.Service(service.digest(), "second")});
  ASSERT_TRUE(site_.AwaitState([](const v1::State& state) {
    return state.generation() == 4 && state.services_size() == 2;
  }));
}

TEST_F(AgentTest, OneStateFolderIsForOneAgent) {
  agent_.Start();
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return birth.online(); }));
  ChildOptions options;
  options.program = SELVEDGE_AGENT;
  options.arguments = {"--state", agent_.state()};
  options.output_file = fleet_ / "second.out";
  auto second = ChildProcess::Start(options);
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->Wait(20 * kSecond), 1);
  std::ostringstream said;
  said << std::ifstream(fleet_ / "second.out").rdbuf();
  EXPECT_THAT(said.str(), HasSubstr("another agent uses"));
}

TEST_F(AgentTest, WithoutATokenItSaysWhatToDo) {
  ChildOptions options;
  options.program = SELVEDGE_AGENT;
  options.arguments = {"--state", fleet_ / "fresh"};
  options.output_file = fleet_ / "fresh.out";
  auto agent = ChildProcess::Start(options);
  ASSERT_TRUE(agent.has_value());
  EXPECT_EQ(agent->Wait(20 * kSecond), 1);
  std::ostringstream said;
  said << std::ifstream(fleet_ / "fresh.out").rdbuf();
  EXPECT_THAT(said.str(), HasSubstr("selvedge token create"));
}

// Else whoever placed something by an engine would take it away for a moment.
TEST_F(AgentTest, WhatItFoundOutHoldsUntilItIsFoundOutAnew) {
  const std::string program = fleet_ / "run";
  const auto write = [&](const std::string& script) {
    std::ofstream(program) << "#!/bin/sh\n" << script << "\n";
    fs::permissions(program, fs::perms::owner_all);
  };
  write(R"(echo '{"engines": [{"name": "loom", "version": "1.2"}]}')");
  std::ofstream(fleet_ / "agent.yaml") << "run_program: " << program << "\n";
  const auto knows = [](const v1::Birth& birth) {
    return birth.online() && birth.facts().engines_size() == 1 &&
           birth.facts().engines(0) == "loom 1.2";
  };
  agent_.Start({"--config", fleet_ / "agent.yaml"});
  ASSERT_TRUE(site_.AwaitBirth(knows));
  EXPECT_EQ(agent_.Terminate(), 0);
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return !birth.online(); }));
  write("sleep 3600");  // takes its time, and must not keep the agent from anything
  agent_.Start({"--config", fleet_ / "agent.yaml"});
  EXPECT_TRUE(site_.AwaitBirth(knows));
  EXPECT_EQ(agent_.Terminate(), 0);
}

TEST_F(AgentTest, IdleItIsSmall) {
#ifdef SELVEDGE_SANITIZED
  GTEST_SKIP() << "sanitizers take memory of their own";
#endif
  agent_.Start();
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return birth.online(); }));
  const auto kib = [&] {
    std::ifstream status("/proc/" + std::to_string(agent_.pid()) + "/status");
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
    }
    return 0L;
  };
  // Once it is over what only the start needs.
  EXPECT_TRUE(Eventually([&] { return kib() <= 15L * 1024; })) << kib() << " KiB";
  RecordProperty("rss_kib", std::to_string(kib()));
}

}  // namespace
}  // namespace selvedge
