#include "device/agent/spec_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace selvedge {
namespace {

using ::testing::HasSubstr;

v1::ServiceSpec Good() {
  v1::ServiceSpec spec;
  spec.set_application("app");
  spec.set_name("svc");
  spec.set_kind(v1::PIPELINE);
  spec.set_digest("sha256:" + std::string(64, 'a'));
  spec.set_config_json(R"({"camera": "yard", "confidence_threshold": 0.7})");
  (*spec.mutable_env())["MODE"] = "fast";
  v1::Port* port = spec.add_ports();
  port->set_external(5000);
  port->set_internal(5000);
  v1::Volume* volume = spec.add_volumes();
  volume->set_host("/var/edge-models/a");
  volume->set_container("/models");
  return spec;
}

DeviceLimits Device() {
  return {.containers = true,
          .why_no_containers = {},
          .cameras = {"yard"},
          .allow_volumes = {"/var/edge-models"}};
}

TEST(SpecCheck, AGoodOneIsTaken) {
  EXPECT_TRUE(CheckSpec(Good(), Device()).ok());
  v1::ServiceSpec container = Good();
  container.set_kind(v1::CONTAINER);
  EXPECT_TRUE(CheckSpec(container, Device()).ok());
}

struct BadSpec {
  const char* what;
  std::function<void(v1::ServiceSpec*)> spoil;
  const char* message;
};

class SpecCheckRefuses : public ::testing::TestWithParam<BadSpec> {};

TEST_P(SpecCheckRefuses, WithASentence) {
  v1::ServiceSpec spec = Good();
  GetParam().spoil(&spec);
  const Status status = CheckSpec(spec, Device());
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, SpecCheckRefuses,
    ::testing::Values(
        BadSpec{"NameWithASlash", [](auto* s) { s->set_name("../x"); }, "../x"},
        BadSpec{"NoApplication", [](auto* s) { s->set_application(""); }, "is called"},
        BadSpec{"NoDigest", [](auto* s) { s->set_digest("latest"); }, "latest"},
        BadSpec{"DigestThatIsAPath",
                [](auto* s) { s->set_digest("sha256:" + std::string(62, 'a') + "/."); }, "digest"},
        BadSpec{"PortZero", [](auto* s) { s->mutable_ports(0)->set_external(0); }, "port"},
        BadSpec{"PortTooLarge", [](auto* s) { s->mutable_ports(0)->set_internal(70000); }, "port"},
        BadSpec{"VolumeElsewhere", [](auto* s) { s->mutable_volumes(0)->set_host("/etc"); },
                "--allow-volume"},
        BadSpec{"VolumeBeside",
                [](auto* s) { s->mutable_volumes(0)->set_host("/var/edge-models-2"); },
                "--allow-volume"},
        BadSpec{"VolumeThatClimbs",
                [](auto* s) { s->mutable_volumes(0)->set_host("/var/edge-models/../../etc"); },
                "a volume from"},
        BadSpec{"VolumeRelative", [](auto* s) { s->mutable_volumes(0)->set_host("models"); },
                "a volume from"},
        BadSpec{"VolumeOverTheRoot", [](auto* s) { s->mutable_volumes(0)->set_container("/"); },
                "a volume from"},
        BadSpec{"LoaderVariable", [](auto* s) { (*s->mutable_env())["LD_PRELOAD"] = "x"; },
                "LD_PRELOAD"},
        BadSpec{"OurVariable", [](auto* s) { (*s->mutable_env())["SELVEDGE_AGENT_SOCKET"] = "x"; },
                "SELVEDGE_AGENT_SOCKET"},
        BadSpec{"ConfigThatIsNoObject", [](auto* s) { s->set_config_json("[1]"); }, "JSON object"},
        BadSpec{"ConfigTooLarge",
                [](auto* s) { s->set_config_json("{\"a\":\"" + std::string(70'000, 'x') + "\"}"); },
                "64 KiB"},
        BadSpec{"UnknownCamera", [](auto* s) { s->set_config_json(R"({"camera":"roof"})"); },
                "roof"},
        BadSpec{"UnknownKind", [](auto* s) { s->set_kind(v1::SERVICE_KIND_UNSPECIFIED); },
                "newer version"}),
    [](const auto& info) { return info.param.what; });

TEST(SpecCheck, AContainerNeedsARuntime) {
  v1::ServiceSpec spec = Good();
  spec.set_kind(v1::CONTAINER);
  DeviceLimits device = Device();
  device.containers = false;
  device.why_no_containers = "there is no OCI runtime on this machine; install runc";
  EXPECT_THAT(CheckSpec(spec, device).message(),
              HasSubstr("cannot run containers: there is no OCI runtime"));
}

TEST(SpecCheck, PortsOfAContainerAreTheDevicesOrNone) {
  v1::ServiceSpec spec = Good();
  spec.mutable_ports(0)->set_internal(80);
  EXPECT_TRUE(CheckSpec(spec, Device()).ok());  // a pipeline listens where it is told to
  spec.set_kind(v1::CONTAINER);
  EXPECT_THAT(CheckSpec(spec, Device()).message(), HasSubstr("give both the same number"));
  spec.mutable_ports(0)->set_internal(5000);
  EXPECT_TRUE(CheckSpec(spec, Device()).ok());
  DeviceLimits isolated = Device();
  isolated.container_network = ContainerNetwork::kIsolated;
  EXPECT_THAT(CheckSpec(spec, isolated).message(), HasSubstr("container_network: isolated"));
  spec.clear_ports();
  EXPECT_TRUE(CheckSpec(spec, isolated).ok());
}

TEST(SpecCheck, APortIsTakenOnce) {
  v1::Desired desired;
  *desired.add_services() = Good();
  v1::ServiceSpec second = Good();
  second.set_name("other");
  *desired.add_services() = second;
  EXPECT_TRUE(CheckSpecAmong(Good(), desired, Device()).ok());
  EXPECT_THAT(CheckSpecAmong(second, desired, Device()).message(),
              HasSubstr("5000 is taken by app/svc"));
}

TEST(SpecCheck, LiesInComparesWholeFolders) {
  const std::vector<std::string> folders = {"/var/edge/", "/srv"};
  EXPECT_TRUE(LiesIn("/var/edge", folders));
  EXPECT_TRUE(LiesIn("/var/edge/a/b", folders));
  EXPECT_TRUE(LiesIn("/srv/x", folders));
  EXPECT_FALSE(LiesIn("/var/edges", folders));
  EXPECT_FALSE(LiesIn("/var", folders));
  EXPECT_TRUE(LiesIn("/anything", std::vector<std::string>{"/"}));
}

}  // namespace
}  // namespace selvedge
