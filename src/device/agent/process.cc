#include "device/agent/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

namespace selvedge {
namespace {

struct Pipe {
  Pipe() {
    if (pipe2(ends, O_CLOEXEC) != 0) ends[0] = ends[1] = -1;
  }
  ~Pipe() {
    CloseRead();
    CloseWrite();
  }
  void CloseRead() { Close(&ends[0]); }
  void CloseWrite() { Close(&ends[1]); }
  static void Close(int* fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
  int ends[2];
};

std::vector<char*> Pointers(std::vector<std::string>* texts) {
  std::vector<char*> pointers;
  for (std::string& text : *texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child: only what may be called between fork and exec.
[[noreturn]] void Become(char** arguments, char** environment, const char* folder, int log, int go,
                         int failed) {
  char word = 0;
  // The parent writes it once the record is on disk. Where it died before, there is nothing to
  // read.
  if (read(go, &word, 1) != 1) _exit(127);
  setsid();
  const int null = open("/dev/null", O_RDONLY);
  const bool joined = null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
                      dup2(log, STDERR_FILENO) >= 0;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGHUP, SIGCHLD}) signal(number, SIG_DFL);
  if (joined && (folder[0] == 0 || chdir(folder) == 0))
    execve(arguments[0], arguments, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t told = write(failed, &error, sizeof error);
  _exit(127);
}

}  // namespace

std::string BootId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

Result<ProcessIdentity> IdentifyProcess(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::ostringstream text;
  text << file.rdbuf();
  const std::string stat = text.str();
  // The name is in brackets and may hold any character; state and the rest follow it.
  const std::size_t at = stat.rfind(')');
  std::istringstream rest(at == std::string::npos ? "" : stat.substr(at + 1));
  std::string state;
  rest >> state;
  std::string field;
  for (int i = 4; i <= 22 && rest >> field; ++i) {
  }
  ProcessIdentity identity{.pid = pid, .start_ticks = 0, .boot = BootId()};
  const auto parsed =
      std::from_chars(field.data(), field.data() + field.size(), identity.start_ticks);
  if (pid <= 0 || !rest || parsed.ec != std::errc() || state == "Z" || state == "X") {
    return Err(NotFoundError("there is no process " + std::to_string(pid)));
  }
  return identity;
}

Result<ServiceProcess> ServiceProcess::Start(
    const LaunchSpec& launch, const std::string& log_file,
    const std::function<Status(const ProcessIdentity&)>& record) {
  const int log =
      open(log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (log < 0) return Err(ErrnoError(errno, "cannot open the log " + log_file));
  Pipe go;
  Pipe failed;
  std::vector<std::string> arguments = launch.arguments;
  std::vector<std::string> environment = launch.environment;
  std::vector<char*> argument_pointers = Pointers(&arguments);
  std::vector<char*> environment_pointers = Pointers(&environment);
  const std::string& program = launch.arguments.front();
  const pid_t pid = go.ends[0] < 0 || failed.ends[0] < 0 ? -1 : fork();
  if (pid == 0) {
    go.CloseWrite();  // or our own copy would keep it open
    Become(argument_pointers.data(), environment_pointers.data(), launch.folder.c_str(), log,
           go.ends[0], failed.ends[1]);
  }
  const int fork_error = errno;
  close(log);
  if (pid < 0) return Err(ErrnoError(fork_error, "cannot start " + program));
  go.CloseRead();
  failed.CloseWrite();
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  Result<ProcessIdentity> identity = IdentifyProcess(pid);
  Status status = identity ? record(*identity) : identity.error();
  if (pidfd < 0 && status.ok()) status = ErrnoError(errno, "cannot watch " + program);
  if (status.ok()) {
    [[maybe_unused]] const ssize_t told = write(go.ends[1], "g", 1);
    int error = 0;
    // Ends with exec, which closes the pipe, or with its error.
    if (read(failed.ends[0], &error, sizeof error) == sizeof error) {
      status = ErrnoError(error, "cannot start " + program);
    }
  }
  if (status.ok()) return ServiceProcess(*std::move(identity), pidfd);
  go.CloseWrite();
  waitpid(pid, nullptr, 0);
  if (pidfd >= 0) close(pidfd);
  return Err(status);
}

std::optional<ServiceProcess> ServiceProcess::Find(const ProcessIdentity& identity) {
  if (identity.pid <= 0 || identity.boot != BootId()) return std::nullopt;
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, identity.pid, 0));
  if (pidfd < 0) return std::nullopt;
  // After the descriptor, which from here on stands for this very process.
  const Result<ProcessIdentity> found = IdentifyProcess(identity.pid);
  if (!found || *found != identity) {
    close(pidfd);
    return std::nullopt;
  }
  return ServiceProcess(identity, pidfd);
}

ServiceProcess::ServiceProcess(ServiceProcess&& other) noexcept
    : identity_(std::exchange(other.identity_, {})),
      pidfd_(std::exchange(other.pidfd_, -1)),
      ended_(std::exchange(other.ended_, true)),
      how_(std::move(other.how_)) {}

ServiceProcess& ServiceProcess::operator=(ServiceProcess&& other) noexcept {
  std::swap(identity_, other.identity_);
  std::swap(pidfd_, other.pidfd_);
  std::swap(ended_, other.ended_);
  std::swap(how_, other.how_);
  return *this;
}

ServiceProcess::~ServiceProcess() {
  if (pidfd_ >= 0) close(pidfd_);
}

bool ServiceProcess::Ended() {
  if (ended_) return true;
  pollfd waiting{pidfd_, POLLIN, 0};
  if (poll(&waiting, 1, 0) <= 0) return false;
  ended_ = true;
  siginfo_t info{};
  if (waitid(P_PIDFD, static_cast<id_t>(pidfd_), &info, WEXITED) == 0) {
    if (info.si_code == CLD_EXITED) {
      how_ = "exit code " + std::to_string(info.si_status);
    } else {
      const char* name = sigabbrev_np(info.si_status);
      how_ = "killed by " + (name != nullptr ? "SIG" + std::string(name)
                                             : "signal " + std::to_string(info.si_status));
    }
  }
  // Whatever it had started and left behind.
  kill(-identity_.pid, SIGKILL);
  return true;
}

void ServiceProcess::Signal(int number) {
  if (ended_) return;
  // The leader by its descriptor, which cannot be another process by now; then its group, which
  // cannot be another one while the leader is not reaped.
  if (syscall(SYS_pidfd_send_signal, pidfd_, number, nullptr, 0) == 0) {
    kill(-identity_.pid, number);
  }
}

}  // namespace selvedge
