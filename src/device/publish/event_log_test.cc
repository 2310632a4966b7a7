#include "device/publish/event_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace selvedge {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

template <typename Condition>
bool Eventually(Condition condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::string Line(int n, int padding = 0) {
  return "{\"n\":" + std::to_string(n) + ",\"p\":\"" + std::string(padding, 'x') + "\"}";
}

class EventLogTest : public ::testing::Test {
 protected:
  EventLogTest()
      : folder_(fs::temp_directory_path() / ("selvedge-event-log-" + std::to_string(getpid()))) {
    fs::create_directories(folder_);
    path_ = folder_ / "events.jsonl";
  }
  ~EventLogTest() override { fs::remove_all(folder_); }

  std::unique_ptr<EventLog> Open(const EventLogOptions& options = {}) {
    auto log = EventLog::Open(path_, options);
    EXPECT_TRUE(log) << (log ? "" : log.error().ToString());
    return log ? std::move(*log) : nullptr;
  }
  std::string Content(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  std::string Content() { return Content(path_); }
  void Write(const std::string& text) { std::ofstream(path_) << text; }

  // The "n" of every line; fails where a line is no JSON.
  std::vector<int> Numbers(const fs::path& path) {
    std::vector<int> numbers;
    const std::string text = Content(path);
    EXPECT_TRUE(text.empty() || text.ends_with('\n'));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto json = nlohmann::json::parse(line, nullptr, false);
      EXPECT_TRUE(json.is_object()) << line;
      numbers.push_back(json.is_object() ? json.value("n", -1) : -1);
    }
    return numbers;
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(EventLogTest, WritesEveryLineInOrder) {
  EventLogOptions options;
  options.ring_bytes = 4096;
  auto log = Open(options);
  // Many times the ring's size, so that lines wrap around its end.
  for (int i = 0; i < 20'000; ++i) {
    while (!log->Offer(Line(i, i % 97))) std::this_thread::yield();
  }
  // What was refused was counted: that is what the loop above did again.
  const std::uint64_t refused = log->lost();
  (void)log->Close();  // says what was refused
  EXPECT_EQ(log->written(), 20'000u);
  EXPECT_EQ(log->lost(), refused);
  const std::vector<int> numbers = Numbers(path_);
  ASSERT_EQ(numbers.size(), 20'000u);
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(numbers[static_cast<std::size_t>(i)], i);
}

TEST_F(EventLogTest, ALineIsThereSoonWithoutClose) {
  auto log = Open();
  log->Offer(Line(1));
  EXPECT_TRUE(Eventually([&] { return Content() == Line(1) + "\n"; }));
  log->Offer(Line(2));
  EXPECT_TRUE(Eventually([&] { return Content() == Line(1) + "\n" + Line(2) + "\n"; }));
  EXPECT_TRUE(log->Close().ok());
  EXPECT_TRUE(log->Close().ok());
}

TEST_F(EventLogTest, RefusesWhatIsNoLine) {
  EventLogOptions options;
  options.ring_bytes = 128;
  auto log = Open(options);
  EXPECT_FALSE(log->Offer("{}\n{}"));
  EXPECT_FALSE(log->Offer(std::string(128, 'x')));
  EXPECT_TRUE(log->Offer(std::string(127, ' ')));
  const Status status = log->Close();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("2 of 3"));
  EXPECT_EQ(log->Close(), status);
  EXPECT_FALSE(log->Offer("{}"));
}

TEST_F(EventLogTest, AppendsOrBeginsAnew) {
  Write("{\"n\":1}\n");
  auto log = Open();
  log->Offer("{\"n\":2}");
  log.reset();
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(1, 2));
  EventLogOptions options;
  options.append = false;
  log = Open(options);
  log->Offer("{\"n\":3}");
  log.reset();
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(3));
}

TEST_F(EventLogTest, CutsTheHalfLineOfAPowerCut) {
  Write("{\"n\":1}\n{\"n\":2,\"half");
  Open()->Offer("{\"n\":3}");
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(1, 3));
  // Larger than the blocks it is searched in.
  Write("{\"n\":1}\n{\"n\":2" + std::string(20'000, ' '));
  Open()->Offer("{\"n\":3}");
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(1, 3));
  Write("{\"all of it");
  Open()->Offer("{\"n\":3}");
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(3));
}

TEST_F(EventLogTest, LeavesForeignFilesAlone) {
  Write("RIFF, a film, say");
  for (const bool append : {true, false}) {
    EventLogOptions options;
    options.append = append;
    const auto log = EventLog::Open(path_, options);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(log.error().message(), HasSubstr(path_.string()));
  }
  EXPECT_EQ(Content(), "RIFF, a film, say");
}

TEST_F(EventLogTest, SaysWhyItCannotOpen) {
  EXPECT_EQ(EventLog::Open(folder_).error().code(), StatusCode::kInvalidArgument);
  const auto missing = EventLog::Open(folder_ / "no" / "such.jsonl");
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("such.jsonl"));
  const fs::path pipe = folder_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(EventLog::Open(pipe).error().code(), StatusCode::kUnavailable);
}

TEST_F(EventLogTest, AFullDeviceCostsTheLinesButNothingElse) {
  EventLogOptions options;
  options.ring_bytes = 4096;
  options.retry_interval = kMillisecond;
  auto log = EventLog::Open("/dev/full", options);
  ASSERT_TRUE(log);
  int accepted = 0;
  for (int i = 0; i < 1000; ++i) accepted += (*log)->Offer(Line(i, 50)) ? 1 : 0;
  EXPECT_LT(accepted, 100);
  EXPECT_EQ((*log)->Close().code(), StatusCode::kDataLoss);
  EXPECT_EQ((*log)->written(), 0u);
  EXPECT_EQ((*log)->lost(), 1000u);
}

// A limit on the file's size fails a write in the middle of a line, as a full disk does, and can be
// raised again.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    Limit(bytes);
  }
  ~FullDisk() { Free(); }
  void Free() { Limit(before_.rlim_cur); }

 private:
  void Limit(rlim_t bytes) {
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  rlimit before_{};
};

TEST_F(EventLogTest, CompletesTheHalfLineOnceThereIsRoom) {
  EventLogOptions options;
  options.ring_bytes = 4096;
  options.retry_interval = kMillisecond;
  auto log = Open(options);
  FullDisk disk(1000);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(log->Offer(Line(i, 50)));
  ASSERT_TRUE(Eventually([&] { return fs::file_size(path_) == 1000; }));
  EXPECT_FALSE(Content().ends_with('\n'));  // cut in the middle of a line, or this proves nothing
  EXPECT_EQ(log->written(), 15u);
  disk.Free();
  EXPECT_TRUE(Eventually([&] { return log->written() == 40; }));
  EXPECT_TRUE(log->Close().ok());
  EXPECT_EQ(Numbers(path_).size(), 40u);
}

TEST_F(EventLogTest, CutsTheHalfLineWhereThereIsNoRoomUntilClose) {
  EventLogOptions options;
  options.retry_interval = kMillisecond;
  auto log = Open(options);
  FullDisk disk(1000);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(log->Offer(Line(i, 50)));
  EXPECT_EQ(log->Close().code(), StatusCode::kDataLoss);
  EXPECT_EQ(log->written(), 15u);
  EXPECT_EQ(log->lost(), 25u);
  EXPECT_EQ(Numbers(path_).size(), 15u);
}

TEST_F(EventLogTest, BeginsANewFileAtItsCap) {
  EventLogOptions options;
  options.ring_bytes = 4096;
  options.max_bytes = 1000;
  options.keep_files = 2;
  auto log = Open(options);
  for (int i = 0; i < 500; ++i) {
    while (!log->Offer(Line(i, i % 61))) std::this_thread::yield();
  }
  log.reset();
  const fs::path older = path_.string() + ".1";
  const fs::path oldest = path_.string() + ".2";
  EXPECT_FALSE(fs::exists(path_.string() + ".3"));
  std::vector<int> all;
  for (const fs::path& file : {oldest, older, path_}) {
    EXPECT_LE(fs::file_size(file), 1000u) << file;
    for (const int n : Numbers(file)) all.push_back(n);
  }
  // What is kept is the end, without a gap.
  ASSERT_FALSE(all.empty());
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i], 500 - static_cast<int>(all.size() - i));
  }
  EXPECT_GT(fs::file_size(older), 900u);
}

TEST_F(EventLogTest, ALineLargerThanTheCapGetsAFileOfItsOwn) {
  EventLogOptions options;
  options.max_bytes = 100;
  auto log = Open(options);
  for (int i = 0; i < 3; ++i) log->Offer(Line(i, 300));
  log.reset();
  EXPECT_THAT(Numbers(path_), ::testing::ElementsAre(2));
  EXPECT_THAT(Numbers(path_.string() + ".1"), ::testing::ElementsAre(1));
}

// Puts the writing end of a pipe in the place of stdout.
class PipedStdout {
 public:
  PipedStdout() {
    fflush(stdout);
    kept_ = dup(STDOUT_FILENO);
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    reader_ = ends[0];
    dup2(ends[1], STDOUT_FILENO);
    close(ends[1]);
  }
  ~PipedStdout() {
    CloseReader();
    dup2(kept_, STDOUT_FILENO);
    close(kept_);
  }
  void CloseReader() {
    if (reader_ >= 0) close(reader_);
    reader_ = -1;
  }
  std::string Read() {
    char block[65536];
    const ssize_t got = read(reader_, block, sizeof block);
    return {block, got > 0 ? static_cast<std::size_t>(got) : 0};
  }

 private:
  int kept_;
  int reader_;
};

TEST_F(EventLogTest, AClosedStdoutLosesLinesAndKillsNobody) {
  PipedStdout out;
  auto log = EventLog::Open("-");
  ASSERT_TRUE(log);
  EXPECT_EQ((*log)->name(), "stdout");
  (*log)->Offer(Line(1));
  EXPECT_EQ(out.Read(), Line(1) + "\n");
  out.CloseReader();
  (*log)->Offer(Line(2));
  EXPECT_TRUE(Eventually([&] { return (*log)->lost() == 1; }));
  for (int i = 0; i < 100; ++i) (*log)->Offer(Line(i));
  EXPECT_EQ((*log)->Close().code(), StatusCode::kDataLoss);
  EXPECT_EQ((*log)->lost(), 101u);
  EXPECT_EQ((*log)->written(), 1u);
}

TEST_F(EventLogTest, AReaderThatDoesNotReadBoundsClose) {
  PipedStdout out;
  EventLogOptions options;
  options.close_timeout = 200 * kMillisecond;
  auto log = EventLog::Open("-", options);
  ASSERT_TRUE(log);
  for (int i = 0; i < 5000; ++i) (*log)->Offer(Line(i, 100));  // more than a pipe holds
  const Status status = (*log)->Close();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_EQ((*log)->written() + (*log)->lost(), 5000u);
  EXPECT_GT((*log)->written(), 0u);
}

}  // namespace
}  // namespace selvedge
