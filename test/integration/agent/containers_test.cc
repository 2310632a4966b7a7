// Containers as an agent runs them: pulled, started by runc, found again, stopped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "device/agent/container.h"
#include "device/agent/test_image.h"
#include "net/free_port.h"
#include "net/http_client.h"
#include "test_device.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

constexpr const char* kId = "jetson-1.safety.detector";

std::string ThisArchitecture() {
#if defined(__aarch64__)
  return "arm64";
#elif defined(__arm__)
  return "arm";
#else
  return "amd64";
#endif
}

std::string Content(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

class AgentContainers : public ::testing::Test {
 protected:
  AgentContainers() : site_(&fleet_), agent_(fleet_ / "device", fleet_ / "agent.out") {
    WriteIdentity(agent_.state(), &fleet_, site_);
  }
  void SetUp() override {
    auto runtime = FindContainerRuntime();
    if (!runtime) GTEST_SKIP() << runtime.error().message();
    const Status usable = TryContainerRuntime(*runtime, fleet_ / "try-runc", fleet_ / "try");
    if (!usable.ok()) GTEST_SKIP() << usable.message();
    runtime_ = *runtime;
    const auto port = FindFreePort("127.0.0.1");
    ASSERT_TRUE(port.has_value());
    port_ = *port;
  }
  void TearDown() override {
    for (const std::string& id : Containers()) {
      EXPECT_TRUE(DeleteContainer(runtime_, agent_.state() + "/runc", id).ok());
    }
  }

  std::vector<std::string> Containers() const {
    if (runtime_.program.empty()) return {};
    return ListContainers(runtime_, agent_.state() + "/runc").value_or(std::vector<std::string>());
  }

  // An image that answers on the port; as a service.
  v1::ServiceSpec Serving() {
    OciClient client(site_.Operator());
    const auto push = [&](const std::string& bytes, const std::string& media_type) {
      Descriptor blob;
      blob.media_type = media_type;
      blob.digest = DigestOf(std::string_view(bytes)).value();
      blob.size = bytes.size();
      EXPECT_TRUE(client.PushBytes("safety/server", blob, bytes));
      return blob;
    };
    const std::string tar = MakeTar({{.name = "bin/payload",
                                      .type = '0',
                                      .content = Slurp(SELVEDGE_CONTAINER_PAYLOAD),
                                      .link = {},
                                      .mode = 0755}});
    const json config = {
        {"os", "linux"},
        {"architecture", ThisArchitecture()},
        {"config", {{"Entrypoint", {"/bin/payload"}}, {"Cmd", {"serve", std::to_string(port_)}}}},
        {"rootfs", {{"type", "layers"}, {"diff_ids", {DigestOf(std::string_view(tar)).value()}}}}};
    Manifest manifest;
    manifest.media_type = kManifestType;
    manifest.layers = {
        push(Pack(tar, LayerCompression::kGzip), MediaTypeOf(LayerCompression::kGzip))};
    manifest.config = push(config.dump(), "application/vnd.oci.image.config.v1+json");
    const std::string bytes = WriteManifest(manifest);
    EXPECT_TRUE(client.PushManifest("safety/server", "1.0", kManifestType, bytes).ok());
    v1::ServiceSpec spec = site_.Service(DigestOf(std::string_view(bytes)).value());
    spec.set_kind(v1::CONTAINER);
    spec.set_image("safety/server:1.0");
    spec.set_repository("safety/server");
    v1::Port* port = spec.add_ports();
    port->set_external(static_cast<std::uint32_t>(port_));
    port->set_internal(static_cast<std::uint32_t>(port_));
    return spec;
  }

  bool Answers() {
    HttpClient client({.proxy = "none"});
    HttpCall call;
    call.url = "http://127.0.0.1:" + std::to_string(port_) + "/";
    const auto answer = client.Call(call);
    return answer && answer->body == "hello\n";
  }
  bool AwaitRunning() {
    return site_.AwaitService([](const v1::ServiceStatus& service) {
      return service.state() == v1::RUNNING;
    }) && Eventually([&] { return Answers(); });
  }

  TestFleet fleet_;
  FakeSite site_;
  AgentProcess agent_;
  ContainerRuntime runtime_;
  int port_ = 0;
};

TEST_F(AgentContainers, OneAnswersOnItsPortWithinItsLimitsAndEndsWithTheAgent) {
  v1::ServiceSpec service = Serving();
  if (runtime_.memory) service.mutable_resources()->set_memory_bytes(std::uint64_t{64} << 20);
  if (runtime_.cpu) service.mutable_resources()->set_cpus(0.5);
  site_.Want({service});
  agent_.Start();
  ASSERT_TRUE(AwaitRunning()) << site_.state().ShortDebugString();
  EXPECT_THAT(Containers(), ElementsAre(kId));
  ASSERT_TRUE(site_.AwaitBirth([](const v1::Birth& birth) { return birth.facts().containers(); }));
  const std::string top = "/sys/fs/cgroup";
  const std::string group = std::string("/selvedge/") + kId;
  const bool unified = fs::exists(top + "/cgroup.controllers");
  const auto limit = [&](const char* controller, const char* one, const char* two) {
    return Content(unified ? top + group + "/" + two : top + "/" + controller + group + "/" + one);
  };
  if (runtime_.memory) {
    EXPECT_EQ(limit("memory", "memory.limit_in_bytes", "memory.max"), "67108864\n");
  }
  if (runtime_.cpu) {
    EXPECT_THAT(limit("cpu", "cpu.cfs_quota_us", "cpu.max"), HasSubstr("50000"));
  }
  if (runtime_.pids) {
    EXPECT_EQ(limit("pids", "pids.max", "pids.max"), "1024\n");
  }

  v1::Command logs;
  logs.mutable_logs()->set_application("safety");
  logs.mutable_logs()->set_service("detector");
  const auto said = site_.AwaitResult(site_.Command(logs));
  ASSERT_TRUE(said.has_value());
  EXPECT_THAT(said->text(), HasSubstr("port=" + std::to_string(port_)));
  v1::Command snapshot;
  snapshot.mutable_snapshot()->set_application("safety");
  snapshot.mutable_snapshot()->set_service("detector");
  const auto refused = site_.AwaitResult(site_.Command(snapshot));
  ASSERT_TRUE(refused.has_value());
  EXPECT_THAT(refused->error(), HasSubstr("only pipelines give pictures"));

  EXPECT_EQ(agent_.Terminate(), 0);
  EXPECT_FALSE(Answers());
  EXPECT_THAT(Containers(), IsEmpty());
}

TEST_F(AgentContainers, OneOutlivesItsAgentAndIsFoundAgain) {
  site_.Want({Serving()});
  agent_.Start();
  ASSERT_TRUE(AwaitRunning()) << site_.state().ShortDebugString();
  const std::string before = Content(agent_.state() + "/services/safety.detector/process.json");
  const std::string boot = site_.state().boot_id();
  agent_.Kill();
  EXPECT_TRUE(Answers());
  agent_.Start();
  ASSERT_TRUE(site_.AwaitState([&](const v1::State& state) {
    return state.boot_id() != boot && state.services_size() == 1 &&
           state.services(0).state() == v1::RUNNING;
  }));
  EXPECT_TRUE(Answers());
  EXPECT_EQ(Content(agent_.state() + "/services/safety.detector/process.json"), before);

  // Together with what watches the container: it is ended.
  agent_.Kill();
  const pid_t watcher = json::parse(before)["pid"];
  kill(watcher, SIGKILL);
  EXPECT_TRUE(Answers());
  site_.Want({});
  agent_.Start();
  ASSERT_TRUE(Eventually([&] { return Containers().empty(); }));
  EXPECT_FALSE(Answers());
}

TEST_F(AgentContainers, OffTheNetworkPortsAreRefusedBeforeAnythingIsDownloaded) {
  site_.Want({Serving()});
  std::ofstream(fleet_ / "agent.yaml") << "container_network: isolated\n";
  agent_.Start({"--config", fleet_ / "agent.yaml"});
  ASSERT_TRUE(site_.AwaitService(
      [](const v1::ServiceStatus& service) { return service.state() == v1::REFUSED; }));
  EXPECT_THAT(site_.state().services(0).message(), HasSubstr("container_network: isolated"));
  EXPECT_TRUE(fs::is_empty(agent_.state() + "/images"));
}

}  // namespace
}  // namespace selvedge
