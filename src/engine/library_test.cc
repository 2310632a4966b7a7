#include "engine/library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::HasSubstr;

class LibraryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // A folder for each test: they may run at the same time.
    root_ = ::testing::TempDir() + "library_test_" +
            ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(root_);
    fs::create_directories(root_ + "/first/nobody/lib");
    fs::create_directories(root_ + "/second");
  }

  void Touch(const std::string& name) const { std::ofstream(root_ + "/" + name) << "no library"; }

  std::string Find() const { return FindLibraryFile(kNames, folders()); }
  std::vector<std::string> folders() const { return {root_ + "/first", root_ + "/second"}; }

  const LibraryNames kNames = {.engine = "nobody", .files = {"libnobody.so", "libother.so"}};
  std::string root_;
};

TEST_F(LibraryTest, FoldersAreSearchedInOrderWithTheEnginesOwn) {
  EXPECT_EQ(Find(), "");
  Touch("second/libnobody.so");
  EXPECT_EQ(Find(), root_ + "/second/libnobody.so");
  Touch("first/nobody/lib/libother.so.1");
  EXPECT_EQ(Find(), root_ + "/first/nobody/lib/libother.so.1");
  Touch("first/nobody/libnobody.so.3");
  EXPECT_EQ(Find(), root_ + "/first/nobody/libnobody.so.3");
  Touch("first/libother.so");
  EXPECT_EQ(Find(), root_ + "/first/libother.so");
}

TEST_F(LibraryTest, TheNewestVersionIsTaken) {
  Touch("first/libnobody.so.1.9.0");
  Touch("first/libnobody.so.1.31.1");
  Touch("first/libnobody.so.1.4");
  Touch("first/libnobody.sox");
  Touch("first/libnobody.so-old");
  EXPECT_EQ(Find(), root_ + "/first/libnobody.so.1.31.1");
}

TEST_F(LibraryTest, WhatIsMissingIsSaidWithEveryPlace) {
  Result<Library> library = Library::Open(kNames, folders());
  ASSERT_FALSE(library.has_value());
  EXPECT_EQ(library.error().code(), StatusCode::kNotFound);
  for (const char* part : {"engine nobody", "libnobody.so or libother.so", "/first", "/second",
                           "system's library path", "SELVEDGE_ENGINE_PATH"}) {
    EXPECT_THAT(library.error().message(), HasSubstr(part));
  }
}

TEST_F(LibraryTest, AFileThatIsNoLibraryIsSaidWithTheLoadersWord) {
  Touch("first/libnobody.so");
  Result<Library> library = Library::Open(kNames, folders());
  ASSERT_FALSE(library.has_value());
  EXPECT_THAT(library.error().message(), HasSubstr("/first/libnobody.so: file too short"));
}

TEST_F(LibraryTest, TheNextFolderIsTriedWhereAFileDoesNotOpen) {
  Touch("first/libm.so.6");
  Result<Library> library = Library::Open({.engine = "math", .files = {"libm.so.6"}}, folders());
  ASSERT_TRUE(library.has_value()) << library.error().ToString();
  EXPECT_EQ(library->path(), "libm.so.6");  // the system's
  double (*cosine)(double) = nullptr;
  ASSERT_TRUE(library->Resolve("cos", &cosine));
  EXPECT_EQ(cosine(0), 1);
  EXPECT_FALSE(library->Resolve("no_such_function", &cosine));
  EXPECT_EQ(cosine, nullptr);
}

TEST_F(LibraryTest, TheEnvironmentComesBeforeTheExecutablesFolder) {
  setenv("SELVEDGE_ENGINE_PATH",
         (root_ + "/second::" + root_ + "/gone:" + root_ + "/first").c_str(), 1);
  const std::vector<std::string> folders = EngineFolders();
  unsetenv("SELVEDGE_ENGINE_PATH");
  ASSERT_GE(folders.size(), 3);
  EXPECT_EQ(folders[0], root_ + "/second");
  EXPECT_EQ(folders[1], root_ + "/first");
  EXPECT_EQ(folders[2], *ExecutableFolder());
  EXPECT_THAT(folders, ::testing::Not(Contains(HasSubstr("gone"))));
}

}  // namespace
}  // namespace selvedge
