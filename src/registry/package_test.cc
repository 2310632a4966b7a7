#include "registry/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

#include "registry/registry_test_util.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kCard = R"(name: person
version: 1.0.0
task: detection
license: MIT
accuracy_metric: ap50
variants:
  - {name: fp32, path: weights/person.onnx, precision: fp32, accuracy: 0.5}
  - {name: int8, path: person-int8.onnx, precision: int8, accuracy: 0.49}
input: {layout: nhwc, width: 300, height: 300}
decoder: {kind: centernet, boxes: out}
labels: labels.txt
)";

class PackageTest : public testing::Test {
 protected:
  void SetUp() override {
    card_ = folder_.Write("model/person.card.yaml", kCard);
    folder_.Write("model/weights/person.onnx", std::string(5000, 'f'));
    folder_.Write("model/person-int8.onnx", std::string(1200, 'i'));
    folder_.Write("model/labels.txt", "person\n");
    folder_.Write("model/PROVENANCE.md", "from here");
    pipeline_ = folder_.Write("pipeline.yaml", "model: {card: model/person.card.yaml}\n");
    store_ = *ContentStore::Open(folder_ / "store");
  }

  BuiltPackage Build() {
    auto package = BuildPackage(card_, pipeline_);
    EXPECT_TRUE(package.has_value()) << package.error().ToString();
    return package ? *std::move(package) : BuiltPackage{};
  }

  // As if it had been fetched.
  void PutIntoStore(const BuiltPackage& package) {
    for (const PackageBlob& blob : package.blobs) {
      ASSERT_EQ(store_->Add("p", blob.file.empty() ? blob.bytes : ReadAll(blob.file))->digest,
                blob.blob.digest);
    }
    for (const StoredManifest& manifest : package.manifests) {
      ASSERT_TRUE(store_->PutManifest("p", manifest.digest, manifest.media_type, manifest.bytes)
                      .has_value());
    }
    ASSERT_TRUE(
        store_->PutManifest("p", "1.0", package.index.media_type, package.index.bytes).has_value());
  }

  RegistryFolder folder_;
  std::string card_;
  std::string pipeline_;
  std::unique_ptr<ContentStore> store_;
};

TEST_F(PackageTest, IsWhatItsPageSays) {
  const BuiltPackage package = Build();
  const auto index = ReadPackageIndex(package.index.bytes);
  ASSERT_TRUE(index.has_value()) << index.error().ToString();
  EXPECT_EQ(index->title, "person");
  EXPECT_EQ(index->version, "1.0.0");
  ASSERT_EQ(index->variants.size(), 2U);
  EXPECT_EQ(index->variants[0].name, "fp32");
  EXPECT_EQ(index->variants[1].format, "onnx");
  EXPECT_EQ(index->Find("int8"), &index->variants[1]);
  EXPECT_EQ(index->Find("int4"), nullptr);
  const auto content = ReadPackageManifest(package.manifests[0].bytes);
  std::set<std::string> files;
  for (const PackageFile& file : content->files) {
    files.insert(file.path + " " + file.blob.media_type);
  }
  EXPECT_THAT(files, ElementsAre("PROVENANCE.md application/vnd.cncf.model.doc.v1.raw",
                                 "card.yaml application/vnd.cncf.model.weight.config.v1.raw",
                                 "labels.txt application/vnd.cncf.model.doc.v1.raw",
                                 "pipeline.yaml application/vnd.cncf.model.code.v1.raw",
                                 "weights/person.onnx application/vnd.cncf.model.weight.v1.raw"));
  EXPECT_TRUE(content->has_pipeline());
  EXPECT_THAT(package.index.bytes,
              HasSubstr("\"artifactType\":\"application/vnd.selvedge.package.v1\""));
}

TEST_F(PackageTest, TheSameFilesGiveTheSameDigests) {
  const BuiltPackage first = Build();
  EXPECT_EQ(first.index.digest, Build().index.digest);
  // The shared files and each weight are there once, besides the two configs.
  EXPECT_EQ(first.blobs.size(), 4U + 2U + 2U);
  folder_.Write("model/person-int8.onnx", "other");
  const BuiltPackage second = Build();
  EXPECT_NE(first.index.digest, second.index.digest);
  EXPECT_EQ(first.manifests[0].digest, second.manifests[0].digest);
}

TEST_F(PackageTest, AMissingOrUnknownFileIsSaid) {
  fs::remove(folder_ / "model/person-int8.onnx");
  EXPECT_THAT(BuildPackage(card_).error().message(), HasSubstr("person-int8.onnx"));
  folder_.Write("model/person-int8.onnx", "x");
  EXPECT_THAT(BuildPackage(card_, "/no/such.yaml").error().message(), HasSubstr("/no/such.yaml"));
  EXPECT_FALSE(BuildPackage("/no/card.yaml").has_value());
}

TEST_F(PackageTest, IsUnpackedUnderItsPaths) {
  PutIntoStore(Build());
  for (const Unpack how : {Unpack::kLink, Unpack::kCopy}) {
    const auto package = OpenPackage(store_.get(), "p", "1.0");
    ASSERT_TRUE(package.has_value()) << package.error().ToString();
    EXPECT_THAT(package->variants, ElementsAre("fp32", "int8"));
    const std::string out = folder_ / "out";
    ASSERT_TRUE(UnpackPackage(store_.get(), *package, out, how).ok());
    EXPECT_EQ(ReadAll(out + "/card.yaml"), kCard);
    EXPECT_EQ(ReadAll(out + "/weights/person.onnx"), std::string(5000, 'f'));
    EXPECT_EQ(ReadAll(out + "/person-int8.onnx"), std::string(1200, 'i'));
    EXPECT_EQ(ReadAll(out + "/labels.txt"), "person\n");
    struct stat info = {};
    ::stat((out + "/weights/person.onnx").c_str(), &info);
    EXPECT_EQ(info.st_nlink, how == Unpack::kLink ? 2U : 1U);
    EXPECT_EQ(info.st_mode & 0222U, how == Unpack::kLink ? 0U : 0200U);
  }
  // Nothing is left beside it.
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder_.path())) ++entries;
  EXPECT_EQ(entries, 4);  // model, pipeline.yaml, store, out
}

TEST_F(PackageTest, WhatAKilledProcessLeftIsRemoved) {
  PutIntoStore(Build());
  const pid_t gone = ::fork();
  if (gone == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(gone, nullptr, 0), gone);
  const std::string ours = "out.unpacking-" + std::to_string(::getppid());
  const std::string dead = "out.unpacking-" + std::to_string(gone);
  folder_.Write(dead + "/card.yaml", "half");
  folder_.Write(ours + "/card.yaml", "somebody works on it");
  folder_.Write("out.unpacking-notes/mine", "no folder of ours");
  const auto package = OpenPackage(store_.get(), "p", "1.0");
  ASSERT_TRUE(UnpackPackage(store_.get(), *package, folder_ / "out", Unpack::kLink).ok());
  EXPECT_FALSE(fs::exists(folder_ / dead));
  EXPECT_TRUE(fs::exists(folder_ / ours));
  EXPECT_TRUE(fs::exists(folder_ / "out.unpacking-notes/mine"));
  EXPECT_TRUE(fs::exists(folder_ / "out/card.yaml"));
}

TEST_F(PackageTest, OneVariantIsEnough) {
  PutIntoStore(Build());
  const auto package = OpenPackage(store_.get(), "p", "1.0", "int8");
  ASSERT_TRUE(UnpackPackage(store_.get(), *package, folder_ / "out", Unpack::kCopy).ok());
  EXPECT_FALSE(fs::exists(folder_ / "out/weights"));
  EXPECT_TRUE(fs::exists(folder_ / "out/person-int8.onnx"));
  const auto none = OpenPackage(store_.get(), "p", "1.0", "int4");
  EXPECT_THAT(none.error().message(), HasSubstr("it has fp32, int8"));
}

TEST_F(PackageTest, AnotherPackageTakesTheFoldersPlaceAtOnce) {
  PutIntoStore(Build());
  folder_.Write("out/old", "old");
  const auto package = OpenPackage(store_.get(), "p", "1.0");
  ASSERT_TRUE(UnpackPackage(store_.get(), *package, folder_ / "out", Unpack::kLink).ok());
  EXPECT_FALSE(fs::exists(folder_ / "out/old"));
  EXPECT_TRUE(fs::exists(folder_ / "out/card.yaml"));
}

TEST_F(PackageTest, DamageIsNotUnpackedAndWhatWasThereStays) {
  const BuiltPackage built = Build();
  PutIntoStore(built);
  store_.reset();
  store_ = *ContentStore::Open(folder_ / "store", {.verify_after = std::chrono::seconds(1)});
  FakeClock later(0, Clock::System().Wall() + 3600 * kSecond);
  store_.reset();
  store_ = *ContentStore::Open(folder_ / "store", {}, later);
  later.Advance(2 * 86'400 * kSecond);
  folder_.Write("out/card.yaml", "old");
  const auto package = OpenPackage(store_.get(), "p", "1.0");
  DamageBlob(folder_ / "store", *DigestOf(std::string(5000, 'f')));
  EXPECT_EQ(UnpackPackage(store_.get(), *package, folder_ / "out", Unpack::kLink).code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(ReadAll(folder_ / "out/card.yaml"), "old");
  store_.reset();
}

TEST(PackagePathTest, StaysInTheFolder) {
  for (const char* good : {"a", "a/b.c", "weights/model v1.onnx", "...", "ä/b"}) {
    EXPECT_TRUE(CheckPackagePath(good).ok()) << good;
  }
  for (const std::string bad :
       {"", "/a", "a/", "../a", "a/../b", "a/./b", ".", "..", "a//b", "a\\b", "a\nb", "a\x7f"}) {
    EXPECT_FALSE(CheckPackagePath(bad).ok()) << bad;
  }
  EXPECT_FALSE(CheckPackagePath(std::string("a\0b", 3)).ok());
  EXPECT_FALSE(CheckPackagePath(std::string(600, 'a')).ok());
  EXPECT_FALSE(CheckPackagePath(std::string(300, 'a')).ok());
}

// A variant's manifest whose layers have these paths.
std::string ManifestWithPaths(const std::vector<std::string>& paths) {
  Manifest manifest;
  manifest.media_type = kManifestType;
  manifest.artifact_type = kModelManifestType;
  manifest.config = Describe("{}", std::string(kModelConfigType));
  for (const std::string& path : paths) {
    Descriptor layer = Describe(path, std::string(kWeightType));
    layer.annotations["org.cncf.model.filepath"] = path;
    manifest.layers.push_back(layer);
  }
  return WriteManifest(manifest);
}

TEST(PackageReadTest, HostileManifestsAreRefused) {
  const auto why = [](const std::vector<std::string>& paths) {
    const auto content = ReadPackageManifest(ManifestWithPaths(paths));
    return content ? "it was read" : content.error().message();
  };
  EXPECT_EQ(why({"card.yaml", "w"}), "it was read");
  EXPECT_THAT(why({"card.yaml", "../../etc/passwd"}), HasSubstr("leaves"));
  EXPECT_THAT(why({"card.yaml", "card.yaml"}), HasSubstr("twice"));
  EXPECT_THAT(why({"card.yaml", "a", "a/b"}), HasSubstr("at once"));
  EXPECT_THAT(why({"card.yaml", "a", "a.b", "a/b"}), HasSubstr("at once"));
  EXPECT_THAT(why({"w"}), HasSubstr("card.yaml"));
  std::vector<std::string> many = {"card.yaml"};
  for (int i = 0; i < 64; ++i) many.push_back(std::to_string(i));
  EXPECT_THAT(why(many), HasSubstr("64"));
  EXPECT_THAT(ReadPackageIndex(ManifestWithPaths({"card.yaml"})).error().message(),
              HasSubstr("no package"));
}

TEST(PackageReadTest, HostileIndexesAreRefused) {
  Manifest index;
  index.media_type = kIndexType;
  index.is_index = true;
  index.artifact_type = kPackageType;
  const auto why = [&] {
    const auto read = ReadPackageIndex(WriteManifest(index));
    return read ? "it was read" : read.error().message();
  };
  EXPECT_THAT(why(), HasSubstr("0 variants"));
  Descriptor one = Describe("x", std::string(kManifestType));
  one.annotations = {{"dev.selvedge.variant", "fp32"}, {"dev.selvedge.format", "onnx"}};
  index.manifests = {one};
  EXPECT_EQ(why(), "it was read");
  index.manifests = {one, one};
  EXPECT_THAT(why(), HasSubstr("twice"));
  // Without its artifact type the variants' names tell what it is.
  index.artifact_type = "";
  index.manifests = {one};
  EXPECT_EQ(why(), "it was read");
  index.manifests[0].annotations.clear();
  EXPECT_THAT(why(), HasSubstr("no package"));
  index.artifact_type = "application/vnd.example.other";
  index.manifests = {one};
  EXPECT_THAT(why(), HasSubstr("no package"));
  index.artifact_type = kPackageType;
  one.annotations["dev.selvedge.variant"] = "../x";
  index.manifests = {one};
  EXPECT_THAT(why(), HasSubstr("no name"));
}

}  // namespace
}  // namespace selvedge
