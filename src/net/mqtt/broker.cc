#include "net/mqtt/broker.h"

#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "base/backoff.h"
#include "base/child_process.h"
#include "base/file.h"
#include "base/log.h"
#include "net/free_port.h"
#include "net/mqtt/broker_config.h"

namespace selvedge {
namespace {

constexpr Nanos kStartTimeout = 10 * kSecond;
constexpr Nanos kStopGrace = 2 * kSecond;
// One that ran so long was well: the next failure starts counting anew.
constexpr Nanos kStable = 30 * kSecond;
constexpr std::size_t kMaxLine = 4096;

Nanos Now() {
  return Clock::System().Monotonic();
}

Result<std::string> FindExecutable(const std::string& wanted) {
  std::vector<std::string> candidates;
  if (!wanted.empty()) {
    candidates = {wanted};
  } else {
    candidates = {"/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"};
    const char* path = std::getenv("PATH");
    std::string_view rest = path == nullptr ? "" : path;
    while (!rest.empty()) {
      const std::size_t colon = rest.find(':');
      const std::string_view folder = rest.substr(0, colon);
      if (folder.starts_with('/')) candidates.push_back(std::string(folder) + "/mosquitto");
      rest = colon == std::string_view::npos ? "" : rest.substr(colon + 1);
    }
  }
  for (const std::string& candidate : candidates) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return Err(NotFoundError(
      wanted.empty() ? "the MQTT broker mosquitto is not installed; run `apt-get install mosquitto`"
                     : "there is no executable " + wanted));
}

Status MakeFolder(const std::string& folder) {
  std::error_code ignored;
  const std::filesystem::path path(folder);
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return ErrnoError(errno, "cannot make the folder " + folder);
  }
  if (::chmod(folder.c_str(), 0700) != 0) return ErrnoError(errno, "cannot use " + folder);
  return OkStatus();
}

std::string UserName() {
  std::array<char, 4096> buffer = {};
  passwd entry = {};
  passwd* found = nullptr;
  if (getpwuid_r(geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
      found != nullptr) {
    return found->pw_name;
  }
  return "root";  // who is asked only where we are root
}

// One number a line; empty where the file is missing or is none of ours.
std::vector<int> ReadPorts(const std::string& path, std::size_t count) {
  const Result<std::string> text = ReadFile(path, 1024);
  if (!text) return {};
  std::vector<int> ports;
  std::string_view rest = *text;
  while (!rest.empty()) {
    int port = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), port);
    if (error != std::errc() || port < 1 || port > 65535) return {};
    ports.push_back(port);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    if (!rest.empty()) rest.remove_prefix(1);
  }
  return ports.size() == count ? ports : std::vector<int>{};
}

Result<std::vector<int>> ChoosePorts(const BrokerOptions& options) {
  const std::string path = options.folder + "/ports";
  const std::vector<int> kept = ReadPorts(path, options.listeners.size());
  std::vector<int> ports;
  std::string text;
  for (std::size_t i = 0; i < options.listeners.size(); ++i) {
    const BrokerListener& listener = options.listeners[i];
    int port = listener.port;
    if (port == 0 && !kept.empty()) port = kept[i];
    if (port == 0) {
      SELVEDGE_ASSIGN_OR_RETURN(port, FindFreePort(listener.address));
    }
    ports.push_back(port);
    text += std::to_string(port) + "\n";
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(path, text));
  return ports;
}

}  // namespace

class BrokerCore {
 public:
  BrokerCore(BrokerOptions options, std::vector<int> ports, std::string executable)
      : options_(std::move(options)), ports_(std::move(ports)), executable_(std::move(executable)) {
    command_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  ~BrokerCore() {
    Stop();
    if (command_ >= 0) close(command_);
  }
  BrokerCore(const BrokerCore&) = delete;
  BrokerCore& operator=(const BrokerCore&) = delete;

  Status Start() {
    if (command_ < 0) return ErrnoError(errno, "cannot make an eventfd");
    SELVEDGE_RETURN_IF_ERROR(WriteSecretFile(AclPath(), options_.acl));
    SELVEDGE_RETURN_IF_ERROR(
        WriteSecretFile(ConfigPath(), BrokerConfig(options_, ports_, AclPath(), UserName())));
    supervisor_ = std::thread([this] { Supervise(); });
    std::unique_lock lock(mutex_);
    started_.wait_for(lock, std::chrono::nanoseconds(kStartTimeout), [this] { return running_; });
    if (running_) return OkStatus();
    std::string reason = last_error_.empty() ? "it did not start in time" : last_error_;
    lock.unlock();
    Stop();
    return UnavailableError("the MQTT broker does not start: " + reason);
  }

  Status SetAcl(const std::string& acl) {
    SELVEDGE_RETURN_IF_ERROR(WriteSecretFile(AclPath(), acl));
    const std::lock_guard lock(mutex_);
    reload_ = true;
    Wake();
    return OkStatus();
  }

  void Stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
      Wake();
    }
    const std::lock_guard one_at_a_time(stop_mutex_);
    if (supervisor_.joinable()) supervisor_.join();
  }

  const std::vector<int>& ports() const { return ports_; }
  bool running() const {
    const std::lock_guard lock(mutex_);
    return running_;
  }
  std::uint64_t restarts() const {
    const std::lock_guard lock(mutex_);
    return restarts_;
  }
  int pid() const {
    const std::lock_guard lock(mutex_);
    return pid_;
  }

 private:
  std::string AclPath() const { return options_.folder + "/acl"; }
  std::string ConfigPath() const { return options_.folder + "/mosquitto.conf"; }

  void Wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(command_, &one, sizeof one);
  }
  bool Stopped() const {
    const std::lock_guard lock(mutex_);
    return stop_;
  }

  void Supervise() {
    Backoff backoff(100 * kMillisecond, 10 * kSecond,
                    [engine = std::mt19937_64(std::random_device{}())]() mutable {
                      return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
                    });
    while (!Stopped()) {
      const Nanos begin = Now();
      RunOnce();
      if (Stopped()) return;
      if (Now() - begin >= kStable) backoff.Reset();
      const Nanos wait = backoff.Next();
      log::Warning(options_.log_name, "the MQTT broker ended; starting it again",
                   {{"reason", LastError()}, {"wait_s", ToSeconds(wait)}});
      pollfd command = {.fd = command_, .events = POLLIN, .revents = 0};
      const Nanos until = Now() + wait;
      while (!Stopped() && Now() < until) {
        poll(&command, 1, static_cast<int>((until - Now()) / kMillisecond) + 1);
        Drain();
      }
    }
  }

  std::string LastError() const {
    const std::lock_guard lock(mutex_);
    return last_error_;
  }

  void Drain() const {
    std::uint64_t ignored = 0;
    [[maybe_unused]] const ssize_t got = read(command_, &ignored, sizeof ignored);
  }

  // Starts the child and returns when it has ended, or was told to.
  void RunOnce() {
    for (std::size_t i = 0; i < ports_.size(); ++i) {
      const Status free = CheckPort(options_.listeners[i].address, ports_[i]);
      if (!free.ok()) return SetError(free.message());
    }
    std::array<int, 2> pipe = {-1, -1};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return SetError(ErrnoError(errno, "pipe").message());
    ChildOptions child_options;
    child_options.program = executable_;
    child_options.arguments = {"-c", ConfigPath()};
    child_options.output_descriptor = pipe[1];
    Result<ChildProcess> child = ChildProcess::Start(child_options);
    close(pipe[1]);
    if (!child) {
      close(pipe[0]);
      return SetError(child.error().message());
    }
    {
      const std::lock_guard lock(mutex_);
      pid_ = child->pid();
      last_error_.clear();
    }
    Watch(&*child, pipe[0]);
    const int code = child->Stop(kStopGrace);
    ReadLines(pipe[0]);
    close(pipe[0]);
    const std::lock_guard lock(mutex_);
    pid_ = 0;
    if (running_) ++restarts_;
    running_ = false;
    if (last_error_.empty()) last_error_ = "it ended with code " + std::to_string(code);
  }

  void SetError(const std::string& message) {
    const std::lock_guard lock(mutex_);
    last_error_ = message;
  }

  void Watch(ChildProcess* child, int output) {
    line_.clear();
    std::array<pollfd, 3> watched = {{{.fd = command_, .events = POLLIN, .revents = 0},
                                      {.fd = output, .events = POLLIN, .revents = 0},
                                      {.fd = child->descriptor(), .events = POLLIN, .revents = 0}}};
    for (;;) {
      if (poll(watched.data(), watched.size(), -1) < 0 && errno != EINTR) return;
      if (watched[1].revents != 0 && !ReadLines(output)) watched[1].fd = -1;
      if (watched[2].revents != 0) return;
      if (watched[0].revents == 0) continue;
      Drain();
      const std::lock_guard lock(mutex_);
      if (stop_) return;
      if (std::exchange(reload_, false)) child->Signal(SIGHUP);
    }
  }

  // What is there to read; false at its end.
  bool ReadLines(int output) {
    std::array<char, 4096> buffer = {};
    pollfd ready = {.fd = output, .events = POLLIN, .revents = 0};
    while (poll(&ready, 1, 0) > 0) {
      const ssize_t size = read(output, buffer.data(), buffer.size());
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return false;
      for (const char c : std::string_view(buffer.data(), static_cast<std::size_t>(size))) {
        if (c == '\n') {
          HandleLine(std::exchange(line_, {}));
        } else if (line_.size() < kMaxLine) {
          line_ += c;
        }
      }
    }
    return true;
  }

  void HandleLine(const std::string& line) {
    if (line.empty()) return;
    const BrokerLogLevel level = LevelOfBrokerLine(line);
    if (SaysRunning(line)) {
      const std::lock_guard lock(mutex_);
      running_ = true;
      started_.notify_all();
    } else if (level == BrokerLogLevel::kError) {
      const std::lock_guard lock(mutex_);
      last_error_ = line;
    }
    if (level == BrokerLogLevel::kDebug) {
      log::Debug(options_.log_name, "mosquitto", {{"line", line}});
    } else if (lines_.Allow(Now())) {
      // Clients can cause such lines at will.
      const log::Fields fields = {{"line", line}, {"left_out", lines_.Suppressed()}};
      level == BrokerLogLevel::kError ? log::Error(options_.log_name, "mosquitto", fields)
                                      : log::Warning(options_.log_name, "mosquitto", fields);
    }
  }

  const BrokerOptions options_;
  const std::vector<int> ports_;
  const std::string executable_;
  int command_ = -1;  // eventfd: look at stop_ and reload_

  std::string line_;  // the supervisor's own
  log::RateLimited lines_{kSecond};

  mutable std::mutex mutex_;
  std::condition_variable started_;
  bool stop_ = false;
  bool reload_ = false;
  bool running_ = false;
  std::uint64_t restarts_ = 0;
  int pid_ = 0;
  std::string last_error_;

  std::mutex stop_mutex_;
  std::thread supervisor_;
};

Result<std::unique_ptr<Broker>> Broker::Start(BrokerOptions options) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckBrokerOptions(options));
  for (const std::string& path : {options.certificate_file, options.key_file, options.ca_file}) {
    if (::access(path.c_str(), R_OK) != 0) return Err(ErrnoError(errno, "cannot read " + path));
  }
  SELVEDGE_ASSIGN_OR_RETURN(std::string executable, FindExecutable(options.executable));
  SELVEDGE_RETURN_ERR_IF_ERROR(MakeFolder(options.folder));
  SELVEDGE_ASSIGN_OR_RETURN(std::vector<int> ports, ChoosePorts(options));
  auto core =
      std::make_unique<BrokerCore>(std::move(options), std::move(ports), std::move(executable));
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Start());
  return std::unique_ptr<Broker>(new Broker(std::move(core)));
}

Broker::Broker(std::unique_ptr<BrokerCore> core) : core_(std::move(core)) {}
Broker::~Broker() = default;

std::vector<int> Broker::ports() const {
  return core_->ports();
}
Status Broker::SetAcl(const std::string& acl) {
  return core_->SetAcl(acl);
}
bool Broker::running() const {
  return core_->running();
}
std::uint64_t Broker::restarts() const {
  return core_->restarts();
}
int Broker::pid() const {
  return core_->pid();
}
void Broker::Stop() {
  core_->Stop();
}

}  // namespace selvedge
