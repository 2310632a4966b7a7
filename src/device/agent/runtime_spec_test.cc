#include "device/agent/runtime_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

v1::ServiceSpec Spec() {
  v1::ServiceSpec spec;
  spec.set_application("safety");
  spec.set_name("detector");
  return spec;
}

ImageConfig Image() {
  ImageConfig image;
  image.entrypoint = {"/app"};
  image.command = {"--serve"};
  image.environment = {"A=image", "B=image", "=x", "broken"};
  return image;
}

json Write(const v1::ServiceSpec& spec, const ImageConfig& image,
           const RuntimeSpecOptions& options) {
  const auto text = WriteRuntimeSpec(spec, image, options);
  return text ? json::parse(*text) : json(text.error().message());
}

RuntimeSpecOptions Options() {
  RuntimeSpecOptions options;
  options.id = "cam.safety.detector";
  options.root = "/images/x/rootfs";
  return options;
}

json MountAt(const json& config, const std::string& path) {
  json found;
  for (const json& mount : config["mounts"]) {
    if (mount["destination"] == path) found = mount;
  }
  return found;
}

TEST(RuntimeSpec, RunsWhatTheImageSaysWithTheManifestsEnvironment) {
  RuntimeSpecOptions options = Options();
  options.variables = {{"A", "manifest"}, {"C", "new"}};
  options.config_file = "/state/config.json";
  options.user.home = "/root";
  const json config = Write(Spec(), Image(), options);
  EXPECT_EQ(config["process"]["args"], json({"/app", "--serve"}));
  EXPECT_EQ(config["process"]["cwd"], "/");
  const auto env = config["process"]["env"].get<std::vector<std::string>>();
  EXPECT_THAT(env, Contains("A=manifest"));
  EXPECT_THAT(env, Not(Contains("A=image")));
  EXPECT_THAT(env, Contains("B=image"));
  EXPECT_THAT(env, Contains("C=new"));
  EXPECT_THAT(env, Contains("HOME=/root"));
  EXPECT_THAT(env, Contains(HasSubstr("PATH=/usr/local/sbin")));
  EXPECT_THAT(env, Contains("SELVEDGE_CONFIG_FILE=/run/selvedge/config.json"));
  EXPECT_EQ(env.size(), 6U);
  EXPECT_EQ(MountAt(config, "/run/selvedge/config.json")["source"], "/state/config.json");
  EXPECT_THAT(MountAt(config, "/run/selvedge/config.json")["options"], Contains("ro"));
  EXPECT_EQ(config["linux"]["cgroupsPath"], "/selvedge/cam.safety.detector");
}

TEST(RuntimeSpec, NothingIsGivenThatIsNotNeeded) {
  json config = Write(Spec(), Image(), Options());
  EXPECT_EQ(config["process"]["noNewPrivileges"], true);
  EXPECT_EQ(config["root"]["readonly"], true);
  EXPECT_EQ(config["process"]["rlimits"][0]["hard"], 0);
  EXPECT_EQ(config["linux"]["resources"]["devices"],
            json::array({{{"allow", false}, {"access", "rwm"}}}));
  EXPECT_EQ(config["linux"]["resources"]["pids"]["limit"], 1024);
  EXPECT_FALSE(config["linux"]["resources"].contains("memory"));
  const json root_capabilities = config["process"]["capabilities"]["bounding"];
  EXPECT_THAT(root_capabilities, Not(Contains("CAP_SYS_ADMIN")));
  EXPECT_THAT(root_capabilities, Not(Contains("CAP_NET_RAW")));
  EXPECT_THAT(root_capabilities, Not(Contains("CAP_MKNOD")));
  EXPECT_EQ(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ALLOW");
  EXPECT_THAT(config["linux"]["seccomp"]["syscalls"][0]["names"], Contains("mount"));
  EXPECT_EQ(config["linux"]["seccomp"]["syscalls"][1]["args"][0]["op"], "SCMP_CMP_MASKED_EQ");
  EXPECT_EQ(config["linux"]["seccomp"]["syscalls"][2]["errnoRet"], 38);
  RuntimeSpecOptions options = Options();
  options.user.uid = 1000;
  options.seccomp = false;
  config = Write(Spec(), Image(), options);
  EXPECT_EQ(config["process"]["capabilities"]["bounding"], json::array({"CAP_NET_BIND_SERVICE"}));
  EXPECT_FALSE(config["linux"].contains("seccomp"));
}

TEST(RuntimeSpec, LimitsOfTheManifest) {
  v1::ServiceSpec spec = Spec();
  spec.mutable_resources()->set_memory_bytes(64 << 20);
  spec.mutable_resources()->set_cpus(1.5);
  json config = Write(spec, Image(), Options());
  EXPECT_EQ(config["linux"]["resources"]["memory"], json({{"limit", 64 << 20}}));
  EXPECT_EQ(config["linux"]["resources"]["cpu"], json({{"quota", 150'000}, {"period", 100'000}}));
  RuntimeSpecOptions options = Options();
  options.limit_swap = true;
  spec.mutable_resources()->set_cpus(0.0001);
  config = Write(spec, Image(), options);
  EXPECT_EQ(config["linux"]["resources"]["memory"]["swap"], 64 << 20);
  EXPECT_EQ(config["linux"]["resources"]["cpu"]["quota"], 1000);
  spec.mutable_resources()->set_memory_bytes(4096);
  EXPECT_THAT(Write(spec, Image(), options).get<std::string>(), HasSubstr("resources.memory"));
}

TEST(RuntimeSpec, VolumesAndFoldersInMemoryComeInOrder) {
  v1::ServiceSpec spec = Spec();
  v1::Volume* volume = spec.add_volumes();
  volume->set_host("/var/edge-models");
  volume->set_container("/data/models");
  volume->set_read_only(true);
  ImageConfig image = Image();
  image.volumes = {"/data", "/proc/x", "/a/../b", "relative", "/"};
  RuntimeSpecOptions options = Options();
  options.user.uid = 7;
  const json config = Write(spec, image, options);
  EXPECT_THAT(MountAt(config, "/data")["options"], Contains("uid=7"));
  EXPECT_EQ(MountAt(config, "/data")["type"], "tmpfs");
  EXPECT_EQ(MountAt(config, "/data/models")["source"], "/var/edge-models");
  EXPECT_THAT(MountAt(config, "/data/models")["options"], Contains("ro"));
  EXPECT_TRUE(MountAt(config, "/proc/x").is_null());
  EXPECT_TRUE(MountAt(config, "/a/../b").is_null());
  std::vector<std::string> order;
  for (const json& mount : config["mounts"]) order.push_back(mount["destination"]);
  EXPECT_LT(std::ranges::find(order, "/data"), std::ranges::find(order, "/data/models"));
  EXPECT_LT(std::ranges::find(order, "/proc"), std::ranges::find(order, "/data"));
  for (const char* path : {"/", "/proc", "/dev/x", "/run/selvedge", "/a/..", "a", "/a//b", ""}) {
    spec.mutable_volumes(0)->set_container(path);
    EXPECT_THAT(Write(spec, image, options).get<std::string>(), HasSubstr("cannot be mounted"))
        << path;
  }
  EXPECT_TRUE(IsMountPoint("/development"));
}

TEST(RuntimeSpec, TheNetworkIsTheDevicesUnlessIsolated) {
  v1::ServiceSpec spec = Spec();
  v1::Port* port = spec.add_ports();
  port->set_external(5000);
  port->set_internal(80);
  RuntimeSpecOptions options = Options();
  EXPECT_THAT(Write(spec, Image(), options).get<std::string>(), HasSubstr("same number"));
  options.network = ContainerNetwork::kIsolated;
  EXPECT_THAT(Write(spec, Image(), options)["linux"]["namespaces"],
              Contains(json({{"type", "network"}})));
  options.network = ContainerNetwork::kHost;
  port->set_internal(5000);
  EXPECT_THAT(Write(spec, Image(), options)["linux"]["namespaces"],
              Not(Contains(json({{"type", "network"}}))));
}

TEST(RuntimeSpec, DevicesAreGivenByName) {
  RuntimeSpecOptions options = Options();
  options.devices = {{.path = "/dev/apex_0", .major = 120, .minor = 0, .mode = 0660, .gid = 44}};
  const json config = Write(Spec(), Image(), options);
  EXPECT_EQ(config["linux"]["devices"][0]["path"], "/dev/apex_0");
  EXPECT_EQ(config["linux"]["resources"]["devices"][1]["major"], 120);
  EXPECT_EQ(config["linux"]["resources"]["devices"][1]["access"], "rw");
}

TEST(RuntimeSpec, AnImageThatSaysNothingIsRefused) {
  ImageConfig image;
  EXPECT_THAT(Write(Spec(), image, Options()).get<std::string>(), HasSubstr("ENTRYPOINT"));
  image = Image();
  image.folder = "srv";
  EXPECT_THAT(Write(Spec(), image, Options()).get<std::string>(), HasSubstr("not absolute"));
}

}  // namespace
}  // namespace selvedge
