#include "base/log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace selvedge::log {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

// Everything written to stderr while `body` runs.
std::string Captured(Level level, Format format, const std::function<void()>& body) {
  Configure(level, format);
  testing::internal::CaptureStderr();
  body();
  std::string text = testing::internal::GetCapturedStderr();
  Configure(Level::kInfo, Format::kText);
  return text;
}

TEST(Log, TextLineForPeople) {
  const std::string text = Captured(Level::kInfo, Format::kText, [] {
    Info("capture", "source opened",
         {{"uri", "rtsp://u:p@h/"}, {"width", 768}, {"fps", 29.97}, {"live", true}});
  });
  EXPECT_THAT(
      text,
      MatchesRegex("[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9] INFO  capture  source opened  "
                   "uri=rtsp://u:[*][*][*]@h/ width=768 fps=29.97 live=true\n"));
}

TEST(Log, JsonLineForMachines) {
  const std::string text = Captured(Level::kDebug, Format::kJson, [] {
    Debug("a", "b");
    Warning("capture", "source \"lost\"",
            {{"uri", "rtsp://u:p@h/"}, {"n", -7}, {"s", 0.5}, {"ok", false}});
  });
  std::istringstream lines(text);
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_THAT(
      line,
      MatchesRegex(
          "\\{\"time\":\"20..-..-..T..:..:..[.]...Z\",\"level\":\"debug\",\"component\":\"a\","
          "\"message\":\"b\"\\}"));
  ASSERT_TRUE(std::getline(lines, line));
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["level"], "warning");
  EXPECT_EQ(json["message"], "source \"lost\"");
  EXPECT_EQ(json["uri"], "rtsp://u:***@h/");
  EXPECT_EQ(json["n"], -7);
  EXPECT_EQ(json["s"], 0.5);
  EXPECT_EQ(json["ok"], false);
}

TEST(Log, EveryByteStringIsValidJson) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  const std::string text = Captured(Level::kInfo, Format::kJson, [&] {
    Info(every, every, {{every, every}, {"\xC3", "cut off \xE2\x82"}, {"euro", "\xE2\x82\xAC"}});
  });
  EXPECT_EQ(std::ranges::count(text, '\n'), 1) << "one line, whatever is in it";
  const auto json = nlohmann::json::parse(text);  // throws on what is not JSON or not UTF-8
  EXPECT_EQ(json["euro"], "€");
  EXPECT_EQ(json["\uFFFD"], "cut off \uFFFD\uFFFD");
  EXPECT_THAT(json["component"].get<std::string>(), HasSubstr(std::string("\0\x01\x02", 3)));
}

TEST(Log, NumbersThatJsonHasNot) {
  const std::string text = Captured(Level::kInfo, Format::kJson, [] {
    Info("a", "b", {{"n", std::nan("")}, {"p", HUGE_VAL}, {"m", -HUGE_VAL}, {"big", INT64_MAX}});
  });
  const auto json = nlohmann::json::parse(text);
  EXPECT_EQ(json["n"], "nan");
  EXPECT_EQ(json["p"], "inf");
  EXPECT_EQ(json["m"], "-inf");
  EXPECT_EQ(json["big"], INT64_MAX);
}

TEST(Log, TextCannotBeForged) {
  const std::string text = Captured(Level::kInfo, Format::kText, [] {
    Info("a", "one\ntwo \"x\"",
         {{"v", "x\n12:00:00.000 ERROR  forged"}, {"e", ""}, {"q", "a b"}, {"eq", "a=b"}});
  });
  EXPECT_EQ(std::ranges::count(text, '\n'), 1);
  EXPECT_THAT(
      text,
      HasSubstr("one\\ntwo \"x\"  v=\"x\\n12:00:00.000 ERROR  forged\" e=\"\" q=\"a b\" eq=a=b\n"));
}

TEST(Log, LevelsFilter) {
  const auto lines = [](Level level) {
    const std::string text = Captured(level, Format::kText, [] {
      Debug("a", "d");
      Info("a", "i");
      Warning("a", "w");
      Error("a", "e");
    });
    return std::ranges::count(text, '\n');
  };
  EXPECT_EQ(lines(Level::kDebug), 4);
  EXPECT_EQ(lines(Level::kInfo), 3);
  EXPECT_EQ(lines(Level::kWarning), 2);
  EXPECT_EQ(lines(Level::kError), 1);
  EXPECT_EQ(lines(Level::kOff), 0);
}

TEST(Log, LevelNamesReadBack) {
  Level level = Level::kInfo;
  EXPECT_TRUE(ParseLevel("warning", &level));
  EXPECT_EQ(level, Level::kWarning);
  EXPECT_TRUE(ParseLevel("off", &level));
  EXPECT_EQ(level, Level::kOff);
  EXPECT_FALSE(ParseLevel("loud", &level));
  EXPECT_EQ(level, Level::kOff) << "left as it was";
}

TEST(Log, ThreadsDoNotMixTheirLines) {
  const std::string text = Captured(Level::kInfo, Format::kJson, [] {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 200; ++i)
          Info("t", "line", {{"t", t}, {"i", i}, {"pad", std::string(200, 'x')}});
      });
    }
  });
  std::istringstream lines(text);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count)
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
  EXPECT_EQ(count, 800);
}

// Runs `body` in a child with stderr replaced; returns its wait status.
int StatusOfChild(int stderr_fd, const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(30);  // a hang becomes a signal
    if (stderr_fd >= 0) {
      ::dup2(stderr_fd, STDERR_FILENO);
    } else {
      ::close(STDERR_FILENO);
    }
    body();
    ::_exit(7);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return status;
}

void LogALot() {
  std::signal(SIGPIPE, SIG_IGN);  // as main does
  for (int i = 0; i < 1000; ++i) Info("a", "b", {{"pad", std::string(1000, 'x')}});
}

TEST(Log, AClosedStderrIsSurvived) {
  const int status = StatusOfChild(-1, LogALot);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

TEST(Log, ABrokenPipeIsSurvived) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const int status = StatusOfChild(ends[1], LogALot);
  ::close(ends[1]);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

TEST(Log, AFullDiskIsSurvived) {
  const int full = ::open("/dev/full", O_WRONLY);
  if (full < 0) GTEST_SKIP() << "there is no /dev/full on this machine";
  const int status = StatusOfChild(full, LogALot);
  ::close(full);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
}

TEST(Log, APipeThatNobodyReadsDoesNotStopTheProcess) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int status = StatusOfChild(ends[1], [&] {
    LogALot();
    // Room again: the loss is told.
    char drain[65536];
    EXPECT_GT(::read(ends[0], drain, sizeof drain), 0);
    Info("a", "after");
  });
  ::close(ends[1]);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 7) << status;
  std::string rest(1 << 17, '\0');
  const ssize_t n = ::read(ends[0], rest.data(), rest.size());
  ::close(ends[0]);
  ASSERT_GT(n, 0);
  rest.resize(static_cast<std::size_t>(n));
  EXPECT_THAT(rest, HasSubstr("log lines were lost: stderr was full)\n"));
  EXPECT_THAT(rest, testing::EndsWith("after\n"));
}

TEST(MaskSecrets, HidesPasswordsInUris) {
  const std::pair<const char*, const char*> cases[] = {
      {"rtsp://user:secret@host/path", "rtsp://user:***@host/path"},
      {"rtsp://user:p@ss@host:554/x", "rtsp://user:***@host:554/x"},
      {"http://:pw@h", "http://:***@h"},
      {"a rtsp://u:p@h/1 and https://v:q@i/2?x=y", "a rtsp://u:***@h/1 and https://v:***@i/2?x=y"},
      {"rtspsrc location=\"rtsp://u:p@h/1\" ! fakesink",
       "rtspsrc location=\"rtsp://u:***@h/1\" ! fakesink"},
      {"rtsp://host:554/a@b", "rtsp://host:554/a@b"},
      {"rtsp://user@host/", "rtsp://user@host/"},
      {"mail me@host: a://", "mail me@host: a://"},
      {"://u:p@h", "://u:p@h"},
      {"", ""},
      {"no uri", "no uri"}};
  for (const auto& [text, masked] : cases) EXPECT_EQ(MaskSecrets(text), masked);
}

TEST(RateLimited, OneLineAnInterval) {
  RateLimited limit(10 * kSecond);
  EXPECT_TRUE(limit.Allow(0));
  EXPECT_EQ(limit.Suppressed(), 0U);
  for (int i = 1; i < 10; ++i) EXPECT_FALSE(limit.Allow(i * kSecond));
  EXPECT_TRUE(limit.Allow(10 * kSecond));
  EXPECT_EQ(limit.Suppressed(), 9U);
  EXPECT_TRUE(limit.Allow(25 * kSecond));
  EXPECT_EQ(limit.Suppressed(), 0U);
}

}  // namespace
}  // namespace selvedge::log
