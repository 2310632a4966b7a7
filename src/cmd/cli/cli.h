#pragma once

// What every verb shares: exit codes, how an error is shown, signals, the terminal, parsing of
// arguments.

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"

namespace CLI {
class App;
}  // namespace CLI

namespace selvedge::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailure = 1;
inline constexpr int kExitMisuse = 2;

// Call first thing in main: a closed pipe becomes an error of write(2) rather than a death.
void IgnoreBrokenPipes();

// "selvedge run: error: …" on stderr; returns the exit code to leave with.
int Fail(std::string_view verb, const Status& status);

// Parses; nullopt-like: -1 to go on, else the exit code to leave with (--help printed, or a misuse
// explained).
int Parse(CLI::App* app, int argc, const char* const* argv);

// Options that every long-running verb has: --log-level and --log-format (SELVEDGE_LOG_LEVEL,
// SELVEDGE_LOG_FORMAT).
class LogFlags {
 public:
  explicit LogFlags(CLI::App* app, std::string default_level = "info");
  // Configures base/log; InvalidArgument for a word that is none of the levels or formats.
  Status Apply() const;

 private:
  // Shared with the parser, which writes to them later.
  struct Values;
  std::shared_ptr<Values> values_;
};

// SIGINT and SIGTERM, blocked in this thread and all made after it, so that they are awaited, not
// suffered.
class Termination {
 public:
  Termination();
  // Waits until one arrives (its number) or the time is over (0).
  int Wait(Nanos timeout) const;
};

bool IsTerminal(int descriptor);
int TerminalColumns(int descriptor);  // 80 where unknown

// One line on stderr that is rewritten in place on a terminal and left out elsewhere. Not
// thread-safe.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine();  // leaves the cursor on a fresh line
  void Show(std::string_view text);
  void Clear();
  bool enabled() const { return enabled_; }

 private:
  bool enabled_;
  bool shown_ = false;
};

}  // namespace selvedge::cli
