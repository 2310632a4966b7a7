#pragma once

// Starts one of our executables, as a person would, and keeps what it says. For tests.

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace selvedge {

class Process {
 public:
  struct Options {
    bool close_stdout = false;             // its stdout is a pipe that nobody reads any more
    std::vector<std::string> environment;  // "NAME=value", besides ours
  };

  // `verb` is the executable selvedge-VERB; the empty one is selvedge itself.
  Process(const std::string& verb, const std::vector<std::string>& arguments, Options options);
  Process(const std::string& verb, const std::vector<std::string>& arguments)
      : Process(verb, arguments, Options{}) {}
  ~Process();  // kills what still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int number) const;
  // Its exit code (128 + signal where one killed it); nullopt, and killed, after `limit`.
  std::optional<int> Wait(std::chrono::seconds limit = std::chrono::seconds(60));
  // Whether `text` has appeared on stderr within `limit`.
  bool WaitForError(const std::string& text, std::chrono::seconds limit = std::chrono::seconds(30));

  std::string output() const;  // stdout so far
  std::string errors() const;  // stderr so far

 private:
  std::string folder_;
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// A folder of one test's own, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file into it and returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

std::string ReadWhole(const std::string& path);

}  // namespace selvedge
