#include "device/agent/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "device/agent/test_image.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

v1::ServiceSpec Spec() {
  v1::ServiceSpec spec;
  spec.set_application("safety");
  spec.set_name("detector");
  return spec;
}

// What runc would say and do, as far as it matters here.
std::string FakeRuntime(const ScratchFolder& scratch, const std::string& script) {
  const std::string path = scratch / "runtime";
  std::ofstream(path) << "#!/bin/sh\n" << script;
  fs::permissions(path, fs::perms::owner_all);
  return path;
}

class ContainerTest : public testing::Test {
 protected:
  OciImage Image(const std::string& user) {
    OciImage image;
    image.config_bytes = json{{"os", "linux"},
                              {"architecture", "amd64"},
                              {"config", {{"Cmd", {"/hello", "x"}}, {"User", user}}},
                              {"rootfs", {{"diff_ids", json::array()}}}}
                             .dump();
    image.layers = {WriteLayer(
        scratch_.path(),
        MakeTar({{.name = "hello", .type = '0', .content = "hi", .link = {}, .mode = 0755},
                 {.name = "etc/passwd",
                  .type = '0',
                  .content = "app:x:1000:100::/home/app:/bin/sh\n",
                  .link = {}}}))};
    return image;
  }
  ContainerContext Context() {
    ContainerContext context;
    context.runtime.program = "/usr/sbin/runc";
    context.runtime.memory = true;
    context.state_folder = scratch_ / "state";
    context.device = "cam";
    context.image_folder = scratch_ / "image";
    context.bundle = scratch_ / "bundle";
    context.variables = {{"CONFIDENCE_THRESHOLD", "0.7"}};
    return context;
  }

  ScratchFolder scratch_;
};

TEST_F(ContainerTest, AnImageIsThereWholeOrNotAtAll) {
  const std::string folder = scratch_ / "image";
  OciImage image = Image("");
  EXPECT_FALSE(IsUnpackedImage(folder));
  ASSERT_TRUE(UnpackImage(image, folder));
  EXPECT_TRUE(IsUnpackedImage(folder));
  EXPECT_EQ(Slurp(folder + "/rootfs/hello"), "hi");
  fs::remove_all(folder);
  image.layers[0].diff_id = image.layers[0].digest;
  EXPECT_FALSE(UnpackImage(image, folder));
  EXPECT_FALSE(fs::exists(folder) || fs::exists(folder + ".partial"));
}

TEST_F(ContainerTest, ABundleSaysHowToStartIt) {
  ASSERT_TRUE(UnpackImage(Image("app"), scratch_ / "image"));
  const auto launch = PrepareContainer(Spec(), Context());
  ASSERT_TRUE(launch) << launch.error().ToString();
  EXPECT_THAT(launch->arguments,
              ElementsAre("/usr/sbin/runc", "--root", scratch_ / "state", "run", "--bundle",
                          scratch_ / "bundle", "cam.safety.detector"));
  const json config = json::parse(Slurp(scratch_ / "bundle/config.json"));
  EXPECT_EQ(config["process"]["user"]["uid"], 1000);
  EXPECT_EQ(config["root"]["path"], scratch_ / "image/rootfs");
  EXPECT_THAT(config["process"]["env"], Contains("SELVEDGE_DEVICE=cam"));
  EXPECT_THAT(config["process"]["env"], Contains("CONFIDENCE_THRESHOLD=0.7"));
  EXPECT_THAT(config["process"]["env"], Contains("HOME=/home/app"));
  struct stat about{};
  ASSERT_EQ(stat((scratch_ / "bundle/config.json").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
}

TEST_F(ContainerTest, WhatCannotBeGivenIsSaidBefore) {
  ASSERT_TRUE(UnpackImage(Image("nobody"), scratch_ / "image"));
  EXPECT_THAT(PrepareContainer(Spec(), Context()).error().message(), HasSubstr("/etc/passwd"));
  ASSERT_TRUE(UnpackImage(Image(""), scratch_ / "image"));
  v1::ServiceSpec spec = Spec();
  spec.mutable_resources()->set_memory_bytes(64 << 20);
  ContainerContext context = Context();
  context.runtime.memory = false;
  EXPECT_THAT(PrepareContainer(spec, context).error().message(), HasSubstr("cgroup_enable=memory"));
  spec = Spec();
  spec.mutable_resources()->set_cpus(1);
  EXPECT_THAT(PrepareContainer(spec, context).error().message(), HasSubstr("processor time"));
  spec = Spec();
  spec.add_volumes()->set_host(scratch_ / "missing");
  EXPECT_THAT(PrepareContainer(spec, context).error().message(), HasSubstr("is not there"));
}

// A file that another image planted is read within the image's own root.
TEST_F(ContainerTest, ThePasswordFileIsTheImagesOwn) {
  OciImage image = Image("root");
  image.layers = {WriteLayer(scratch_.path(), MakeTar({{.name = "etc/passwd",
                                                        .type = '2',
                                                        .content = {},
                                                        .link = "/../../../../etc/passwd"}}))};
  ASSERT_TRUE(UnpackImage(image, scratch_ / "image"));
  EXPECT_FALSE(PrepareContainer(Spec(), Context()));
}

TEST_F(ContainerTest, FindsWhatTheRuntimeAndTheKernelCanDo) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may start containers";
  const std::string program =
      FakeRuntime(scratch_, "echo runc version 1.1.5; echo libseccomp: 2\n");
  const std::string root = scratch_ / "root";
  fs::create_directories(root + "/sys/fs/cgroup");
  fs::create_directories(root + "/proc");
  EXPECT_THAT(FindContainerRuntime(program, root).error().message(), HasSubstr("control groups"));
  std::ofstream(root + "/sys/fs/cgroup/cgroup.controllers") << "cpuset cpu io pids\n";
  auto runtime = FindContainerRuntime(program, root);
  ASSERT_TRUE(runtime) << runtime.error().ToString();
  EXPECT_EQ(runtime->version, "runc 1.1.5");
  EXPECT_TRUE(runtime->seccomp && runtime->cpu && runtime->pids);
  EXPECT_FALSE(runtime->memory || runtime->swap);
  std::ofstream(root + "/sys/fs/cgroup/cgroup.controllers") << "cpu memory pids\n";
  std::ofstream(root + "/proc/swaps") << "Filename\n/swapfile file 1 0 -2\n";
  runtime = FindContainerRuntime(program, root);
  EXPECT_TRUE(runtime->memory && runtime->swap);
  EXPECT_EQ(FindContainerRuntime(scratch_ / "none", root).error().code(), StatusCode::kNotFound);
  EXPECT_THAT(FindContainerRuntime(FakeRuntime(scratch_, "echo no good >&2; exit 3\n"), root)
                  .error()
                  .message(),
              HasSubstr("no good"));
}

TEST_F(ContainerTest, DeletesOnlyWhatIsThereAndTellsWhatWentWrong) {
  ContainerRuntime runtime;
  runtime.program =
      FakeRuntime(scratch_, "echo \"$@\" > " + (scratch_ / "called") + "; echo busy >&2; exit 1\n");
  EXPECT_TRUE(DeleteContainer(runtime, scratch_ / "state", "a.b.c").ok());
  EXPECT_FALSE(fs::exists(scratch_ / "called"));
  fs::create_directories(scratch_ / "state/a.b.c");
  EXPECT_THAT(DeleteContainer(runtime, scratch_ / "state", "a.b.c").message(), HasSubstr("busy"));
  EXPECT_EQ(Slurp(scratch_ / "called"),
            "--root " + (scratch_ / "state") + " delete --force a.b.c\n");
}

TEST_F(ContainerTest, AcceleratorsOfTheKindThatIsAskedFor) {
  const std::string dev = scratch_ / "dev";
  fs::create_directories(dev + "/dri");
  const auto node = [&](const std::string& name, unsigned number) {
    return mknod((dev + "/" + name).c_str(), S_IFCHR | 0660, makedev(195, number)) == 0;
  };
  if (!node("nvidia0", 0)) GTEST_SKIP() << "device nodes cannot be made here";
  node("nvidiactl", 255);
  node("dri/renderD128", 128);
  node("apex_0", 1);
  node("sda", 2);
  std::ofstream(dev + "/nvidia-file") << "no node";
  v1::Resources resources;
  EXPECT_TRUE(AcceleratorNodes(resources, scratch_.path()).empty());
  resources.set_gpu(1);
  auto nodes = AcceleratorNodes(resources, scratch_.path());
  ASSERT_EQ(nodes.size(), 3U);
  EXPECT_EQ(nodes[0].path, "/dev/dri/renderD128");
  EXPECT_EQ(nodes[1].path, "/dev/nvidia0");
  EXPECT_EQ(nodes[2].minor, 255U);
  resources.set_gpu(0);
  resources.set_tpu(1);
  nodes = AcceleratorNodes(resources, scratch_.path());
  ASSERT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].path, "/dev/apex_0");
}

}  // namespace
}  // namespace selvedge
