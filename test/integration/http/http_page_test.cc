// The live view's page in a real browser.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "process.h"
#include "synthetic_view.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kLive = "data-tone=\"good\" role=\"status\">Live<";

class LivePageTest : public ::testing::Test {
 protected:
  LivePageTest()
      : profile_(std::filesystem::temp_directory_path() /
                 ("selvedge-browser-" + std::to_string(getpid()))) {}
  ~LivePageTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(profile_, ignored);
  }
  void SetUp() override {
    if (!HasProgram("chromium")) GTEST_SKIP() << "chromium is not installed";
  }
  // What the page has become once it contains `awaited`, and what it complained about. The browser
  // is given longer and longer: how fast it starts depends on the machine.
  ProcessResult Visit(const std::string& awaited) {
    ProcessResult page;
    for (const int millis : {3'000, 8'000, 25'000}) {
      page = RunShell(
          "timeout 60 chromium --headless --no-sandbox --disable-gpu "
          "--enable-logging=stderr --user-data-dir=" +
          profile_.string() + " --virtual-time-budget=" + std::to_string(millis) +
          " --dump-dom http://localhost:" + std::to_string(pipeline_.port()) + "/ 2>&1");
      if (page.output.find(awaited) != std::string::npos) break;
    }
    return page;
  }

  std::filesystem::path profile_;
  SyntheticView pipeline_;
};

TEST_F(LivePageTest, ShowsPicturesFiguresAndEvents) {
  const ProcessResult page = Visit(kLive);
  ASSERT_EQ(page.exit_code, 0) << page.output;
  EXPECT_THAT(page.output, HasSubstr("<h1 id=\"name\">safety-monitor</h1>"));
  EXPECT_THAT(page.output, HasSubstr(kLive));
  EXPECT_THAT(page.output, HasSubstr("width=\"768\" height=\"576\""));
  EXPECT_THAT(page.output, HasSubstr("openvino · int8 · 2 × 1 thread"));
  EXPECT_THAT(page.output, HasSubstr("entered loading bay"));
  EXPECT_THAT(page.output, Not(HasSubstr("secret")));
  // Nothing the browser had to refuse, and no script that failed.
  EXPECT_THAT(page.output, Not(HasSubstr("CONSOLE")));
}

TEST_F(LivePageTest, SaysThatTheSourceReconnects) {
  pipeline_.SetSource(PipelineStatus::Source::kReconnecting, "next try in 4 s");
  const ProcessResult page = Visit(">Reconnecting<");
  EXPECT_THAT(page.output, HasSubstr("data-tone=\"warn\" role=\"status\">Reconnecting<"));
  EXPECT_THAT(page.output, HasSubstr("next try in 4 s"));
}

TEST_F(LivePageTest, TextFromOutsideStaysText) {
  pipeline_.view().OfferEvent(
      R"({"id":"x","decision":{"rule":"<img src=x onerror=alert(1)>","kind":"zone","zone":"</p><script>"}})");
  const ProcessResult page = Visit("&lt;img src");
  EXPECT_THAT(page.output, HasSubstr("&lt;img src=x onerror=alert(1)&gt;"));
  EXPECT_THAT(page.output, Not(HasSubstr("<img src=x")));
}

}  // namespace
}  // namespace selvedge
