// Images built here, unpacked, and run by a real runc, as an agent runs them.

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/child_process.h"
#include "device/agent/container.h"
#include "device/agent/test_image.h"
#include "net/http_server.h"
#include "registry/oci_client.h"
#include "registry/oci_server.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

namespace fs = std::filesystem;

constexpr Nanos kPatience = 60 * kSecond;

std::string ThisArchitecture() {
#if defined(__aarch64__)
  return "arm64";
#elif defined(__arm__)
  return "arm";
#else
  return "amd64";
#endif
}
const std::string kArch = ThisArchitecture() == "amd64" ? "x86" : ThisArchitecture();

class Containers : public testing::Test {
 protected:
  void SetUp() override {
    auto runtime = FindContainerRuntime();
    if (!runtime) GTEST_SKIP() << runtime.error().message();
    runtime_ = *runtime;
    state_ = scratch_ / "runc";
    fs::create_directory(state_);
    const Status usable = TryContainerRuntime(runtime_, state_, scratch_ / "try");
    if (!usable.ok()) GTEST_SKIP() << usable.message();
    device_ = "test-" + std::to_string(getpid());
    spec_.set_application("containers");
    spec_.set_name("payload");
  }
  void TearDown() override {
    if (runtime_.program.empty()) return;
    const auto ids = ListContainers(runtime_, state_);
    if (!ids) return;
    for (const std::string& id : *ids) EXPECT_TRUE(DeleteContainer(runtime_, state_, id).ok());
  }

  static json ConfigOf(const std::vector<std::string>& command, const std::string& user,
                       const std::string& diff_id) {
    return {{"os", "linux"},
            {"architecture", ThisArchitecture()},
            {"config",
             {{"Entrypoint", {"/bin/payload"}},
              {"Cmd", command},
              {"User", user},
              {"Env", {"FROM_IMAGE=yes"}},
              {"Volumes", {{"/data", json::object()}}}}},
            {"rootfs", {{"type", "layers"}, {"diff_ids", {diff_id}}}}};
  }
  static std::string Tar() {
    TarEntry data{.name = "data/", .type = '5', .content = {}, .link = {}, .mode = 0755};
    data.uid = data.gid = 1000;
    return MakeTar({{.name = "bin/payload",
                     .type = '0',
                     .content = Slurp(SELVEDGE_CONTAINER_PAYLOAD),
                     .link = {},
                     .mode = 0755},
                    data,
                    {.name = "data/from-image", .type = '0', .content = "copied", .link = {}},
                    {.name = "etc/passwd",
                     .type = '0',
                     .content = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
                     .link = {}}});
  }

  // Made and unpacked; says how to start it.
  Result<LaunchSpec> Prepare(const std::vector<std::string>& command,
                             const std::string& user = "") {
    OciImage image;
    const LayerFile layer = WriteLayer(scratch_.path(), Tar(), LayerCompression::kZstd);
    image.config_bytes = ConfigOf(command, user, layer.diff_id).dump();
    image.layers = {layer};
    if (auto unpacked = UnpackImage(image, scratch_ / "image"); !unpacked) {
      return Err(unpacked.error());
    }
    return PrepareFrom(scratch_ / "image");
  }
  Result<LaunchSpec> PrepareFrom(const std::string& image) {
    ContainerContext context;
    context.runtime = runtime_;
    context.state_folder = state_;
    context.device = device_;
    context.image_folder = image;
    context.bundle = scratch_ / "bundle";
    context.config_file = config_file_;
    context.variables = {{"CONFIDENCE_THRESHOLD", "0.7"}};
    context.network = network_;
    return PrepareContainer(spec_, context);
  }
  Result<ChildProcess> Start(const LaunchSpec& launch) {
    return ChildProcess::Start({.program = launch.arguments.front(),
                                .arguments = {launch.arguments.begin() + 1, launch.arguments.end()},
                                .environment = launch.environment,
                                .folder = launch.folder,
                                .output_file = scratch_ / "output"});
  }
  // Its exit code; the output is in Output().
  int Run(const Result<LaunchSpec>& launch) {
    EXPECT_TRUE(launch) << launch.error().ToString();
    if (!launch) return -1;
    auto child = Start(*launch);
    EXPECT_TRUE(child) << child.error().ToString();
    return child ? child->Wait(kPatience).value_or(-2) : -1;
  }
  std::string Output() { return Slurp(scratch_ / "output"); }
  std::string Id() { return ContainerId(device_, spec_); }

  // What the port answers; empty where nobody does.
  static std::string Get(int port) {
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        send(connection, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18) {
      answer.resize(4096);
      const ssize_t size = recv(connection, answer.data(), answer.size(), MSG_WAITALL);
      answer.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    close(connection);
    return answer;
  }
  // The port that the payload printed, once it has.
  int AwaitPort(ChildProcess* child) {
    for (int i = 0; i < 6000 && child->Running(); ++i) {
      const std::string output = Output();
      const std::size_t at = output.find("port=");
      if (at != std::string::npos && output.find('\n', at) != std::string::npos) {
        return std::stoi(output.substr(at + 5));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return 0;
  }

  ScratchFolder scratch_;
  ContainerRuntime runtime_;
  std::string state_;
  std::string device_;
  std::string config_file_;
  ContainerNetwork network_ = ContainerNetwork::kHost;
  v1::ServiceSpec spec_;
};

// It tries what would harm a machine: nowhere but where it is the first process.
TEST(ContainersPayload, DoesNothingOutsideOfAContainer) {
  ScratchFolder scratch;
  for (const char* what : {"show", "eat", "fork", "serve"}) {
    auto child = ChildProcess::Start({.program = SELVEDGE_CONTAINER_PAYLOAD,
                                      .arguments = {what},
                                      .environment = {},
                                      .folder = {},
                                      .output_file = scratch / "output"});
    ASSERT_TRUE(child);
    EXPECT_EQ(child->Wait(kPatience).value_or(-1), 2);
  }
  EXPECT_THAT(Slurp(scratch / "output"), HasSubstr("runs in a container only"));
}

TEST_F(Containers, SeesItsConfigVolumeAndEnvironment) {
  config_file_ = scratch_ / "config.json";
  std::ofstream(config_file_) << R"({"confidence_threshold":0.7})";
  fs::permissions(config_file_, fs::perms(0600));
  fs::create_directory(scratch_ / "models");
  std::ofstream(scratch_ / "models/name") << "person-detector";
  v1::Volume* volume = spec_.add_volumes();
  volume->set_host(scratch_ / "models");
  volume->set_container("/models");
  ASSERT_EQ(Run(Prepare({"show"})), 0) << Output();
  const std::string output = Output();
  EXPECT_THAT(output,
              AllOf(HasSubstr("uid=0 gid=0 pid=1\n"), HasSubstr("host=payload\n"),
                    HasSubstr("config={\"confidence_threshold\":0.7}\n"),
                    HasSubstr("volume=person-detector\n"), HasSubstr("env FROM_IMAGE=yes\n"),
                    HasSubstr("env CONFIDENCE_THRESHOLD=0.7\n"),
                    HasSubstr("env SELVEDGE_CONFIG_FILE=/run/selvedge/config.json\n"),
                    HasSubstr("env HOME=/root\n")));
  EXPECT_THAT(output, AllOf(HasSubstr("write-tmp=yes\n"), HasSubstr("write-data=yes\n"),
                            HasSubstr("data-copied=copied\n"), HasSubstr("write-volume=yes\n"),
                            HasSubstr("null=yes\n"), HasSubstr("thread=yes\n")));
  EXPECT_TRUE(fs::exists(scratch_ / "models/planted"));
}

TEST_F(Containers, MayNotDoWhatItNeedNot) {
  fs::create_directory(scratch_ / "models");
  v1::Volume* volume = spec_.add_volumes();
  volume->set_host(scratch_ / "models");
  volume->set_container("/models");
  volume->set_read_only(true);
  for (const char* user : {"", "app"}) {
    fs::remove(scratch_ / "output");
    ASSERT_EQ(Run(Prepare({"show"}, user)), 0) << Output();
    EXPECT_THAT(Output(),
                AllOf(HasSubstr("write-root=no\n"), HasSubstr("write-volume=no\n"),
                      HasSubstr("mount=no\n"), HasSubstr("raw-socket=no\n"),
                      HasSubstr("disk-device=no\n"), HasSubstr("no-new-privileges=yes\n")));
    if (runtime_.seccomp) {
      EXPECT_THAT(Output(), HasSubstr("unshare=no\n"));
    }
  }
  EXPECT_THAT(Output(), AllOf(HasSubstr("uid=1000 gid=1000"), HasSubstr("write-data=yes\n"),
                              HasSubstr("env HOME=/home/app\n")));
  EXPECT_FALSE(fs::exists(scratch_ / "image/rootfs/planted"));
  EXPECT_FALSE(fs::exists(scratch_ / "image/rootfs/data/planted"));
}

TEST_F(Containers, MemoryIsLimited) {
  if (!runtime_.memory) GTEST_SKIP() << "this kernel has no control group for memory";
  spec_.mutable_resources()->set_memory_bytes(64 << 20);
  EXPECT_EQ(Run(Prepare({"eat"})), 137) << Output();
  EXPECT_THAT(Output(), AllOf(HasSubstr("32 MiB\n"), Not(HasSubstr("\n72 MiB\n"))));
}

TEST_F(Containers, ProcessorTimeIsLimited) {
  if (!runtime_.cpu) GTEST_SKIP() << "this kernel has no control group for processor time";
  spec_.mutable_resources()->set_cpus(0.25);
  const auto launch = Prepare({"serve", "0"});
  ASSERT_TRUE(launch) << launch.error().ToString();
  auto child = Start(*launch);
  ASSERT_TRUE(child);
  ASSERT_GT(AwaitPort(&*child), 0) << Output();
  const std::string top = "/sys/fs/cgroup";
  const std::string group = "/selvedge/" + Id();
  const std::string limit = fs::exists(top + "/cgroup.controllers")
                                ? Slurp(top + group + "/cpu.max")
                                : Slurp(top + "/cpu" + group + "/cpu.cfs_quota_us");
  EXPECT_THAT(limit, AnyOf("25000 100000\n", "25000\n"));
  EXPECT_TRUE(DeleteContainer(runtime_, state_, Id()).ok());
}

TEST_F(Containers, ProcessesAreLimited) {
  if (!runtime_.pids) GTEST_SKIP() << "this kernel has no control group for processes";
  EXPECT_EQ(Run(Prepare({"fork"})), 0) << Output();
  const std::size_t at = Output().find("forked=");
  ASSERT_NE(at, std::string::npos) << Output();
  const int forked = std::stoi(Output().substr(at + 7));
  EXPECT_GT(forked, 900);
  EXPECT_LT(forked, 1024);
}

TEST_F(Containers, AnswersOnItsPortAndStopsWhenAskedTo) {
  const auto launch = Prepare({"serve", "0"});
  ASSERT_TRUE(launch) << launch.error().ToString();
  auto child = Start(*launch);
  ASSERT_TRUE(child);
  const int port = AwaitPort(&*child);
  ASSERT_GT(port, 0) << Output();
  EXPECT_THAT(Get(port), HasSubstr("200 OK"));
  EXPECT_THAT(ListContainers(runtime_, state_).value(), ElementsAre(Id()));
  child->Signal(SIGTERM);
  EXPECT_EQ(child->Wait(kPatience).value_or(-1), 7);
  EXPECT_THAT(Output(), HasSubstr("stopped\n"));
  EXPECT_THAT(ListContainers(runtime_, state_).value(), IsEmpty());
}

TEST_F(Containers, OneWhoseRuntimeWasKilledIsRemovedAndStartsAnew) {
  const auto launch = Prepare({"serve", "0"});
  ASSERT_TRUE(launch) << launch.error().ToString();
  auto child = Start(*launch);
  ASSERT_TRUE(child);
  const int port = AwaitPort(&*child);
  ASSERT_GT(port, 0) << Output();
  child->Signal(SIGKILL);
  child->Wait(kPatience);
  // The container goes on; nobody starts a second one beside it.
  EXPECT_THAT(Get(port), HasSubstr("200 OK"));
  EXPECT_NE(Run(launch), 0);
  EXPECT_TRUE(DeleteContainer(runtime_, state_, Id()).ok());
  EXPECT_THAT(Get(port), IsEmpty());
  EXPECT_THAT(ListContainers(runtime_, state_).value(), IsEmpty());
  fs::remove(scratch_ / "output");
  child = Start(*launch);
  ASSERT_TRUE(child);
  EXPECT_GT(AwaitPort(&*child), 0) << Output();
  EXPECT_TRUE(DeleteContainer(runtime_, state_, Id()).ok());
  EXPECT_TRUE(DeleteContainer(runtime_, state_, Id()).ok());
}

TEST_F(Containers, AnIsolatedOneReachesNobodyAndIsReachedByNobody) {
  network_ = ContainerNetwork::kIsolated;
  const auto launch = Prepare({"serve", "0"});
  ASSERT_TRUE(launch) << launch.error().ToString();
  auto child = Start(*launch);
  ASSERT_TRUE(child);
  const int port = AwaitPort(&*child);
  ASSERT_GT(port, 0) << Output();
  EXPECT_THAT(Get(port), Not(HasSubstr("hello")));
  EXPECT_TRUE(DeleteContainer(runtime_, state_, Id()).ok());
}

TEST_F(Containers, AnImageThatCannotStartSaysWhy) {
  OciImage image;
  const LayerFile layer = WriteLayer(
      scratch_.path(), MakeTar({{.name = "x", .type = '0', .content = "x", .link = {}}}));
  image.config_bytes = ConfigOf({"show"}, "", layer.diff_id).dump();
  image.layers = {layer};
  ASSERT_TRUE(UnpackImage(image, scratch_ / "image"));
  EXPECT_NE(Run(PrepareFrom(scratch_ / "image")), 0);
  EXPECT_THAT(Output(), HasSubstr("/bin/payload"));
}

// From a registry, by our own client, to a process.
TEST_F(Containers, IsPulledFromARegistryAndRunsWithoutItAfterwards) {
  const auto there = ContentStore::Open(scratch_ / "registry").value();
  OciServer registry(there.get(),
                     {.authorize = [](const auto&, auto, auto) { return OkStatus(); }});
  HttpServerOptions http;
  http.address = "127.0.0.1";
  http.port = 0;
  http.worker_threads = 2;
  HttpServer server(http);
  registry.Register(&server);
  ASSERT_TRUE(server.Start().ok());
  OciClient client({.url = "http://127.0.0.1:" + std::to_string(server.port())});

  const auto push = [&](const std::string& bytes, const std::string& media_type) {
    Descriptor blob;
    blob.media_type = media_type;
    blob.digest = DigestOf(std::string_view(bytes)).value();
    blob.size = bytes.size();
    EXPECT_TRUE(client.PushBytes("tools/payload", blob, bytes));
    return blob;
  };
  const std::string tar = Tar();
  Manifest manifest;
  manifest.media_type = kManifestType;
  manifest.layers = {
      push(Pack(tar, LayerCompression::kGzip), MediaTypeOf(LayerCompression::kGzip))};
  manifest.config = push(ConfigOf({"show"}, "app", DigestOf(std::string_view(tar)).value()).dump(),
                         "application/vnd.oci.image.config.v1+json");
  const std::string bytes = WriteManifest(manifest);
  ASSERT_TRUE(client.PushManifest("tools/payload", "1.0", kManifestType, bytes).ok());

  const auto here = ContentStore::Open(scratch_ / "store").value();
  const std::string digest = DigestOf(std::string_view(bytes)).value();
  std::uint64_t done = 0;
  std::uint64_t all = 0;
  const auto fetched = FetchImage(&client, here.get(), "tools/payload", digest, kArch,
                                  [&](std::uint64_t bytes_done, std::uint64_t bytes_all) {
                                    done = bytes_done;
                                    all = bytes_all;
                                  });
  ASSERT_TRUE(fetched) << fetched.error().ToString();
  EXPECT_EQ(done, all);
  EXPECT_EQ(all, fetched->bytes);
  server.Stop();
  ASSERT_TRUE(FetchImage(&client, here.get(), "tools/payload", digest, kArch));
  const auto image = OpenImage(here.get(), "tools/payload", digest, kArch);
  ASSERT_TRUE(image) << image.error().ToString();
  ASSERT_TRUE(UnpackImage(*image, scratch_ / "image"));
  EXPECT_EQ(Run(PrepareFrom(scratch_ / "image")), 0) << Output();
  EXPECT_THAT(Output(), HasSubstr("uid=1000"));
}

}  // namespace
}  // namespace selvedge
