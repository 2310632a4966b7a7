#include "cmd/bench/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

namespace selvedge {
namespace {

constexpr std::size_t kMaxOutput = std::size_t{16} << 20;
constexpr int kCannotExecute = 127;

[[noreturn]] void Become(const ProgramOptions& options, int out) {
  if (!options.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int cpu : options.cpus) CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
  }
  sigset_t none;
  sigemptyset(&none);
  (void)sigprocmask(SIG_SETMASK, &none, nullptr);
  (void)dup2(out, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& argument : options.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  _exit(kCannotExecute);
}

// Reads until end of file; false once `deadline` passed.
bool ReadAll(int descriptor, Nanos deadline, std::string* output) {
  std::array<char, 65536> buffer;
  while (true) {
    const Nanos left = deadline - Clock::System().Monotonic();
    if (left <= 0) return false;
    pollfd ready = {.fd = descriptor, .events = POLLIN, .revents = 0};
    const int count = poll(&ready, 1, static_cast<int>(left / kMillisecond) + 1);
    if (count < 0 && errno != EINTR) return true;
    if (count <= 0) continue;
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got == 0 || (got < 0 && errno != EINTR)) return true;
    if (got > 0 && output->size() < kMaxOutput) output->append(buffer.data(), got);
  }
}

}  // namespace

Result<ChildResult> RunChild(const ProgramOptions& options) {
  std::array<int, 2> ends;
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Err(ErrnoError(errno, "pipe"));
  const pid_t pid = fork();
  if (pid < 0) return Err(ErrnoError(errno, "fork"));
  if (pid == 0) Become(options, ends[1]);
  close(ends[1]);
  ChildResult result;
  const bool in_time =
      ReadAll(ends[0], Clock::System().Monotonic() + options.timeout, &result.output);
  close(ends[0]);
  if (!in_time) (void)kill(pid, SIGKILL);
  int status = 0;
  rusage usage = {};
  while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  if (!in_time) {
    return Err(DeadlineExceededError(options.arguments[0] + " did not end within " +
                                     std::to_string(options.timeout / kSecond) + " s"));
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (result.exit_code == kCannotExecute) {
    return Err(NotFoundError("cannot start " + options.arguments[0]));
  }
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + t.tv_usec / 1e6; };
  result.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  result.peak_rss_mib = static_cast<double>(usage.ru_maxrss) / 1024;
  return result;
}

}  // namespace selvedge
