#pragma once

// ChildProcess: another executable, started, awaited and stopped.
//
// Owned by whoever started it; move-only; the destructor kills (SIGKILL) and reaps what still runs.
// Methods are for one thread at a time. Failure: Start says what could not be started and why, also
// when it is exec that fails.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

struct ChildOptions {
  std::string program;                   // a path
  std::vector<std::string> arguments;    // without the program's name
  std::vector<std::string> environment;  // "NAME=value", in place of or beside ours
  std::string folder;                    // to run in; empty: ours
  // stdout and stderr: appended to this file (mode 0600), or given to this descriptor; else ours.
  std::string output_file;
  int output_descriptor = -1;
  // SIGKILL to the child when the thread that started it ends, by whatever cause: start such a
  // child from a thread that lives as long as the process.
  bool die_with_parent = true;
  // A process group of its own: the terminal's Ctrl-C does not reach it, and Stop reaches its
  // children too.
  bool own_group = true;
};

class ChildProcess {
 public:
  static Result<ChildProcess> Start(const ChildOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // Readable once the child has ended (pidfd_open(2)): for poll(2) beside others. -1 after that.
  int descriptor() const { return pidfd_; }

  // Its exit code, or 128 + the signal that ended it, once it has ended; nothing after `timeout`.
  std::optional<int> Wait(Nanos timeout);
  bool Running() { return !Wait(0).has_value(); }
  // To the child, or to its group. Nothing happens to one that has ended.
  void Signal(int number);
  // SIGTERM, after `grace` SIGKILL; returns as Wait.
  int Stop(Nanos grace);

 private:
  ChildProcess() = default;
  void Kill();

  pid_t pid_ = -1;
  int pidfd_ = -1;
  bool own_group_ = false;
  std::optional<int> ended_;
};

}  // namespace selvedge
