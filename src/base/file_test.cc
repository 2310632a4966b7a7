#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace selvedge {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = (fs::temp_directory_path() / "selvedge-file-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileTest() override { fs::remove_all(folder_); }

  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  void Put(const std::string& name, std::string_view content) const {
    std::ofstream(Path(name), std::ios::binary) << content;
  }
  std::size_t FilesInFolder() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

TEST_F(FileTest, ReadsUpToTheLimit) {
  const std::string content = std::string("a\0b\n", 4) + std::string(100'000, 'x');
  Put("f", content);
  EXPECT_EQ(ReadFile(Path("f"), content.size()), content);
  const auto over = ReadFile(Path("f"), content.size() - 1);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(over.error().message(), testing::HasSubstr(Path("f")));
}

TEST_F(FileTest, ReadsAnEmptyFile) {
  Put("f", "");
  EXPECT_EQ(ReadFile(Path("f"), 0), "");
}

TEST_F(FileTest, ReadsFilesThatDoNotTellTheirSize) {
  const auto status = ReadFile("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status);
  EXPECT_THAT(*status, testing::HasSubstr("VmHWM"));
  EXPECT_EQ(ReadFile("/dev/null", 10), "");
  EXPECT_EQ(ReadFile("/dev/zero", 1 << 20).error().code(), StatusCode::kResourceExhausted);
}

TEST_F(FileTest, ErrorsNameThePath) {
  EXPECT_EQ(ReadFile(Path("none"), 10).error().ToString(),
            "NOT_FOUND: cannot open " + Path("none") + ": No such file or directory");
  EXPECT_EQ(
      ReadFile(folder_.string(), 10).error().ToString(),
      "INVALID_ARGUMENT: cannot read " + folder_.string() + ": it is a folder, expected a file");
}

TEST_F(FileTest, WritesAndReplaces) {
  EXPECT_EQ(WriteFileAtomically(Path("f"), "one"), OkStatus());
  EXPECT_EQ(ReadFile(Path("f"), 100), "one");
  EXPECT_EQ(WriteFileAtomically(Path("f"), ""), OkStatus());
  EXPECT_EQ(ReadFile(Path("f"), 100), "");
  EXPECT_EQ(FilesInFolder(), 1U) << "no temporary file stays";
}

TEST_F(FileTest, ASecretIsItsOwnersOnly) {
  const mode_t before = ::umask(0);
  EXPECT_EQ(WriteFileAtomically(Path("f"), "was open to all"), OkStatus());
  EXPECT_EQ(WriteSecretFile(Path("f"), "secret"), OkStatus());
  ::umask(before);
  struct stat info{};
  ASSERT_EQ(::stat(Path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(*ReadFile(Path("f"), 100), "secret");
}

TEST_F(FileTest, KeepsTheModeOfWhatItReplaces) {
  Put("f", "secret");
  ASSERT_EQ(::chmod(Path("f").c_str(), 0600), 0);
  EXPECT_EQ(WriteFileAtomically(Path("f"), "new"), OkStatus());
  struct stat info{};
  ASSERT_EQ(::stat(Path("f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(FileTest, WritesThroughALink) {
  Put("real", "old");
  fs::create_symlink("real", Path("link"));
  EXPECT_EQ(WriteFileAtomically(Path("link"), "new"), OkStatus());
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(ReadFile(Path("real"), 100), "new");
}

TEST_F(FileTest, WriteErrorsNameThePath) {
  const Status status = WriteFileAtomically(Path("no/such"), "x");
  EXPECT_EQ(status.ToString(),
            "NOT_FOUND: cannot write " + Path("no/such") + ": No such file or directory");
  fs::create_directory(Path("folder"));
  EXPECT_FALSE(WriteFileAtomically(Path("folder"), "x").ok());
  EXPECT_EQ(FilesInFolder(), 1U) << "no temporary file stays";
}

// A write that the system cuts short (here by a file size limit; a full disk looks the same) leaves
// the old content.
TEST_F(FileTest, AWriteThatFailsHalfwayLeavesTheOldFile) {
  Put("f", "old");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = WriteFileAtomically(Path("f"), std::string(5000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(ReadFile(Path("f"), 10'000), "old");
  EXPECT_EQ(FilesInFolder(), 1U);
}

TEST_F(FileTest, AFullDiskIsResourceExhausted) {
  // /dev/full cannot be replaced by a rename; what can be shown is the code of its errno.
  std::ofstream full("/dev/full");
  if (!full) GTEST_SKIP() << "there is no /dev/full on this machine";
  full << "x" << std::flush;
  EXPECT_FALSE(full.good());
  EXPECT_EQ(ErrnoError(ENOSPC, "cannot write f").code(), StatusCode::kResourceExhausted);
}

TEST_F(FileTest, ReadersSeeOneOrTheOther) {
  const std::string a(30'000, 'a');
  const std::string b(50'000, 'b');
  ASSERT_EQ(WriteFileAtomically(Path("f"), a), OkStatus());
  std::jthread writer([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      ASSERT_EQ(WriteFileAtomically(Path("f"), i % 2 == 0 ? b : a), OkStatus());
    }
  });
  for (int i = 0; i < 200; ++i) {
    const auto content = ReadFile(Path("f"), 1 << 20);
    ASSERT_TRUE(content);
    ASSERT_TRUE(*content == a || *content == b) << content->size();
  }
}

TEST_F(FileTest, ManyWritersOfOneFile) {
  std::vector<std::jthread> writers;
  for (int w = 0; w < 4; ++w) {
    writers.emplace_back([&, w] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(WriteFileAtomically(Path("f"), std::string(1000, static_cast<char>('a' + w))),
                  OkStatus());
      }
    });
  }
  writers.clear();
  const auto content = ReadFile(Path("f"), 1 << 20);
  ASSERT_TRUE(content);
  EXPECT_EQ(*content, std::string(1000, content->at(0)));
  EXPECT_EQ(FilesInFolder(), 1U);
}

TEST(ResolvePath, StartsAtTheFolderOfTheFile) {
  EXPECT_EQ(ResolvePath("m.onnx", "models/a.card.yaml"), "models/m.onnx");
  EXPECT_EQ(ResolvePath("../m.onnx", "/x/y/a.yaml"), "/x/y/../m.onnx");
  EXPECT_EQ(ResolvePath("m.onnx", "a.yaml"), "m.onnx");
  EXPECT_EQ(ResolvePath("m.onnx", "/a.yaml"), "/m.onnx");
  EXPECT_EQ(ResolvePath("/abs/m.onnx", "models/a.yaml"), "/abs/m.onnx");
}

TEST(ExecutableFolder, IsWhereThisTestLies) {
  const auto folder = ExecutableFolder();
  ASSERT_TRUE(folder);
  EXPECT_EQ(fs::read_symlink("/proc/self/exe").parent_path().string(), *folder);
}

// Sets a variable, or unsets it for nullptr, until the end of the scope.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    value == nullptr ? ::unsetenv(name) : ::setenv(name, value, 1);
  }
  ~ScopedEnvironment() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

TEST(CacheFolder, FollowsTheEnvironment) {
  const ScopedEnvironment home("HOME", "/home/u");
  const ScopedEnvironment xdg("XDG_CACHE_HOME", "/xdg");
  const ScopedEnvironment own("SELVEDGE_CACHE_DIR", "/own");
  EXPECT_EQ(CacheFolder(), "/own");
  const ScopedEnvironment no_own("SELVEDGE_CACHE_DIR", nullptr);
  EXPECT_EQ(CacheFolder(), "/xdg/selvedge");
  const ScopedEnvironment relative("XDG_CACHE_HOME", "xdg");
  EXPECT_EQ(CacheFolder(), "/home/u/.cache/selvedge") << "relative XDG paths are ignored";
  const ScopedEnvironment no_xdg("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(CacheFolder(), "/home/u/.cache/selvedge");
  const ScopedEnvironment no_home("HOME", nullptr);
  EXPECT_EQ(CacheFolder(), "/var/cache/selvedge");
}

}  // namespace
}  // namespace selvedge
