#include "registry/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "registry/registry_test_util.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');
const std::string kBlob = R"({"mediaType":"x/y","digest":")" + kDigest + R"(","size":5})";

std::string With(const std::string& more) {
  return R"({"schemaVersion":2,"config":)" + kBlob + R"(,"layers":[)" + kBlob + "]" + more + "}";
}

TEST(ManifestTest, AnImageManifestIsRead) {
  const auto manifest = ParseManifest(
      With(R"(,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"a/b",
           "subject":)" +
           kBlob + R"(,"annotations":{"k":"v"},"unknown":[1,2])"),
      kManifestType);
  ASSERT_TRUE(manifest.has_value()) << manifest.error().message();
  EXPECT_FALSE(manifest->is_index);
  EXPECT_EQ(manifest->artifact_type, "a/b");
  EXPECT_EQ(manifest->config->size, 5U);
  EXPECT_EQ(manifest->layers.size(), 1U);
  EXPECT_EQ(manifest->subject->digest, kDigest);
  EXPECT_EQ(manifest->Annotation("k"), "v");
  EXPECT_EQ(manifest->Annotation("none"), "");
  // What does not say what it is is what it was sent as; without that, what it looks like.
  EXPECT_EQ(ParseManifest(With(""), kDockerManifestType)->media_type, kDockerManifestType);
  EXPECT_EQ(ParseManifest(With(""), "")->media_type, kManifestType);
  EXPECT_EQ(ParseManifest(With(""), "")->artifact_type, "x/y");
}

TEST(ManifestTest, AnIndexIsReadAndWrittenTheSame) {
  Manifest index;
  index.media_type = kIndexType;
  index.is_index = true;
  index.artifact_type = "a/b";
  index.annotations = {{"k", "v"}};
  index.manifests = {{.media_type = std::string(kManifestType),
                      .digest = kDigest,
                      .size = 7,
                      .annotations = {{"a", "b"}},
                      .os = "linux",
                      .architecture = "arm64"}};
  const std::string bytes = WriteManifest(index);
  const auto read = ParseManifest(bytes, kIndexType);
  ASSERT_TRUE(read.has_value());
  ASSERT_EQ(read->manifests.size(), 1U);
  EXPECT_EQ(read->manifests[0].architecture, "arm64");
  EXPECT_EQ(read->manifests[0].Annotation("a"), "b");
  EXPECT_EQ(WriteManifest(*read), bytes);
}

TEST(ManifestTest, WhatIsWrongIsSaid) {
  const auto why = [](const std::string& bytes, std::string_view type = kManifestType) {
    const auto manifest = ParseManifest(bytes, type);
    return manifest ? "it was read" : manifest.error().message();
  };
  EXPECT_THAT(why("{"), HasSubstr("no JSON"));
  EXPECT_THAT(why("[]"), HasSubstr("no JSON object"));
  EXPECT_THAT(why("{}"), HasSubstr("schemaVersion"));
  EXPECT_THAT(why(R"({"schemaVersion":2})"), HasSubstr("layers"));
  EXPECT_THAT(why(R"({"schemaVersion":2,"layers":[]})"), HasSubstr("config is missing"));
  EXPECT_THAT(why(With(""), "text/plain"), HasSubstr("not known"));
  EXPECT_THAT(why(With(R"(,"mediaType":"application/vnd.oci.image.index.v1+json")")),
              HasSubstr("was sent as"));
  EXPECT_THAT(why(With(R"(,"manifests":[])")), HasSubstr("at once"));
  EXPECT_THAT(why(With(R"(,"annotations":{"a":1})")), HasSubstr("annotation"));
  EXPECT_THAT(why(With(R"(,"subject":{"digest":"x","size":1})")), HasSubstr("subject"));
  EXPECT_THAT(
      why(R"({"schemaVersion":2,"layers":[],"config":{"digest":")" + kDigest + R"(","size":-1}})"),
      HasSubstr("size"));
}

TEST(ManifestTest, HostileOnesMeetLimits) {
  EXPECT_FALSE(ParseManifest(With("") + std::string(kMaxManifestBytes, ' '), ""));
  std::string deep = With(",\"x\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']'));
  EXPECT_THAT(ParseManifest(deep, "").error().message(), HasSubstr("too deep"));
  deep = With(",\"x\":" + std::string(20, '[') + std::string(20, ']'));
  EXPECT_THAT(ParseManifest(deep, "").error().message(), HasSubstr("too deep"));
  std::string many = "[0";
  for (int i = 0; i < 1'000'000; ++i) many += ",0";
  EXPECT_THAT(ParseManifest(With(",\"x\":" + many + "]"), "").error().message(),
              HasSubstr("too many"));
  std::string layers = kBlob;
  for (int i = 0; i < 5000; ++i) layers += "," + kBlob;
  EXPECT_THAT(ParseManifest(
                  R"({"schemaVersion":2,"config":)" + kBlob + R"(,"layers":[)" + layers + "]}", "")
                  .error()
                  .message(),
              HasSubstr("4096"));
}

}  // namespace
}  // namespace selvedge
