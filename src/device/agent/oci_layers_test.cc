#include "device/agent/oci_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "device/agent/root_folder.h"
#include "device/agent/test_image.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

namespace fs = std::filesystem;

TarEntry File(std::string name, std::string content, unsigned mode = 0644) {
  return {.name = std::move(name),
          .type = '0',
          .content = std::move(content),
          .link = {},
          .mode = mode};
}
TarEntry Folder(std::string name, unsigned mode = 0755) {
  return {.name = std::move(name), .type = '5', .content = {}, .link = {}, .mode = mode};
}
TarEntry Symlink(std::string name, std::string target) {
  return {.name = std::move(name), .type = '2', .content = {}, .link = std::move(target)};
}
TarEntry HardLink(std::string name, std::string target) {
  return {.name = std::move(name), .type = '1', .content = {}, .link = std::move(target)};
}

class OciLayers : public testing::Test {
 protected:
  using Layers = std::vector<std::vector<TarEntry>>;

  std::vector<LayerFile> Files(const Layers& layers) {
    std::vector<LayerFile> files;
    for (const auto& entries : layers)
      files.push_back(WriteLayer(scratch_.path(), MakeTar(entries)));
    return files;
  }
  Result<UnpackedLayers> Unpack(const Layers& layers, const UnpackOptions& options = {}) {
    return UnpackLayers(Files(layers), root_, options);
  }
  // The error that it must end with; nothing may be left.
  std::string Refusal(const Layers& layers, const UnpackOptions& options = {}) {
    fs::remove_all(root_);
    const auto unpacked = Unpack(layers, options);
    EXPECT_FALSE(fs::exists(root_) || fs::exists(root_ + ".partial"));
    return unpacked ? "(accepted)" : unpacked.error().ToString();
  }
  std::string Read(const std::string& path) { return Slurp(root_ + "/" + path); }
  bool Exists(const std::string& path) {
    return fs::exists(fs::symlink_status(root_ + "/" + path));
  }
  unsigned Mode(const std::string& path) {
    struct stat about{};
    EXPECT_EQ(lstat((root_ + "/" + path).c_str(), &about), 0) << path;
    return about.st_mode & 07777;
  }

  ScratchFolder scratch_;
  const std::string root_ = scratch_ / "root";
};

TEST_F(OciLayers, FilesFoldersAndLinksOfEveryCompression) {
  const std::vector<TarEntry> entries = {Folder("./"),
                                         Folder("etc/"),
                                         File("etc/name", "content\n", 0640),
                                         File("a/b/c", "deep"),
                                         Symlink("bin", "usr/bin"),
                                         HardLink("etc/twin", "etc/name"),
                                         File("empty", "")};
  for (const auto compression :
       {LayerCompression::kNone, LayerCompression::kGzip, LayerCompression::kZstd}) {
    const LayerFile layer = WriteLayer(scratch_.path(), MakeTar(entries), compression);
    const auto unpacked = UnpackLayers(std::array{layer}, root_);
    ASSERT_TRUE(unpacked) << unpacked.error().ToString();
    EXPECT_EQ(unpacked->entries, entries.size());
    EXPECT_EQ(unpacked->bytes, 12U);
    EXPECT_EQ(Read("etc/name"), "content\n");
    EXPECT_EQ(Read("a/b/c"), "deep");
    EXPECT_EQ(Read("empty"), "");
    EXPECT_EQ(Mode("etc/name"), 0640U);
    EXPECT_EQ(fs::read_symlink(root_ + "/bin"), "usr/bin");
    EXPECT_EQ(fs::hard_link_count(root_ + "/etc/twin"), 2U);
    struct stat about{};
    ASSERT_EQ(stat((root_ + "/etc/name").c_str(), &about), 0);
    EXPECT_EQ(about.st_mtime, 1'600'000'000);
  }
}

TEST_F(OciLayers, LaterLayersReplaceAndHide) {
  const auto unpacked =
      Unpack({{File("keep", "1"), File("old", "1"), File("d/x", "1"), File("d/y", "1"),
               File("gone/deep/er", "1"), File("type", "1"), Folder("was-folder"),
               File("was-folder/in", "1"), File("o/low", "1"), File("o/sub/low", "1")},
              {File("old", "2"), File("d/.wh.x", ""), File(".wh.gone", ""), Folder("type"),
               File("was-folder", "2"), File("o/high", "2"), File("o/sub/high", "2"),
               File("o/.wh..wh..opq", ""), File(".wh.never", ""), File("no/.wh.where", ""),
               File(".wh..wh.plnk", "")}});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(Read("keep"), "1");
  EXPECT_EQ(Read("old"), "2");
  EXPECT_FALSE(Exists("d/x"));
  EXPECT_EQ(Read("d/y"), "1");
  EXPECT_FALSE(Exists("gone"));
  EXPECT_TRUE(fs::is_directory(root_ + "/type"));
  EXPECT_EQ(Read("was-folder"), "2");
  EXPECT_FALSE(Exists("o/low"));
  EXPECT_FALSE(Exists("o/sub/low"));
  EXPECT_EQ(Read("o/high"), "2");
  EXPECT_EQ(Read("o/sub/high"), "2");
  EXPECT_FALSE(Exists("d/.wh.x"));
  EXPECT_FALSE(Exists("no"));
}

TEST_F(OciLayers, AWhiteoutHidesNothingOfItsOwnLayer) {
  const auto unpacked = Unpack({{File("a", "1"), File("d/low", "1")},
                                {File("a", "2"), File(".wh.a", ""), File("d/high", "2"),
                                 File(".wh.d", ""), HardLink("twin", "a")}});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(Read("a"), "2");
  EXPECT_EQ(Read("d/high"), "2");
  EXPECT_FALSE(Exists("d/low"));
}

TEST_F(OciLayers, ALinkToAFileThatIsThenHiddenKeepsTheContent) {
  const auto unpacked =
      Unpack({{File("a", "1")}, {HardLink("b", "a"), File(".wh.a", "")}, {File("b2", "x")}});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_FALSE(Exists("a"));
  EXPECT_EQ(Read("b"), "1");
}

TEST_F(OciLayers, NoEntryReachesOutOfTheRoot) {
  const std::string outside = scratch_ / "outside";
  fs::create_directory(outside);
  std::string up;
  for (int i = 0; i < 20; ++i) up += "../";
  // Wherever the link leads, it is within the root.
  for (const std::string& target : {outside, up + outside.substr(1), std::string("/")}) {
    const auto unpacked =
        Unpack({{Symlink("link", target), Folder(outside.substr(1)), File("link/planted", "x")}});
    ASSERT_TRUE(unpacked) << unpacked.error().ToString();
    EXPECT_FALSE(fs::exists(outside + "/planted"));
    EXPECT_TRUE(target == "/" ? Exists("planted") : Exists(outside.substr(1) + "/planted"));
  }
  // Planted by an earlier layer, in the way of a whiteout, a hard link and a file.
  std::ofstream(outside + "/secret") << "s";
  const auto unpacked = Unpack(
      {{Symlink("link", outside), Folder(outside.substr(1)), Symlink("file", outside + "/secret")},
       {File("link/.wh.secret", ""), File("link/.wh..wh..opq", ""), File("file", "mine")}});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(Slurp(outside + "/secret"), "s");
  EXPECT_EQ(Read("file"), "mine");
  EXPECT_THAT(Refusal({{Symlink("link", outside), Folder(outside.substr(1)),
                        HardLink("stolen", "link/secret")}}),
              HasSubstr("hard link to"));
}

TEST_F(OciLayers, PathsThatLeadNowhereGoodAreRefused) {
  EXPECT_THAT(Refusal({{File("../up", "x")}}), HasSubstr(".."));
  EXPECT_THAT(Refusal({{File("a/../../up", "x")}}), HasSubstr(".."));
  EXPECT_THAT(Refusal({{HardLink("a", "../../etc/passwd")}}), HasSubstr(".."));
  EXPECT_THAT(Refusal({{HardLink("a", "missing")}}), HasSubstr("hard link to"));
  EXPECT_THAT(Refusal({{File("a", "1"), HardLink("a", "a")}}), HasSubstr("itself"));
  EXPECT_THAT(Refusal({{Folder("d"), HardLink("a", "d")}}), HasSubstr("folder"));
  EXPECT_THAT(Refusal({{Symlink("a", "b"), Symlink("b", "a"), File("a/x", "1")}}),
              HasSubstr("symbolic links"));
  EXPECT_THAT(Refusal({{Symlink("a", "nowhere"), File("a/x", "1")}}), HasSubstr("leads nowhere"));
  EXPECT_THAT(Refusal({{File("a", "1"), File("a/x", "1")}}), HasSubstr("no folder"));
  EXPECT_THAT(Refusal({{Symlink("p", "/proc/self/root"), File("p/x", "1")}}),
              HasSubstr("leads nowhere"));
  EXPECT_THAT(Refusal({{File(".", "x")}}), HasSubstr("root folder"));
  EXPECT_THAT(Refusal({{Folder("d"), File("d/.wh..", "")}}), HasSubstr("hides nothing"));
  EXPECT_THAT(Refusal({{Folder("d"), File("d/.wh...", "")}}), HasSubstr("hides nothing"));
  EXPECT_TRUE(Unpack({{File("/etc/absolute", "x")}}));
  EXPECT_EQ(Read("etc/absolute"), "x");
}

TEST_F(OciLayers, TooDeepAndTooLongAreRefused) {
  std::string deep;
  for (int i = 0; i < RootFolder::kMaxDepth + 2; ++i) deep += "d/";
  EXPECT_THAT(Refusal({{PaxHeader({{"path", deep + "f"}}), File("f", "x")}}), HasSubstr("deep"));
  // Step by step, each through a link to where the last one ended.
  std::string half;
  for (int i = 0; i < RootFolder::kMaxDepth / 2; ++i) half += "d/";
  std::vector<TarEntry> steps;
  std::string at;
  for (int i = 0; i < 4; ++i) {
    const std::string link = "l" + std::to_string(i);
    steps.push_back(PaxHeader({{"path", at + half + "f"}}));
    steps.push_back(File("f", "x"));
    steps.push_back(PaxHeader({{"linkpath", at + half}}));
    steps.push_back(Symlink(link, "x"));
    at = link + "/";
  }
  EXPECT_THAT(Refusal({steps}), HasSubstr("deep"));
  EXPECT_THAT(Refusal({{PaxHeader({{"path", std::string(3000, 'x')}}), File("f", "x")}}),
              HasSubstr("longer than"));
  EXPECT_THAT(Refusal({{PaxHeader({{"path", std::string(300, 'x')}}), File("f", "x")}}),
              HasSubstr("too long"));
  EXPECT_THAT(Refusal({{PaxHeader({{"linkpath", std::string(3000, 'x')}}), Symlink("f", "x")}}),
              HasSubstr("too long"));
}

TEST_F(OciLayers, NamesThatAreNoAsciiStayWhatTheyAre) {
  const auto unpacked = Unpack({{PaxHeader({{"path", "größe/文件"}}), File("x", "1")}});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(Read("größe/文件"), "1");
}

TEST_F(OciLayers, DevicesAreLeftOutAndSetuidIsTakenAway) {
  const std::vector<TarEntry> entries = {
      {.name = "dev/sda", .type = '4', .content = {}, .link = {}},
      {.name = "dev/mem", .type = '3', .content = {}, .link = {}},
      {.name = "pipe", .type = '6', .content = {}, .link = {}},
      File("su", "x", 06755),
      Folder("sticky", 01777)};
  const auto unpacked = Unpack({entries});
  ASSERT_TRUE(unpacked) << unpacked.error().ToString();
  EXPECT_EQ(unpacked->devices, 2U);
  EXPECT_FALSE(Exists("dev/sda"));
  EXPECT_TRUE(fs::is_fifo(root_ + "/pipe"));
  EXPECT_EQ(Mode("su"), 0755U);
  EXPECT_EQ(Mode("sticky"), 01777U);
  UnpackOptions options;
  options.keep_setuid = true;
  ASSERT_TRUE(Unpack({entries}, options));
  EXPECT_EQ(Mode("su"), 06755U);
}

TEST_F(OciLayers, OwnersAreKeptByRoot) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  TarEntry entry = File("f", "x");
  entry.uid = 1234;
  entry.gid = 56;
  ASSERT_TRUE(Unpack({{entry}}));
  struct stat about{};
  ASSERT_EQ(stat((root_ + "/f").c_str(), &about), 0);
  EXPECT_EQ(about.st_uid, 1234U);
  EXPECT_EQ(about.st_gid, 56U);
  entry.uid = 0xffffffff;
  EXPECT_THAT(Refusal({{entry}}), HasSubstr("cannot be"));
}

TEST_F(OciLayers, BombsEndAtTheLimit) {
  UnpackOptions options;
  options.limits.bytes = 1 << 20;
  options.limits.entries = 100;
  // Declared, never sent.
  TarEntry huge = File("huge", "x");
  huge.size = std::int64_t{1} << 40;
  EXPECT_THAT(Refusal({{huge}}, options),
              AllOf(HasSubstr("RESOURCE_EXHAUSTED"), HasSubstr("huge")));
  // A hole.
  TarEntry sparse = File("sparse", "");
  EXPECT_THAT(Refusal({{PaxHeader({{"GNU.sparse.size", "1099511627776"},
                                   {"GNU.sparse.numblocks", "1"},
                                   {"GNU.sparse.map", "1099511627776,0"}}),
                        sparse}},
                      options),
              HasSubstr("RESOURCE_EXHAUSTED"));
  // Over all layers, not each.
  const std::string most(700'000, 'x');
  EXPECT_THAT(Refusal({{File("a", most)}, {File("b", most)}}, options),
              AllOf(HasSubstr("layer 2"), HasSubstr("RESOURCE_EXHAUSTED")));
  EXPECT_THAT(Refusal({std::vector<TarEntry>(101, File("same", ""))}, options),
              HasSubstr("entries"));
  // What follows the last entry counts, too.
  const LayerFile tail =
      WriteLayer(scratch_.path(), MakeTar({}) + std::string(std::size_t{8} << 20, '\0'));
  const auto unpacked = UnpackLayers(std::array{tail}, root_, options);
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().code(), StatusCode::kResourceExhausted);
  // Packed twice.
  LayerFile twice = WriteLayer(scratch_.path(), Pack(MakeTar({}), LayerCompression::kGzip));
  const auto again = UnpackLayers(std::array{twice}, root_, options);
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message(), HasSubstr("media type"));
}

TEST_F(OciLayers, WhatIsNotWhatTheManifestSaysIsRefusedAndNothingIsLeft) {
  const LayerFile good = WriteLayer(scratch_.path(), MakeTar({File("a", "1")}));
  const std::string other = DigestOf(std::string_view("other")).value();
  const auto refusal = [&](LayerFile layer) {
    const auto unpacked = UnpackLayers(std::array{layer}, root_);
    EXPECT_FALSE(fs::exists(root_) || fs::exists(root_ + ".partial"));
    return unpacked ? "(accepted)" : unpacked.error().ToString();
  };
  LayerFile layer = good;
  layer.digest = other;
  EXPECT_THAT(refusal(layer), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("downloaded again")));
  layer = good;
  layer.diff_id = other;
  EXPECT_THAT(refusal(layer), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("config says")));
  layer = good;
  layer.size -= 1;
  EXPECT_THAT(refusal(layer), HasSubstr("longer than"));
  layer = good;
  layer.size += 1;
  EXPECT_THAT(refusal(layer), HasSubstr("DATA_LOSS"));
  layer = good;
  layer.media_type = MediaTypeOf(LayerCompression::kZstd);
  EXPECT_THAT(refusal(layer), HasSubstr("media type"));
  layer.media_type = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
  EXPECT_THAT(refusal(layer), HasSubstr("UNIMPLEMENTED"));
  // Cut off anywhere.
  const std::string blob = Slurp(good.path);
  for (std::size_t size = 0; size < blob.size(); size += 7) {
    layer = good;
    layer.path = scratch_ / "cut";
    std::ofstream(layer.path, std::ios::binary) << blob.substr(0, size);
    EXPECT_THAT(refusal(layer), HasSubstr("DATA_LOSS")) << size;
  }
}

TEST_F(OciLayers, AFailureLeavesWhatWasThereBefore) {
  ASSERT_TRUE(Unpack({{File("a", "1")}}));
  EXPECT_FALSE(Unpack({{File("a", "2"), File("../b", "2")}}));
  EXPECT_EQ(Read("a"), "1");
  EXPECT_FALSE(fs::exists(root_ + ".partial"));
  ASSERT_TRUE(Unpack({{File("c", "3")}}));
  EXPECT_FALSE(Exists("a"));
}

TEST_F(OciLayers, StopsWhenToldTo) {
  std::stop_source stop;
  stop.request_stop();
  UnpackOptions options;
  options.stop = stop.get_token();
  EXPECT_THAT(Refusal({{File("a", "1")}}, options), HasSubstr("CANCELLED"));
}

TEST(RootFolder, ReadsOnlyWhatLiesWithin) {
  const ScratchFolder scratch;
  fs::create_directories(scratch / "root/etc");
  std::ofstream(scratch / "secret") << "s";
  std::ofstream(scratch / "root/etc/name") << "n";
  fs::create_symlink("../../secret", scratch / "root/etc/up");
  fs::create_symlink("/etc/name", scratch / "root/etc/same");
  const auto root = RootFolder::Open(scratch / "root");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->Read("etc/same", 10).value(), "n");
  EXPECT_EQ(root->Read("etc/up", 10).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(root->Read("etc", 10).error().code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(root->Read("etc/name", 0).error().code(), StatusCode::kResourceExhausted);
}

// A container's volume that is still mounted must survive whatever is cleared away around it.
TEST(RemoveTree, StopsAtAMount) {
  const ScratchFolder scratch;
  fs::create_directories(scratch / "volume");
  std::ofstream(scratch / "volume/precious") << "p";
  fs::create_directories(scratch / "tree/mounted");
  if (mount((scratch / "volume").c_str(), (scratch / "tree/mounted").c_str(), nullptr, MS_BIND,
            nullptr) != 0) {
    GTEST_SKIP() << "nothing can be mounted here: " << strerror(errno);
  }
  const Status removed = RemoveTree(scratch / "tree");
  EXPECT_EQ(removed.code(), StatusCode::kFailedPrecondition) << removed.ToString();
  EXPECT_EQ(Slurp(scratch / "volume/precious"), "p");
  ASSERT_EQ(umount2((scratch / "tree/mounted").c_str(), 0), 0);
  EXPECT_TRUE(RemoveTree(scratch / "tree").ok());
  EXPECT_EQ(Slurp(scratch / "volume/precious"), "p");
}

}  // namespace
}  // namespace selvedge
