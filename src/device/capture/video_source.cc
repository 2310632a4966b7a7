// VideoSource and the supervisor's half of its Core: opening, watching, coming back, ending.

#include "device/capture/video_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "device/capture/video_core.h"

namespace selvedge {
namespace {

// How long closing a pipeline, and Stop as a whole, may take before it is left behind.
constexpr Nanos kCloseLimit = 2 * kSecond;
// An HTTP file may take longer to begin than a live source may stay silent.
constexpr Nanos kOpenLimit = 15 * kSecond;
constexpr std::size_t kPasswordLimit = 4096;

std::function<double()> Jitter() {
  return [engine = std::minstd_rand(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0, 1)(engine);
  };
}

bool IsLiveKind(SourceKind kind) {
  return kind == SourceKind::kRtsp || kind == SourceKind::kHttpLive || kind == SourceKind::kCamera;
}

// A RIFF file (AVI) that is shorter than its header says: the demuxer would end it without a word.
bool IsCutOffRiff(const std::string& path, std::uint64_t size) {
  std::array<unsigned char, 8> head = {};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(head.data()), head.size())) return false;
  if (std::memcmp(head.data(), "RIFF", 4) != 0) return false;
  const std::uint64_t told = head[4] | head[5] << 8 | head[6] << 16 | std::uint64_t{head[7]} << 24;
  return size < told + 8;
}

// What can be said about a file before GStreamer opens it, more clearly than GStreamer would.
Status CheckFile(const std::string& path) {
  struct stat info = {};
  const std::string what = "video file " + path;
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return NotFoundError(what + " does not exist; check source.uri");
    }
    return ErrnoError(errno, what + " cannot be opened");
  }
  if (!S_ISREG(info.st_mode)) {
    return InvalidArgumentError(what +
                                " is no regular file; give a video file or a folder of pictures");
  }
  if (info.st_size == 0) return InvalidArgumentError(what + " is empty; give a video");
  if (IsCutOffRiff(path, static_cast<std::uint64_t>(info.st_size))) {
    log::Warning("capture", "the file is shorter than its header says; it seems to be cut off",
                 {{"source", path}, {"bytes", info.st_size}});
  }
  return OkStatus();
}

}  // namespace

VideoSource::Core::Core(SourceOptions options, SourceUri uri, const Clock& clock,
                        const ElementCatalog& catalog)
    : options_(std::move(options)),
      uri_(std::move(uri)),
      catalog_(catalog),
      live_(IsLiveKind(uri_.kind)),
      delivery_(clock),
      backoff_(options_.backoff_first, options_.backoff_max, Jitter()),
      hardware_(options_.hardware),
      pacer_(options_.speed),
      limit_(options_.fps) {}

Status VideoSource::Core::ReadCredentials(Session::Parameters* parameters) const {
  parameters->user = options_.user.empty() ? uri_.user : options_.user;
  parameters->password = uri_.password;
  if (options_.password_file.empty()) return OkStatus();
  auto text = ReadFile(options_.password_file, kPasswordLimit);
  if (!text) return text.error().WithContext("source.password_file");
  parameters->password = text->substr(0, text->find_first_of("\r\n"));
  return OkStatus();
}

std::shared_ptr<Session> VideoSource::Core::MakeSession() {
  Session::Parameters parameters{options_, uri_, "", "", hardware_, &catalog_};
  if (const Status status = ReadCredentials(&parameters); !status.ok()) {
    log::Warning("capture", "no password", {{"source", uri_.shown}, {"reason", status.message()}});
  }
  auto session = std::make_shared<Session>(
      std::move(parameters), [core = shared_from_this()](Session& from, GstSample* sample) {
        return core->OnSample(from, sample);
      });
  opened_.store(false);
  base_time_ = -1;
  caps_.reset();
  timeline_.Rewind();
  frames_before_ = delivery_.frames();
  last_frame_.store(delivery_.clock().Monotonic());
  const std::lock_guard lock(mutex_);
  session_ = session;
  return session;
}

void VideoSource::Core::Run() {
  for (Next next = Next::kAgain; next == Next::kAgain && !delivery_.stopping();) {
    const std::shared_ptr<Session> session = MakeSession();
    Status status = uri_.kind == SourceKind::kPath ? CheckFile(uri_.location) : OkStatus();
    if (status.ok()) status = session->Open();
    if (status.ok()) status = Watch(*session);
    const bool hardware = session->UsesHardware();
    CloseSession(*session);
    if (delivery_.stopping()) break;
    next = status.ok() ? AfterEnd() : AfterError(status, hardware);
  }
  const std::lock_guard lock(mutex_);
  if (!started_)
    started_ = CancelledError("source " + uri_.shown + " was stopped while it started");
  session_.reset();
  finished_ = true;
  changed_.notify_all();
}

Status VideoSource::Core::Watch(Session& session) {
  bool noted = false;
  const Nanos begin = delivery_.clock().Monotonic();
  while (!delivery_.stopping()) {
    Nanos wait = -1;
    const Nanos now = delivery_.clock().Monotonic();
    if (live_) {
      wait = last_frame_.load() + options_.timeout - now;
    } else if (!opened_.load() && uri_.kind == SourceKind::kHttpFile) {
      wait = begin + std::max(options_.timeout, kOpenLimit) - now;
    }
    if (wait != -1 && wait <= 0) {
      return DeadlineExceededError("source " + uri_.shown + " gave no picture for " +
                                   std::to_string(std::lround(ToSeconds(options_.timeout))) +
                                   " s; check the device, the network and the stream's path");
    }
    const Session::Event event = session.Wait(wait < 0 ? -1 : delivery_.Slice(wait));
    if (opened_.load() && !std::exchange(noted, true)) NoteOpened(session);
    if (event == Session::Event::kEnd) return OkStatus();
    if (event == Session::Event::kError) return session.error();
  }
  return OkStatus();
}

void VideoSource::Core::NoteOpened(Session& session) {
  const std::string description = session.Describe();
  std::uint64_t expected = 0;
  if (uri_.kind == SourceKind::kTest) {
    expected = static_cast<std::uint64_t>(uri_.test.frames);
  } else if (const Nanos step = nominal_step_.load(); !live_ && step > 0) {
    expected =
        static_cast<std::uint64_t>(std::llround(static_cast<double>(session.Duration()) / step));
  }
  if (!options_.loop) expected_.store(expected, std::memory_order_relaxed);
  backoff_.Reset();
  if (lost_) {
    delivery_.CountReconnect();
    log::Info("capture", "source is back",
              {{"source", uri_.shown},
               {"away_s", ToSeconds(delivery_.clock().Monotonic() - lost_since_)}});
  }
  const bool first = !std::exchange(connected_once_, true);
  lost_ = false;
  last_error_.clear();
  {
    const std::lock_guard lock(mutex_);
    description_ = description;
    noted_ = true;
    changed_.notify_all();
  }
  if (first)
    log::Info("capture", "source opened", {{"source", uri_.shown}, {"pipeline", description}});
}

void VideoSource::Core::CloseSession(Session& session) {
  while (!session.Close(kCloseLimit)) {
    // A callback that runs is never left behind: the next session's must not overlap it.
    if (delivery_.busy()) continue;
    log::Warning("capture", "a pipeline does not stop; left behind", {{"source", uri_.shown}});
    break;
  }
  delivery_.SettleThread();
}

VideoSource::Core::Next VideoSource::Core::Finish(Status status) {
  bool starting = false;
  {
    const std::lock_guard lock(mutex_);
    starting = !started_;
    if (starting) started_ = status;
    changed_.notify_all();
  }
  if (!starting) delivery_.End(std::move(status));
  return Next::kDone;
}

void VideoSource::Core::WarnIfCutOff() const {
  const std::uint64_t got = delivery_.frames();
  const std::uint64_t expected = expected_.load();
  // Containers count a frame more or less; a tenth is no rounding.
  if (options_.fps > 0 || expected == 0 || got + expected / 10 >= expected) return;
  log::Warning("capture", "the video ends before its time; it seems to be cut off",
               {{"source", uri_.shown}, {"frames", got}, {"expected", expected}});
}

VideoSource::Core::Next VideoSource::Core::AfterEnd() {
  if (live_) {
    return Reconnect(
        UnavailableError("source " + uri_.shown + " ended the stream; check the device"));
  }
  if (!opened_.load()) {
    return Finish(DataLossError("no picture of " + uri_.shown +
                                " could be decoded; it is damaged or holds no video"));
  }
  if (options_.loop) return Next::kAgain;
  WarnIfCutOff();
  return Finish(OkStatus());
}

VideoSource::Core::Next VideoSource::Core::AfterError(const Status& error, bool used_hardware) {
  if (used_hardware && !opened_.load() && hardware_) {
    log::Warning("capture", "the hardware decoder fails; decoding in software",
                 {{"source", uri_.shown}, {"reason", error.message()}});
    hardware_ = false;
    return Next::kAgain;
  }
  if (live_) return Reconnect(error);
  if (opened_.load() && error.code() == StatusCode::kDataLoss) {
    // Cut off in the middle of a frame or an index: what was there has been seen.
    log::Warning("capture", "the video breaks off",
                 {{"source", uri_.shown}, {"reason", error.message()}});
    return options_.loop ? Next::kAgain : Finish(OkStatus());
  }
  return Finish(error);
}

VideoSource::Core::Next VideoSource::Core::Reconnect(const Status& error) {
  if (options_.fail_fast && !connected_once_) return Finish(error);
  const Nanos now = delivery_.clock().Monotonic();
  if (connected_once_ && !std::exchange(lost_, true)) lost_since_ = now;
  const Nanos wait = backoff_.Next();
  // The same reason over and over is told once.
  if (error.message() != last_error_) {
    last_error_ = error.message();
    log::Warning(
        "capture",
        connected_once_ ? "source lost; trying again" : "source not reached; trying again",
        {{"source", uri_.shown}, {"reason", error.message()}, {"wait_s", ToSeconds(wait)}});
  }
  return delivery_.SleepUntil(now + wait) ? Next::kAgain : Next::kDone;
}

Status VideoSource::Core::AwaitStart() {
  std::unique_lock lock(mutex_);
  // A good start is told once ExpectedFrames and Describe know it too.
  changed_.wait(lock, [this] {
    return started_ && (!started_->ok() || noted_ || finished_ || delivery_.stopping());
  });
  return *started_;
}

void VideoSource::Core::Wake() {
  const std::lock_guard lock(mutex_);
  if (session_ != nullptr) session_->Interrupt();
  if (!started_)
    started_ = CancelledError("source " + uri_.shown + " was stopped while it started");
  changed_.notify_all();
}

bool VideoSource::Core::AwaitFinish(Nanos limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::nanoseconds(limit), [this] { return finished_; });
}

std::string VideoSource::Core::Describe() const {
  const std::lock_guard lock(mutex_);
  if (!description_.empty()) return description_;
  return session_ != nullptr ? session_->Describe() : uri_.shown;
}

VideoSource::VideoSource(SourceOptions options, SourceUri uri, const Clock& clock,
                         const ElementCatalog& catalog)
    : core_(std::make_shared<Core>(std::move(options), std::move(uri), clock, catalog)) {}

VideoSource::~VideoSource() {
  Stop();
  if (supervisor_.joinable()) supervisor_.detach();
}

Status VideoSource::Start(OnFrame on_frame, OnEnd on_end) {
  {
    const std::lock_guard lock(stop_mutex_);
    if (supervisor_.joinable() || core_->delivery().stopping()) {
      return FailedPreconditionError("a source starts once; make a new one");
    }
    core_->delivery().Begin(std::move(on_frame), std::move(on_end));
    supervisor_ = std::thread([core = core_] { core->Run(); });
  }
  if (core_->live() && !core_->fail_fast()) return OkStatus();
  return core_->AwaitStart();
}

void VideoSource::Stop() {
  core_->delivery().BeginStop();
  core_->Wake();
  core_->delivery().WaitIdle();
  // From a callback: the rest of the stop goes on behind it.
  if (core_->delivery().IsCallbackThread()) return;
  const std::lock_guard lock(stop_mutex_);
  if (!supervisor_.joinable()) return;
  if (core_->AwaitFinish(kCloseLimit + kSecond / 2)) {
    supervisor_.join();
  } else {
    supervisor_.detach();
  }
}

SourceStats VideoSource::Stats() const {
  return core_->delivery().Stats();
}

std::string VideoSource::Describe() const {
  return core_->Describe();
}

bool VideoSource::IsLive() const {
  return core_->live();
}

std::uint64_t VideoSource::ExpectedFrames() const {
  return core_->ExpectedFrames();
}

}  // namespace selvedge
