// Text-driven: every cases/*.case gives input files, a command line and what must come out.
//
//   # a comment, anywhere
//   --- file NAME          content of an input file up to the next ---
//   --- run ARGUMENTS      what follows `selvedge eval`
//   --- exit CODE
//   --- stdout             exactly this
//   --- stderr             exactly this
//   --- stderr contains    each line somewhere in it
//
// Files with several runs check each against what follows it. The program runs in a folder of its
// own that holds just the input files.

#include "cmd/eval/eval.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace selvedge {
namespace {

namespace fs = std::filesystem;

struct Section {
  std::string kind;
  std::string argument;
  std::string body;
};

struct Outcome {
  std::vector<std::string> arguments;
  int exit_code = 0;
  std::string out;
  std::string err;
};

std::vector<Section> ReadCase(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Section> sections;
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("# ")) continue;
    if (line.starts_with("--- ")) {
      const std::size_t space = line.find(' ', 4);
      sections.push_back({line.substr(4, space - 4),
                          space == std::string::npos ? "" : line.substr(space + 1), ""});
    } else if (!sections.empty()) {
      sections.back().body += line + "\n";
    }
  }
  return sections;
}

Outcome Execute(const std::string& command_line) {
  Outcome run;
  run.arguments.push_back("eval");
  std::istringstream words(command_line);
  for (std::string word; words >> word;) run.arguments.push_back(word);
  std::vector<const char*> argv;
  for (const std::string& argument : run.arguments) argv.push_back(argument.c_str());
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  run.exit_code = EvalMain(static_cast<int>(argv.size()), argv.data());
  run.out = testing::internal::GetCapturedStdout();
  run.err = testing::internal::GetCapturedStderr();
  return run;
}

class EvalCase : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    folder_ = fs::path(testing::TempDir()) /
              ("selvedge-eval-" + GetParam() + "-" + std::to_string(getpid()));
    fs::create_directories(folder_);
    fs::current_path(folder_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }

 private:
  fs::path before_;
  fs::path folder_;
};

fs::path CaseFolder() {
  return fs::path(SELVEDGE_SOURCE_DIR) / "src/cmd/eval/cases";
}

TEST_P(EvalCase, SaysWhatTheCaseSays) {
  const std::vector<Section> sections = ReadCase(CaseFolder() / (GetParam() + ".case"));
  Outcome run;
  int runs = 0;
  for (const Section& section : sections) {
    SCOPED_TRACE("--- " + section.kind + " " + section.argument);
    if (section.kind == "file") {
      std::ofstream(section.argument, std::ios::binary) << section.body;
    } else if (section.kind == "run") {
      run = Execute(section.argument);
      ++runs;
    } else if (section.kind == "exit") {
      EXPECT_EQ(run.exit_code, std::stoi(section.argument)) << run.err;
    } else if (section.kind == "stdout") {
      EXPECT_EQ(run.out, section.body);
    } else if (section.kind == "stderr" && section.argument.empty()) {
      EXPECT_EQ(run.err, section.body);
    } else if (section.kind == "stderr" && section.argument == "contains") {
      std::istringstream lines(section.body);
      for (std::string line; std::getline(lines, line);) {
        EXPECT_THAT(run.err, testing::HasSubstr(line));
      }
    } else {
      ADD_FAILURE() << "unknown section";
    }
  }
  EXPECT_GT(runs, 0) << "the case runs nothing";
}

std::vector<std::string> CaseNames() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(CaseFolder())) {
    if (entry.path().extension() == ".case") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, EvalCase, testing::ValuesIn(CaseNames()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace selvedge
