#include "device/publish/event_log.h"

#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "base/log.h"

namespace selvedge {
namespace {

constexpr std::uint64_t kMaxBatchBytes = 256 * 1024;
// poll(2) promises room for this much in a pipe or terminal, not for more.
constexpr std::uint64_t kMaxPipeBytes = 4096;
constexpr int kPollMillis = 100;
constexpr Nanos kRepeatTrouble = 60 * kSecond;

Nanos Now() {
  return Clock::System().Monotonic();
}

// A semaphore with a timed wait on the monotonic clock; Post is a system call only if somebody
// waits.
class Semaphore {
 public:
  Semaphore() { sem_init(&semaphore_, 0, 0); }
  ~Semaphore() { sem_destroy(&semaphore_); }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;

  void Post() { sem_post(&semaphore_); }
  void Wait() {
    while (sem_wait(&semaphore_) != 0 && errno == EINTR) {
    }
  }
  // False once `deadline` (Clock::Monotonic) has passed.
  bool WaitUntil(Nanos deadline) {
    const timespec until{deadline / kSecond, deadline % kSecond};
    int result = 0;
    do {
      result = sem_clockwait(&semaphore_, CLOCK_MONOTONIC, &until);
    } while (result != 0 && errno == EINTR);
    return result == 0;
  }

 private:
  sem_t semaphore_;
};

}  // namespace

struct EventLog::State {
  State(std::string name_in, std::string path_in, const EventLogOptions& options_in)
      : name(std::move(name_in)),
        path(std::move(path_in)),
        options(options_in),
        capacity(std::bit_ceil(std::max<std::size_t>(options_in.ring_bytes, 64))),
        ring(new char[capacity]) {}
  ~State() {
    if (fd >= 0 && !path.empty()) close(fd);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  // Producer.
  bool Offer(std::string_view line);
  void CopyIn(std::uint64_t at, std::string_view bytes);

  // Writer thread.
  void Run();
  void Gather();
  bool Drain();
  std::uint64_t NextEnd(std::uint64_t from, std::uint64_t head);
  ssize_t WriteSpan(std::uint64_t from, std::uint64_t end);
  bool WaitWritable();
  void Note(std::uint64_t from, std::uint64_t end);
  void Trouble(int error);
  void ReportLosses();
  void Rotate();
  void Finish();
  std::uint64_t CountLines(std::uint64_t from, std::uint64_t end) const;
  char At(std::uint64_t position) const { return ring[position & (capacity - 1)]; }
  bool GiveUp() const { return closing.load() && Now() >= close_deadline.load(); }

  const std::string name;
  const std::string path;  // empty for stdout, which is not ours to close, cut or rename
  const EventLogOptions options;
  const std::uint64_t capacity;  // a power of two
  const std::unique_ptr<char[]> ring;

  // Positions grow for ever; [tail, head) waits in the ring.
  alignas(64) std::atomic<std::uint64_t> head{0};
  alignas(64) std::atomic<std::uint64_t> tail{0};
  std::atomic<bool> idle{false};    // the writer waits for a first line
  std::atomic<bool> urgent{false};  // the writer was told not to gather longer
  std::atomic<bool> dead{false};    // the reader is gone for good
  std::atomic<bool> closing{false};
  std::atomic<Nanos> close_deadline{0};
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> lost{0};
  Semaphore wake;
  Semaphore done;

  // Writer thread.
  int fd = -1;
  bool regular = false;
  std::int64_t file_bytes = 0;
  std::int64_t partial_bytes = 0;  // of a line that is not complete in the file
  bool in_trouble = false;
  std::uint64_t lost_reported = 0;
  Nanos next_rotation = 0;
  log::RateLimited trouble_log{kRepeatTrouble};
  log::RateLimited loss_log{10 * kSecond};

  std::thread thread;
  bool closed = false;
  Status close_status;
};

// ---- Producer ---------------------------------------------------------------------------------

void EventLog::State::CopyIn(std::uint64_t at, std::string_view bytes) {
  const std::uint64_t offset = at & (capacity - 1);
  const std::uint64_t first = std::min<std::uint64_t>(bytes.size(), capacity - offset);
  std::memcpy(ring.get() + offset, bytes.data(), first);
  std::memcpy(ring.get(), bytes.data() + first, bytes.size() - first);
}

bool EventLog::State::Offer(std::string_view line) {
  const std::uint64_t begin = head.load(std::memory_order_relaxed);
  const std::uint64_t used = begin - tail.load(std::memory_order_acquire);
  if (line.size() >= capacity - used || dead.load(std::memory_order_relaxed) ||
      closing.load(std::memory_order_relaxed) || line.find('\n') != std::string_view::npos) {
    lost.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  CopyIn(begin, line);
  CopyIn(begin + line.size(), "\n");
  // Sequentially consistent, as are the writer's store to `idle` and its second look at `head`: one
  // of the two sees the other.
  head.store(begin + line.size() + 1, std::memory_order_seq_cst);
  if (idle.load(std::memory_order_seq_cst) && idle.exchange(false)) {
    wake.Post();
  } else if (used + line.size() > capacity / 2 && !urgent.exchange(true)) {
    wake.Post();
  }
  return true;
}

// ---- Writer thread ----------------------------------------------------------------------------

void EventLog::State::Run() {
  while (!closing.load() || head.load() != tail.load()) {
    Gather();
    if (Drain()) continue;
    if (closing.load()) break;
    const Nanos retry = Now() + options.retry_interval;
    while (!closing.load() && (wake.WaitUntil(retry) || Now() < retry)) {
    }
  }
  Finish();
  done.Post();
}

// Waits for a first line, then a little longer so that one write takes many.
void EventLog::State::Gather() {
  if (head.load() == tail.load()) {
    idle.store(true, std::memory_order_seq_cst);
    if (head.load(std::memory_order_seq_cst) == tail.load() && !closing.load()) wake.Wait();
    idle.store(false);
  }
  const Nanos until = Now() + options.flush_interval;
  while (!closing.load() && head.load() - tail.load() <= capacity / 2 && wake.WaitUntil(until)) {
  }
  urgent.store(false);
}

// Writes all that waits; false where it could not.
bool EventLog::State::Drain() {
  for (;;) {
    const std::uint64_t from = tail.load(std::memory_order_relaxed);
    const std::uint64_t until = head.load(std::memory_order_acquire);
    if (dead.load()) {
      lost.fetch_add(CountLines(from, until));
      tail.store(until, std::memory_order_release);
      return true;
    }
    ReportLosses();
    if (from == until) return true;
    const std::uint64_t end = NextEnd(from, until);
    const ssize_t bytes = WriteSpan(from, end);
    if (bytes < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      if (error == EAGAIN && !GiveUp()) {
        // A terminal that was promised room and has none: no reason to spin.
        wake.WaitUntil(Now() + 10 * kMillisecond);
        continue;
      }
      if (error == ETIMEDOUT && GiveUp()) return false;  // Close says what was lost
      Trouble(error);
      if (!dead.load()) return false;
      continue;
    }
    Note(from, from + static_cast<std::uint64_t>(bytes));
    if (bytes > 0 && in_trouble) {
      in_trouble = false;
      log::Info("events", "writing again",
                {{"to", name}, {"lost", lost.load(std::memory_order_relaxed)}});
    }
  }
}

// Where the next write ends: with a cap on the file, after a whole line that still fits.
std::uint64_t EventLog::State::NextEnd(std::uint64_t from, std::uint64_t head_now) {
  const std::uint64_t most = std::min(head_now, from + kMaxBatchBytes);
  if (!regular || path.empty() || options.max_bytes <= 0) return most;
  if (partial_bytes == 0) {
    std::uint64_t line_end = from;
    while (At(line_end) != '\n') ++line_end;
    ++line_end;
    if (file_bytes > 0 &&
        file_bytes + static_cast<std::int64_t>(line_end - from) > options.max_bytes &&
        Now() >= next_rotation) {
      Rotate();
    }
  }
  const std::int64_t room = std::max<std::int64_t>(options.max_bytes - file_bytes, 0);
  if (most - from <= static_cast<std::uint64_t>(room)) return most;
  std::uint64_t end = from + static_cast<std::uint64_t>(room);
  while (end > from && At(end - 1) != '\n') --end;
  if (end > from) return end;
  // One line larger than the cap, or the rest of one begun: it is written all the same.
  while (At(end) != '\n') ++end;
  return end + 1;
}

ssize_t EventLog::State::WriteSpan(std::uint64_t from, std::uint64_t end) {
  if (!regular) {
    if (!WaitWritable()) return -1;
    end = std::min(end, from + kMaxPipeBytes);
  }
  const std::uint64_t offset = from & (capacity - 1);
  const std::uint64_t first = std::min(end - from, capacity - offset);
  iovec parts[2] = {{ring.get() + offset, first}, {ring.get(), end - from - first}};
  return writev(fd, parts, parts[1].iov_len > 0 ? 2 : 1);
}

// Waits for room in a pipe, so that a write does not block and Close stays bounded.
bool EventLog::State::WaitWritable() {
  for (;;) {
    pollfd waiting{fd, POLLOUT, 0};
    const int ready = poll(&waiting, 1, kPollMillis);
    if (ready > 0) return true;  // an error shows itself in the write
    if (ready < 0 && errno != EINTR) return false;
    ReportLosses();
    if (GiveUp()) {
      errno = ETIMEDOUT;
      return false;
    }
  }
}

// Books [from, end) as written.
void EventLog::State::Note(std::uint64_t from, std::uint64_t end) {
  written.fetch_add(CountLines(from, end), std::memory_order_relaxed);
  file_bytes += static_cast<std::int64_t>(end - from);
  std::uint64_t begin = end;
  while (begin > from && At(begin - 1) != '\n') --begin;
  partial_bytes = static_cast<std::int64_t>(end - begin) + (begin == from ? partial_bytes : 0);
  tail.store(end, std::memory_order_release);
}

void EventLog::State::Trouble(int error) {
  in_trouble = true;
  if (error == EPIPE || error == EBADF) {
    dead.store(true);
    log::Warning("events", "the reader is gone: further events are lost", {{"to", name}});
    return;
  }
  if (!trouble_log.Allow(Now())) return;
  log::Warning("events",
               "cannot write events: they wait in memory and are lost once that is full; free some "
               "space or repair the disk",
               {{"to", name},
                {"error", std::strerror(error)},
                {"lost", lost.load(std::memory_order_relaxed)}});
}

void EventLog::State::ReportLosses() {
  const std::uint64_t total = lost.load(std::memory_order_relaxed);
  if (total == lost_reported || dead.load() || !loss_log.Allow(Now())) return;
  log::Warning("events", "events were lost: there was no room for them in the time they came",
               {{"to", name}, {"lost", total - lost_reported}, {"lost_in_all", total}});
  lost_reported = total;
}

void EventLog::State::Rotate() {
  const auto numbered = [&](int n) { return path + "." + std::to_string(n); };
  if (options.keep_files <= 0) {
    if (ftruncate(fd, 0) == 0) file_bytes = 0;
    return;
  }
  for (int n = options.keep_files - 1; n >= 1; --n) {
    std::rename(numbered(n).c_str(), numbered(n + 1).c_str());
  }
  int fresh = -1;
  if (std::rename(path.c_str(), numbered(1).c_str()) == 0) {
    fresh = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }
  if (fresh < 0) {
    // Goes on with the file it has, beyond its cap rather than losing events.
    next_rotation = Now() + kRepeatTrouble;
    log::Warning("events", "cannot begin a new file: the old one goes on growing",
                 {{"to", name}, {"error", std::strerror(errno)}});
    return;
  }
  close(fd);
  fd = fresh;
  file_bytes = 0;
}

// What could not be written is lost; a line cut in half does not stay.
void EventLog::State::Finish() {
  const std::uint64_t from = tail.load();
  const std::uint64_t end = head.load();
  lost.fetch_add(CountLines(from, end));
  tail.store(end);
  struct stat info{};
  if (partial_bytes > 0 && regular && !path.empty() && fstat(fd, &info) == 0 &&
      info.st_size >= partial_bytes && ftruncate(fd, info.st_size - partial_bytes) != 0) {
    log::Warning("events", "the last line of the file is incomplete", {{"to", name}});
  }
}

std::uint64_t EventLog::State::CountLines(std::uint64_t from, std::uint64_t end) const {
  std::uint64_t lines = 0;
  while (from < end) {
    const std::uint64_t offset = from & (capacity - 1);
    const std::uint64_t part = std::min(end - from, capacity - offset);
    lines += static_cast<std::uint64_t>(
        std::count(ring.get() + offset, ring.get() + offset + part, '\n'));
    from += part;
  }
  return lines;
}

// ---- EventLog ---------------------------------------------------------------------------------

namespace {

// Where the last whole line of a file of `size` bytes ends; 0 where there is none.
Result<std::int64_t> EndOfLastLine(int fd, std::int64_t size, const std::string& path) {
  char block[4096];
  while (size > 0) {
    const std::int64_t begin = std::max<std::int64_t>(0, size - static_cast<long>(sizeof block));
    const ssize_t got = pread(fd, block, static_cast<std::size_t>(size - begin), begin);
    if (got != size - begin) return Err(ErrnoError(errno, "events: cannot read " + path));
    const void* newline = memrchr(block, '\n', static_cast<std::size_t>(got));
    if (newline != nullptr) return begin + (static_cast<const char*>(newline) - block) + 1;
    size = begin;
  }
  return 0;
}

// Refuses to write into what is no file of ours, and cuts a half line that a power cut left behind.
// The size after that.
Result<std::int64_t> PrepareFile(int fd, std::int64_t size, const std::string& path, bool append) {
  if (size == 0) return 0;
  const int reader = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (reader < 0) return Err(ErrnoError(errno, "events: cannot read " + path));
  char first = 0;
  const bool readable = pread(reader, &first, 1, 0) == 1;
  Result<std::int64_t> keep = append ? EndOfLastLine(reader, size, path) : 0;
  close(reader);
  if (!readable || first != '{') {
    return Err(InvalidArgumentError("events: " + path +
                                    " exists and holds no JSON lines: choose another name for the "
                                    "event file, or remove it"));
  }
  if (!keep || *keep == size) return keep;
  if (append) {
    log::Warning("events", "cut an incomplete last line that an earlier run left",
                 {{"file", path}, {"bytes", size - *keep}});
  }
  if (ftruncate(fd, *keep) != 0) return Err(ErrnoError(errno, "events: cannot shorten " + path));
  return keep;
}

}  // namespace

EventLog::EventLog(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<EventLog>> EventLog::Open(const std::string& path,
                                                 const EventLogOptions& options) {
  const bool to_stdout = path == "-";
  auto state = std::make_shared<State>(to_stdout ? "stdout" : path, to_stdout ? "" : path, options);
  if (to_stdout) {
    state->fd = STDOUT_FILENO;
  } else {
    // Non-blocking, so that a pipe without a reader is an error at once and not a wait for ever.
    state->fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (state->fd < 0 && errno == ENXIO) {
      return Err(UnavailableError("events: nobody reads the pipe " + path + " yet"));
    }
    if (state->fd < 0) return Err(ErrnoError(errno, "events: cannot open " + path));
  }
  struct stat info{};
  if (fstat(state->fd, &info) != 0) {
    return Err(ErrnoError(errno, "events: cannot write to " + state->name));
  }
  state->regular = S_ISREG(info.st_mode);
  if (state->regular && !to_stdout) {
    SELVEDGE_ASSIGN_OR_RETURN(state->file_bytes,
                              PrepareFile(state->fd, info.st_size, path, options.append));
  }
  // Signals are for the main thread; SIGPIPE and SIGXFSZ come back as errors of the write.
  sigset_t all;
  sigset_t previous;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &previous);
  state->thread = std::thread([shared = state] {
    pthread_setname_np(pthread_self(), "events");
    shared->Run();
  });
  pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  return std::unique_ptr<EventLog>(new EventLog(std::move(state)));
}

EventLog::~EventLog() {
  if (state_->closed) return;  // its owner knows how that went
  if (const Status status = Close(); !status.ok()) log::Warning("events", status.message());
}

bool EventLog::Offer(std::string_view line) {
  return state_->Offer(line);
}

Status EventLog::Close() {
  State& state = *state_;
  if (state.closed) return state.close_status;
  state.closed = true;
  const Nanos deadline = Now() + state.options.close_timeout;
  state.close_deadline = deadline;
  state.closing = true;
  state.wake.Post();
  // The writer looks at the deadline itself, unless the kernel holds it in a write.
  if (state.done.WaitUntil(deadline + 500 * kMillisecond)) {
    state.thread.join();
  } else {
    state.thread.detach();
    state.close_status = DataLossError("events: " + state.name + " hangs: what waited is lost");
    return state.close_status;
  }
  if (const std::uint64_t lost = state.lost.load(); lost > 0) {
    state.close_status = DataLossError("events: " + std::to_string(lost) + " of " +
                                       std::to_string(lost + state.written.load()) + " lines for " +
                                       state.name + " were lost");
  }
  return state.close_status;
}

std::uint64_t EventLog::written() const {
  return state_->written.load(std::memory_order_relaxed);
}
std::uint64_t EventLog::lost() const {
  return state_->lost.load(std::memory_order_relaxed);
}
const std::string& EventLog::name() const {
  return state_->name;
}

}  // namespace selvedge
