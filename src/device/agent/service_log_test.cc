#include "device/agent/service_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
namespace fs = std::filesystem;

class ServiceLogTest : public ::testing::Test {
 protected:
  ServiceLogTest()
      : folder_(fs::temp_directory_path() / ("selvedge-log-" + std::to_string(getpid()))),
        file_(folder_ / "output.log") {
    fs::create_directories(folder_);
  }
  ~ServiceLogTest() override { fs::remove_all(folder_); }
  void Append(const std::string& text) { std::ofstream(file_, std::ios::app) << text; }
  std::string Content(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  const fs::path folder_;
  const std::string file_;
};

TEST_F(ServiceLogTest, StaysWithinItsLimitWhileTheProcessGoesOnWriting) {
  const int writer = open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ASSERT_GE(writer, 0);
  std::string last;
  for (int i = 0; i < 5000; ++i) {
    last = "line " + std::to_string(i) + "\n";
    ASSERT_EQ(write(writer, last.data(), last.size()), static_cast<ssize_t>(last.size()));
    if (i % 100 == 0) {
      ASSERT_TRUE(TrimLog(file_, 16 * 1024).has_value());
    }
    ASSERT_LE(fs::file_size(file_), 16u * 1024);
  }
  close(writer);
  EXPECT_LE(fs::file_size(file_ + ".1"), 16u * 1024);
  EXPECT_THAT(Content(file_), HasSubstr(last));
  // No hole at the beginning, where the file was emptied under its writer.
  EXPECT_THAT(Content(file_), Not(HasSubstr(std::string(1, '\0'))));
}

TEST_F(ServiceLogTest, OfABurstTheEndIsKept) {
  Append(std::string(100'000, 'a') + "\nthe end\n");
  ASSERT_EQ(TrimLog(file_, 16 * 1024).value_or(false), true);
  EXPECT_EQ(fs::file_size(file_), 0u);
  EXPECT_EQ(fs::file_size(file_ + ".1"), 8u * 1024);
  EXPECT_THAT(Content(file_ + ".1"), HasSubstr("the end"));
}

TEST_F(ServiceLogTest, NothingToTrim) {
  EXPECT_EQ(TrimLog(file_, 16 * 1024).value_or(true), false);
  Append("short\n");
  EXPECT_EQ(TrimLog(file_, 16 * 1024).value_or(true), false);
  EXPECT_EQ(Content(file_), "short\n");
}

TEST_F(ServiceLogTest, TheTailReachesBackIntoTheOldPart) {
  std::ofstream(file_ + ".1") << "1\n2\n3\n";
  Append("4\n5\n");
  EXPECT_EQ(TailOfLog(file_, 3, 1000), "3\n4\n5\n");
  EXPECT_EQ(TailOfLog(file_, 100, 1000), "1\n2\n3\n4\n5\n");
  EXPECT_EQ(TailOfLog(file_, 2, 1000), "4\n5\n");
  EXPECT_LE(TailOfLog(file_, 100, 5).size(), 5u);
  EXPECT_EQ(TailOfLog(folder_ / "none", 5, 1000), "");
}

TEST_F(ServiceLogTest, BytesAndPasswordsThatShouldNotBeThereAreNotTold) {
  Append("odd \xff byte rtsp://user:secret@camera/x\n");
  const std::string tail = TailOfLog(file_, 10, 1000);
  EXPECT_THAT(tail, Not(HasSubstr("\xff")));
  EXPECT_THAT(tail, Not(HasSubstr("secret")));
}

TEST_F(ServiceLogTest, LastWordsAreTheErrorOrElseTheLastLine) {
  Append("starting\nselvedge run: error: no such model\nbye\n\n");
  EXPECT_EQ(LastWords(file_), "no such model");
  std::ofstream(file_) << "one\ntwo\n\n";
  EXPECT_EQ(LastWords(file_), "two");
  std::ofstream(file_) << std::string(5000, 'x') << "\n";
  EXPECT_LE(LastWords(file_).size(), 304u);
  EXPECT_EQ(LastWords(folder_ / "none"), "");
}

}  // namespace
}  // namespace selvedge
