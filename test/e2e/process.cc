#include "e2e/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using std::chrono::steady_clock;

std::string MakeFolder() {
  std::string name = (fs::temp_directory_path() / "selvedge-e2e-XXXXXX").string();
  return mkdtemp(name.data()) != nullptr ? name : std::string();
}

int OpenForWriting(const std::string& path) {
  return open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

// Polls, since what is awaited happens in another process.
template <typename Condition>
bool Await(std::chrono::seconds limit, const Condition& condition) {
  const auto deadline = steady_clock::now() + limit;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace

Process::Process(const std::string& verb, const std::vector<std::string>& arguments,
                 Options options)
    : folder_(MakeFolder()) {
  const std::string program =
      std::string(SELVEDGE_BINARY_DIR) + "/bin/selvedge" + (verb.empty() ? "" : "-" + verb);
  std::vector<std::string> all = {program};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : all) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  std::array<int, 2> closed = {-1, -1};
  int out = OpenForWriting(folder_ + "/out");
  if (options.close_stdout && pipe2(closed.data(), O_CLOEXEC) == 0) {
    close(closed[0]);
    out = closed[1];
  }
  const int errors = OpenForWriting(folder_ + "/err");
  pid_ = fork();
  if (pid_ == 0) {
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    for (std::string& entry : options.environment) putenv(entry.data());
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(out);
  close(errors);
}

Process::~Process() {
  if (!exit_code_) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void Process::Signal(int number) const {
  kill(pid_, number);
}

std::optional<int> Process::Wait(std::chrono::seconds limit) {
  int status = 0;
  const bool ended =
      exit_code_ || Await(limit, [&] { return waitpid(pid_, &status, WNOHANG) == pid_; });
  if (!ended) return std::nullopt;
  if (!exit_code_) exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

bool Process::WaitForError(const std::string& text, std::chrono::seconds limit) {
  return Await(limit, [&] { return errors().find(text) != std::string::npos; });
}

std::string Process::output() const {
  return ReadWhole(folder_ + "/out");
}
std::string Process::errors() const {
  return ReadWhole(folder_ + "/err");
}

TemporaryFolder::TemporaryFolder() : path_(MakeFolder()) {}
TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TemporaryFolder::Write(const std::string& name, const std::string& content) const {
  std::ofstream(*this / name, std::ios::binary) << content;
  return *this / name;
}

std::string ReadWhole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

}  // namespace selvedge
