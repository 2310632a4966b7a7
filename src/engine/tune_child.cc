#include "engine/tune_child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include "base/cpu.h"
#include "engine/tune_json.h"
#include "engine/tune_measure.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX wants it declared

namespace selvedge {
namespace {

constexpr std::size_t kMostOutput = 1 << 20;
constexpr int kPollMillis = 100;  // how late a stop may be noticed

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor read;
  Descriptor write;

  static Result<Pipe> Make() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return Err(ErrnoError(errno, "making a pipe"));
    return Pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  }
};

struct Child {
  pid_t id = -1;
  Descriptor output;
  Descriptor errors;
};

Result<Child> Start(const std::string& executable, const std::string& json) {
  SELVEDGE_ASSIGN_OR_RETURN(Pipe output, Pipe::Make());
  SELVEDGE_ASSIGN_OR_RETURN(Pipe errors, Pipe::Make());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, output.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, errors.write.get(), STDERR_FILENO);
  // The caller's blocked or ignored signals are its own affair.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::string flag(kTuneCandidateFlag);
  std::string name = executable;
  std::string argument = json;
  char* argv[] = {name.data(), flag.data(), argument.data(), nullptr};
  Child child;
  const int error =
      posix_spawn(&child.id, executable.c_str(), &actions, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Err(ErrnoError(error, "starting " + executable));
  child.output = std::move(output.read);
  child.errors = std::move(errors.read);
  return child;
}

// Appends what is there to `text`, the first kMostOutput bytes; false at the end of the stream.
bool ReadSome(int fd, std::string* text) {
  std::array<char, 4096> piece;
  const ssize_t size = read(fd, piece.data(), piece.size());
  if (size < 0) return errno == EINTR || errno == EAGAIN;
  const std::size_t room = kMostOutput - std::min(text->size(), kMostOutput);
  text->append(piece.data(), std::min(static_cast<std::size_t>(size), room));
  return size > 0;
}

// Reads both streams until the child closes them; an error where it takes too long or `stop` is
// set.
Status Collect(Child* child, Nanos timeout, const std::atomic<bool>* stop, std::string* output,
               std::string* errors) {
  const Clock& clock = Clock::System();
  const Nanos deadline = clock.Monotonic() + timeout;
  while (child->output.get() >= 0 || child->errors.get() >= 0) {
    if (stop != nullptr && stop->load()) return CancelledError("stopped while measuring");
    if (clock.Monotonic() > deadline) {
      return DeadlineExceededError("did not finish within " + std::to_string(timeout / kSecond) +
                                   " s");
    }
    pollfd polled[2] = {{.fd = child->output.get(), .events = POLLIN},
                        {.fd = child->errors.get(), .events = POLLIN}};
    if (poll(polled, 2, kPollMillis) < 0 && errno != EINTR) {
      return ErrnoError(errno, "waiting for the measuring process");
    }
    if (polled[0].revents != 0 && !ReadSome(polled[0].fd, output)) child->output.Close();
    if (polled[1].revents != 0 && !ReadSome(polled[1].fd, errors)) child->errors.Close();
  }
  return OkStatus();
}

std::string LastLine(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  const std::size_t start = text.rfind('\n');
  return std::string(start == std::string_view::npos ? text : text.substr(start + 1));
}

}  // namespace

Result<TuneMeasurement> ChildRunner::Measure(const TuneCandidate& candidate, Nanos timeout,
                                             const std::atomic<bool>* stop) {
  const std::string executable = executable_.empty() ? "/proc/self/exe" : executable_;
  SELVEDGE_ASSIGN_OR_RETURN(Child child, Start(executable, ToJson(candidate)));
  std::string output;
  std::string errors;
  const Status collected = Collect(&child, timeout, stop, &output, &errors);
  if (!collected.ok()) kill(child.id, SIGKILL);
  int how = 0;
  while (waitpid(child.id, &how, 0) < 0 && errno == EINTR) {
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(Status(collected));
  if (WIFSIGNALED(how)) {
    return Err(InternalError("the engine crashed while it was measured (" +
                             std::string(strsignal(WTERMSIG(how))) + ")"));
  }
  if (WEXITSTATUS(how) != 0) {
    const std::string reason = LastLine(errors);
    return Err(FailedPreconditionError(reason.empty() ? "measuring ended with exit code " +
                                                            std::to_string(WEXITSTATUS(how))
                                                      : reason));
  }
  return MeasurementFromJson(LastLine(output));
}

bool IsTuneCandidateCall(int argc, const char* const* argv) {
  return argc == 3 && argv[1] == kTuneCandidateFlag;
}

int ServeTuneCandidate(const char* candidate_json, std::span<EngineBackend* const> backends) {
  // A measuring process without someone to measure for would keep the processors busy for nothing.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Result<TuneCandidate> candidate = CandidateFromJson(candidate_json);
  Result<TuneMeasurement> measurement =
      candidate ? MeasureCandidate(*candidate, backends) : Err(candidate.error());
  if (!measurement) {
    std::string reason = measurement.error().message();
    std::ranges::replace(reason, '\n', ' ');
    std::fprintf(stderr, "%s\n", reason.c_str());
    return 1;
  }
  measurement->peak_bytes = PeakResidentBytes();
  std::printf("\n%s\n", ToJson(*measurement).c_str());
  // Not through exit(): some engines' destructors crash there, and there is nothing left to tidy.
  std::fflush(stdout);
  _exit(0);
}

}  // namespace selvedge
