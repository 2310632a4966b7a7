#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): kill, sigset_t are POSIX
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <string_view>
#include <utility>

namespace selvedge {
namespace {

// What the child needs between fork and exec, made before: there it may call only what is
// async-signal-safe.
struct Prepared {
  const ChildOptions* options = nullptr;
  std::vector<char*> argv;
  std::vector<char*> envp;
  pid_t parent = 0;
  int output = -1;
  int report = -1;  // errno of what failed goes here
};

std::string_view NameOf(std::string_view assignment) {
  return assignment.substr(0, assignment.find('='));
}

std::vector<char*> Environment(const std::vector<std::string>& added) {
  std::vector<char*> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const bool replaced = std::ranges::any_of(
        added, [&](const std::string& other) { return NameOf(other) == NameOf(*entry); });
    if (!replaced) all.push_back(*entry);
  }
  for (const std::string& entry : added) all.push_back(const_cast<char*>(entry.c_str()));
  all.push_back(nullptr);
  return all;
}

[[noreturn]] void Fail(const Prepared& prepared) {
  const int error = errno;
  [[maybe_unused]] const auto written = write(prepared.report, &error, sizeof(error));
  _exit(127);
}

[[noreturn]] void RunChild(const Prepared& prepared) {
  const ChildOptions& options = *prepared.options;
  if (options.own_group) setpgid(0, 0);
  if (options.die_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != prepared.parent) _exit(127);  // it ended before prctl
  }
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, STDIN_FILENO) < 0) Fail(prepared);
  if (prepared.output >= 0 &&
      (dup2(prepared.output, STDOUT_FILENO) < 0 || dup2(prepared.output, STDERR_FILENO) < 0)) {
    Fail(prepared);
  }
  if (!options.folder.empty() && chdir(options.folder.c_str()) != 0) Fail(prepared);
  execve(options.program.c_str(), prepared.argv.data(), prepared.envp.data());
  Fail(prepared);
}

// The errno that the child reported, 0 where exec worked.
int ReadReport(int descriptor) {
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(descriptor, &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  return got == sizeof(error) ? error : 0;
}

}  // namespace

Result<ChildProcess> ChildProcess::Start(const ChildOptions& options) {
  Prepared prepared;
  prepared.options = &options;
  prepared.parent = getpid();
  prepared.argv.push_back(const_cast<char*>(options.program.c_str()));
  for (const std::string& argument : options.arguments) {
    prepared.argv.push_back(const_cast<char*>(argument.c_str()));
  }
  prepared.argv.push_back(nullptr);
  prepared.envp = Environment(options.environment);
  prepared.output = options.output_descriptor;
  int file = -1;
  if (!options.output_file.empty()) {
    file = open(options.output_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0) return Err(ErrnoError(errno, "cannot write " + options.output_file));
    prepared.output = file;
  }
  int report[2] = {-1, -1};
  if (pipe2(report, O_CLOEXEC) != 0) {
    const int error = errno;
    if (file >= 0) close(file);
    return Err(ErrnoError(error, "cannot start " + options.program));
  }
  prepared.report = report[1];
  const pid_t pid = fork();
  if (pid == 0) RunChild(prepared);
  int error = pid < 0 ? errno : 0;
  close(report[1]);
  if (file >= 0) close(file);
  if (pid > 0) error = ReadReport(report[0]);
  close(report[0]);
  if (error != 0) {
    if (pid > 0) waitpid(pid, nullptr, 0);
    return Err(ErrnoError(error, "cannot start " + options.program));
  }
  ChildProcess child;
  child.pid_ = pid;
  child.own_group_ = options.own_group;
  child.pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept {
  *this = std::move(other);
}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this != &other) {
    Kill();
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::exchange(other.pidfd_, -1);
    own_group_ = other.own_group_;
    ended_ = other.ended_;
  }
  return *this;
}

ChildProcess::~ChildProcess() {
  Kill();
}

void ChildProcess::Kill() {
  if (pid_ <= 0) return;
  if (!ended_) {
    Signal(SIGKILL);
    Wait(std::numeric_limits<Nanos>::max());
  }
  pid_ = -1;
}

std::optional<int> ChildProcess::Wait(Nanos timeout) {
  if (ended_ || pid_ <= 0) return ended_;
  const Nanos begin = Clock::System().Monotonic();
  while (true) {
    int status = 0;
    const pid_t got = waitpid(pid_, &status, WNOHANG);
    if (got == pid_ || (got < 0 && errno == ECHILD)) {
      ended_ = got < 0 || WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      if (pidfd_ >= 0) close(std::exchange(pidfd_, -1));
      return ended_;
    }
    const Nanos rest = timeout - (Clock::System().Monotonic() - begin);
    if (rest <= 0) return std::nullopt;
    // A kernel without pidfds is asked a hundred times a second.
    const Nanos slice = pidfd_ >= 0 ? std::min(rest, 3600 * kSecond) : 10 * kMillisecond;
    pollfd wait{pidfd_, POLLIN, 0};
    poll(&wait, pidfd_ >= 0 ? 1 : 0, static_cast<int>(slice / kMillisecond) + 1);
  }
}

void ChildProcess::Signal(int number) {
  if (pid_ <= 0 || ended_) return;
  kill(own_group_ ? -pid_ : pid_, number);
}

int ChildProcess::Stop(Nanos grace) {
  if (pid_ <= 0) return ended_.value_or(0);
  Signal(SIGTERM);
  if (!Wait(grace)) {
    Signal(SIGKILL);
    Wait(std::numeric_limits<Nanos>::max());
  }
  return ended_.value_or(0);
}

}  // namespace selvedge
