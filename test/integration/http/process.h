#pragma once

// Runs other programs from a test.

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace selvedge {

struct ProcessResult {
  int exit_code = -1;
  std::string output;  // stdout, and stderr where the command says 2>&1
};

// `command` by the shell.
inline ProcessResult RunShell(const std::string& command) {
  ProcessResult result;
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return result;
  std::array<char, 4096> block;
  for (std::size_t got; (got = fread(block.data(), 1, block.size(), pipe)) > 0;) {
    result.output.append(block.data(), got);
  }
  const int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

inline bool HasProgram(const std::string& name) {
  return RunShell("command -v " + name + " >/dev/null 2>&1").exit_code == 0;
}

}  // namespace selvedge
