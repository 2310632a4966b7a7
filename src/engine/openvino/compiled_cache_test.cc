#include "engine/openvino/compiled_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace selvedge {
namespace {

namespace fs = std::filesystem;

class CompiledCacheTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "compiled-cache-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name + "/engines";
  }
  void TearDown() override { fs::remove_all(fs::path(folder_).parent_path()); }

  void Keep(const CompiledCache& cache, const std::string& content) {
    cache.Store([&](const std::string& path) {
      std::ofstream(path) << content;
      return OkStatus();
    });
  }
  // What was kept, or "none".
  static std::string Read(const CompiledCache& cache) {
    std::string content = "none";
    const bool found = cache.Load([&](const MappedFile& kept) {
      const auto bytes = kept.content();
      content.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return OkStatus();
    });
    return found ? content : "none";
  }
  fs::path OnlyFile() const { return fs::directory_iterator(folder_)->path(); }

  std::string folder_;
};

TEST_F(CompiledCacheTest, GivesBackWhatWasKeptForTheSameFactsOnly) {
  EXPECT_EQ(Read(CompiledCache(folder_, "a")), "none");
  Keep(CompiledCache(folder_, "a"), "compiled");
  EXPECT_EQ(Read(CompiledCache(folder_, "a")), "compiled");
  EXPECT_EQ(Read(CompiledCache(folder_, "b")), "none");
}

TEST_F(CompiledCacheTest, OnlyTheOwnerReadsIt) {
  Keep(CompiledCache(folder_, "a"), "compiled");
  EXPECT_EQ(fs::status(OnlyFile()).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_EQ(fs::status(folder_).permissions(), fs::perms::owner_all);
}

TEST_F(CompiledCacheTest, ADamagedFileIsNeverUsedAndIsRemoved) {
  const CompiledCache cache(folder_, "a");
  Keep(cache, "compiled");
  std::ofstream(OnlyFile(), std::ios::in | std::ios::out).write("X", 1);
  EXPECT_EQ(Read(cache), "none");
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CompiledCacheTest, AFileThatTheEngineRefusesIsRemoved) {
  const CompiledCache cache(folder_, "a");
  Keep(cache, "compiled");
  EXPECT_FALSE(cache.Load([](const MappedFile&) { return InternalError("another version"); }));
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CompiledCacheTest, AFailedWriteLeavesNothing) {
  const CompiledCache cache(folder_, "a");
  cache.Store([](const std::string& path) {
    std::ofstream(path) << "half";
    return ResourceExhaustedError("disk full");
  });
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(CompiledCacheTest, AFolderThatCannotBeMadeIsDoneWithout) {
  Keep(CompiledCache("/proc/nowhere", "a"), "compiled");
  EXPECT_EQ(Read(CompiledCache("/proc/nowhere", "a")), "none");
}

}  // namespace
}  // namespace selvedge
