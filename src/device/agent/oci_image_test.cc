#include "device/agent/oci_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "device/agent/test_image.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ImageConfig, SaysWhatToRunAndHow) {
  const auto config = ParseImageConfig(R"({"os": "linux", "architecture": "arm64",
      "config": {"Entrypoint": ["/app", "--serve"], "Cmd": null, "Env": ["A=1", "B="],
                 "User": "app:video", "WorkingDir": "/srv", "Volumes": {"/data": {}}},
      "rootfs": {"type": "layers", "diff_ids": [")" +
                                       kDigest + R"("]}, "history": [{}]})");
  ASSERT_TRUE(config) << config.error().ToString();
  EXPECT_THAT(config->entrypoint, ElementsAre("/app", "--serve"));
  EXPECT_TRUE(config->command.empty());
  EXPECT_THAT(config->environment, ElementsAre("A=1", "B="));
  EXPECT_EQ(config->user, "app:video");
  EXPECT_EQ(config->folder, "/srv");
  EXPECT_THAT(config->volumes, ElementsAre("/data"));
  EXPECT_THAT(config->diff_ids, ElementsAre(kDigest));
}

TEST(ImageConfig, WhatIsWrongIsOneSentence) {
  const auto refusal = [](const std::string& bytes) {
    const auto config = ParseImageConfig(bytes);
    return config ? "(accepted)" : config.error().ToString();
  };
  EXPECT_THAT(refusal(""), HasSubstr("no JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(refusal("{}"), HasSubstr("rootfs"));
  EXPECT_THAT(refusal(R"({"rootfs": {"diff_ids": ["md5:1"]}})"), HasSubstr("digest"));
  EXPECT_THAT(refusal(R"({"config": {"Cmd": "sh"}, "rootfs": {}})"), HasSubstr("Cmd"));
  EXPECT_THAT(refusal(R"({"config": {"Cmd": [1]}, "rootfs": {}})"), HasSubstr("Cmd"));
  EXPECT_THAT(refusal(R"({"config": {"Cmd": ["a\u0000b"]}, "rootfs": {}})"),
              HasSubstr("zero byte"));
  EXPECT_THAT(refusal(R"({"config": {"Volumes": []}, "rootfs": {}})"), HasSubstr("Volumes"));
  EXPECT_THAT(refusal(std::string(100'000, '[')), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(refusal(std::string((1 << 20) + 1, ' ')), HasSubstr("1 MiB"));
  std::string many = R"({"rootfs": {}, "x": [0)";
  for (int i = 0; i < 60'000; ++i) many += ",0";
  EXPECT_THAT(refusal(many + "]}"), HasSubstr("too many"));
}

Descriptor For(const std::string& os, const std::string& architecture, char digit) {
  Descriptor descriptor;
  descriptor.os = os;
  descriptor.architecture = architecture;
  descriptor.digest = "sha256:" + std::string(64, digit);
  return descriptor;
}

TEST(ChooseImage, TakesTheDevicesOwnAndSaysWhatThereIs) {
  Manifest index;
  index.is_index = true;
  index.manifests = {For("windows", "amd64", '1'), For("linux", "amd64", '2'),
                     For("linux", "arm64", '3'), For("unknown", "unknown", '4')};
  EXPECT_EQ(ChooseImage(index, "x86")->digest.back(), '2');
  EXPECT_EQ(ChooseImage(index, "arm64")->digest.back(), '3');
  const auto none = ChooseImage(index, "arm");
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message(), HasSubstr("linux/amd64, linux/arm64"));
}

TEST(ChooseImage, ManifestAndConfigMustFit) {
  Manifest manifest;
  manifest.layers = {For("", "", '1')};
  ImageConfig config;
  config.os = "linux";
  config.architecture = "amd64";
  EXPECT_THAT(CheckImage(manifest, config, "x86").message(), HasSubstr("0 diff_ids for 1 layers"));
  config.diff_ids = {kDigest};
  EXPECT_TRUE(CheckImage(manifest, config, "x86").ok());
  EXPECT_THAT(CheckImage(manifest, config, "arm64").message(), HasSubstr("linux/arm64"));
}

TEST(ResolveUser, ByNameAndByNumber) {
  const std::string passwd =
      "root:x:0:0:root:/root:/bin/sh\nbroken\napp:x:1000:100:App:/home/app:/bin/sh\n"
      "bad:x:-1:99999999999:B:/:/\n";
  const std::string group = "root:x:0:\nvideo:x:44:app,root\nusers:x:100:app\naudio:x:29:other\n";
  const auto resolve = [&](const char* user) { return ResolveUser(user, passwd, group).value(); };
  EXPECT_EQ(resolve("").uid, 0U);
  EXPECT_EQ(resolve("").home, "/root");
  EXPECT_EQ(resolve("app").uid, 1000U);
  EXPECT_EQ(resolve("app").gid, 100U);
  EXPECT_EQ(resolve("app").home, "/home/app");
  EXPECT_THAT(resolve("app").groups, ElementsAre(44U));
  EXPECT_EQ(resolve("1000").gid, 100U);
  EXPECT_EQ(resolve("app:video").gid, 44U);
  EXPECT_TRUE(resolve("app:video").groups.empty());
  EXPECT_EQ(resolve("7:8").uid, 7U);
  EXPECT_EQ(resolve("7:8").gid, 8U);
  EXPECT_EQ(resolve("7:8").home, "/");
  EXPECT_THAT(ResolveUser("nobody", passwd, group).error().message(), HasSubstr("/etc/passwd"));
  EXPECT_THAT(ResolveUser("app:none", passwd, group).error().message(), HasSubstr("/etc/group"));
  EXPECT_FALSE(ResolveUser("bad", passwd, group));
  EXPECT_FALSE(ResolveUser("4294967295", passwd, group));
  EXPECT_EQ(ResolveUser("", "", "").value().uid, 0U);
}

class OpenImageTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = ContentStore::Open(scratch_ / "store").value();
    tar_ = MakeTar({{.name = "hello", .type = '0', .content = "hi", .link = {}}});
  }
  Descriptor Add(std::string_view content, std::string media_type) {
    const BlobInfo blob = store_->Add("app", content).value();
    Descriptor descriptor;
    descriptor.media_type = std::move(media_type);
    descriptor.digest = blob.digest;
    descriptor.size = blob.size;
    return descriptor;
  }
  std::string PutImage(const std::string& config_type, const std::string& architecture) {
    Manifest manifest;
    manifest.media_type = kManifestType;
    manifest.config = Add(R"({"os": "linux", "architecture": ")" + architecture +
                              R"(", "config": {"Cmd": ["/hello"]}, "rootfs": {"diff_ids": [")" +
                              DigestOf(std::string_view(tar_)).value() + R"("]}})",
                          config_type);
    manifest.layers = {
        Add(Pack(tar_, LayerCompression::kGzip), MediaTypeOf(LayerCompression::kGzip))};
    return Put(manifest);
  }
  std::string Put(const Manifest& manifest) {
    const std::string bytes = WriteManifest(manifest);
    return store_
        ->PutManifest("app", DigestOf(std::string_view(bytes)).value(), manifest.media_type, bytes)
        .value()
        .digest;
  }

  const std::string kConfig = "application/vnd.oci.image.config.v1+json";
  ScratchFolder scratch_;
  std::unique_ptr<ContentStore> store_;
  std::string tar_;
};

TEST_F(OpenImageTest, ThroughAnIndexFromTheStoreToFiles) {
  Descriptor inner;
  inner.media_type = kManifestType;
  inner.digest = PutImage(kConfig, "amd64");
  inner.size = store_->GetManifest("app", inner.digest)->bytes.size();
  inner.os = "linux";
  inner.architecture = "amd64";
  Manifest index;
  index.media_type = kIndexType;
  index.is_index = true;
  index.manifests = {inner};
  const std::string digest = Put(index);
  const auto image = OpenImage(store_.get(), "app", digest, "x86");
  ASSERT_TRUE(image) << image.error().ToString();
  EXPECT_EQ(image->digest, digest);
  EXPECT_THAT(image->config.command, ElementsAre("/hello"));
  ASSERT_EQ(image->layers.size(), 1U);
  const auto unpacked = UnpackLayers(image->layers, scratch_ / "root");
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(Slurp(scratch_ / "root/hello"), "hi");
  EXPECT_EQ(OpenImage(store_.get(), "app", digest, "arm64").error().code(), StatusCode::kNotFound);
}

TEST_F(OpenImageTest, WhatIsNoImageForThisDeviceIsRefused) {
  EXPECT_THAT(OpenImage(store_.get(), "app", PutImage(kConfig, "arm64"), "x86").error().message(),
              HasSubstr("linux/arm64"));
  EXPECT_THAT(OpenImage(store_.get(), "app",
                        PutImage("application/vnd.cncf.model.config.v1+json", "amd64"), "x86")
                  .error()
                  .message(),
              HasSubstr("pipeline:"));
  EXPECT_EQ(OpenImage(store_.get(), "app", kDigest, "x86").error().code(), StatusCode::kNotFound);
  EXPECT_EQ(OpenImage(store_.get(), "app", "latest", "x86").error().code(),
            StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
