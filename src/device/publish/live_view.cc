#include "device/publish/live_view.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <semaphore>
#include <thread>
#include <utility>

#include "base/log.h"
#include "device/publish/jpeg_encoder.h"
#include "device/publish/live_page.h"
#include "device/publish/raw_picture.h"
#include "device/publish/recent_lines.h"

namespace selvedge {
namespace {

constexpr std::string_view kStreamType = "multipart/x-mixed-replace; boundary=selvedge-picture";
// Each part ends with the boundary of the next: browsers show a part once they see it.
constexpr std::string_view kBoundary = "--selvedge-picture\r\n";
constexpr std::size_t kUsualTracks = 512;
constexpr std::size_t kMaxOverlays = 64;
// Below inference and everything else of ours: pictures are for people.
constexpr int kNiceness = 10;

std::shared_ptr<const std::string> MakePart(std::string_view jpeg, Nanos age) {
  auto part = std::make_shared<std::string>();
  part->reserve(jpeg.size() + 128);
  part->append("Content-Type: image/jpeg\r\nContent-Length: ");
  part->append(std::to_string(jpeg.size())).append("\r\nX-Age-Ms: ");
  part->append(std::to_string(age / kMillisecond)).append("\r\n\r\n").append(jpeg);
  part->append("\r\n").append(kBoundary);
  return part;
}

HttpResponse NoPicture() {
  HttpResponse response;
  response.status = 503;
  response.body = "there is no picture: the live view has stopped\n";
  return response;
}

HttpResponse NotForOthers() {
  HttpResponse response;
  response.status = 404;
  response.body = "there is no such page\n";
  return response;
}

HttpResponse PageResponse() {
  HttpResponse response;
  response.content_type = "text/html; charset=utf-8";
  response.body = std::string(kLivePage);
  // The page asks for nothing but this server, is shown in no other page, and sends no forms.
  response.headers.emplace_back("Content-Security-Policy",
                                "default-src 'none'; img-src 'self' data: blob:; "
                                "connect-src 'self'; style-src 'unsafe-inline'; "
                                "script-src 'unsafe-inline'; frame-ancestors 'none'; "
                                "base-uri 'none'; form-action 'none'");
  response.headers.emplace_back("Referrer-Policy", "no-referrer");
  return response;
}

Status Validate(const LiveViewOptions& options) {
  if (!(options.fps >= 0.1 && options.fps <= 60)) {
    return InvalidArgumentError("live view: fps must be between 0.1 and 60");
  }
  if (options.max_width < 160 || options.max_width > 3840) {
    return InvalidArgumentError("live view: the width must be between 160 and 3840 pixels");
  }
  if (options.jpeg_quality < 1 || options.jpeg_quality > 100) {
    return InvalidArgumentError("live view: the JPEG quality must be between 1 and 100");
  }
  if (options.overlays.size() > kMaxOverlays) {
    return InvalidArgumentError("live view: at most 64 zones and lines can be drawn");
  }
  return OkStatus();
}

}  // namespace

bool IsOfThisMachine(std::string_view remote) {
  return remote.starts_with("127.") || remote.starts_with("[::1]:") ||
         remote.starts_with("[::ffff:127.");
}

struct LiveView::State {
  State(LiveViewOptions options_in, const Clock& clock_in)
      : options(std::move(options_in)),
        clock(clock_in),
        interval(FromSeconds(1 / options.fps)),
        stream(std::make_shared<HttpStream>(std::string(kStreamType), std::string(kBoundary))) {
    tracks.reserve(kUsualTracks);
  }

  bool on() const { return options.enabled || options.for_agent; }
  bool Due();
  void Run();
  void Encode();
  void AddWaiter(HttpReply reply);
  void AnswerWaiters(const HttpResponse& response);
  HttpResponse EventsResponse() const;

  LiveViewOptions options;
  const Clock& clock;
  const Nanos interval;
  const std::shared_ptr<HttpStream> stream;
  RecentLines recent;

  // One picture between Show and the thread: Show fills it while `busy` is false, the thread owns
  // it while true.
  std::atomic<bool> busy{false};
  RawPicture raw;
  Tracks tracks;
  Nanos captured = 0;
  std::counting_semaphore<4> full{0};  // one picture and one Stop at most
  Nanos next_due = 0;                  // decision thread

  // Requests for one picture.
  std::atomic<int> waiting{0};
  std::mutex waiters_mutex;
  std::vector<HttpReply> waiters;
  bool stopped = false;  // under waiters_mutex

  std::atomic<bool> stopping{false};
  std::atomic<std::uint64_t> shown{0};
  std::atomic<std::uint64_t> skipped{0};
  std::atomic<std::uint64_t> failed{0};
  I420Image picture;
  JpegEncoder encoder;  // the thread's
  log::RateLimited copy_log{10 * kSecond};
  log::RateLimited encode_log{10 * kSecond};
  std::thread thread;
};

// Keeps to the wanted rate on average, although frames come at times of their own.
bool LiveView::State::Due() {
  const Nanos now = clock.Monotonic();
  if (now < next_due - interval / 4) return false;
  next_due = std::max(next_due, now - interval) + interval;
  return true;
}

void LiveView::State::Run() {
  pthread_setname_np(pthread_self(), "live-view");
  // Per thread on Linux. Where it is refused the view only costs a little more.
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kNiceness);
  for (;;) {
    full.acquire();
    if (stopping.load()) return;
    Encode();
    busy.store(false, std::memory_order_release);
  }
}

void LiveView::State::Encode() {
  Status status = picture.CopyFrom(raw.view(), options.max_width);
  Result<std::string_view> jpeg = std::string_view();
  if (status.ok()) {
    Annotate(std::span<const Track>(tracks), options.labels, options.overlays, &picture);
    jpeg = encoder.Encode(options.jpeg_quality, &picture);
    if (!jpeg) status = jpeg.error();
  }
  if (!status.ok()) {
    failed.fetch_add(1, std::memory_order_relaxed);
    if (encode_log.Allow(clock.Monotonic())) {
      log::Warning("live", "a picture could not be encoded", {{"error", status.message()}});
    }
    return;
  }
  stream->Publish(MakePart(*jpeg, clock.Monotonic() - captured));
  if (waiting.load() > 0) {
    HttpResponse response;
    response.content_type = "image/jpeg";
    response.body = std::string(*jpeg);
    AnswerWaiters(response);
  }
  shown.fetch_add(1, std::memory_order_relaxed);
}

void LiveView::State::AddWaiter(HttpReply reply) {
  {
    std::lock_guard lock(waiters_mutex);
    if (!stopped) {
      waiters.push_back(std::move(reply));
      waiting.store(static_cast<int>(waiters.size()));
      return;
    }
  }
  reply(NoPicture());
}

void LiveView::State::AnswerWaiters(const HttpResponse& response) {
  std::vector<HttpReply> replies;
  {
    std::lock_guard lock(waiters_mutex);
    replies.swap(waiters);
    waiting.store(0);
  }
  for (const HttpReply& reply : replies) reply(response);
}

HttpResponse LiveView::State::EventsResponse() const {
  HttpResponse response;
  response.content_type = "application/json";
  response.body = "[";
  for (const std::string& line : recent.Read()) {
    if (response.body.size() > 1) response.body += ",\n";
    response.body += line;
  }
  response.body += "]";
  return response;
}

LiveView::LiveView(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<LiveView>> LiveView::Create(LiveViewOptions options, const Clock& clock) {
  SELVEDGE_RETURN_ERR_IF_ERROR(Validate(options));
  auto state = std::make_shared<State>(std::move(options), clock);
  if (state->on()) {
    sigset_t all;
    sigset_t previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    // The owner joins it before it lets go of the state.
    state->thread = std::thread([raw = state.get()] { raw->Run(); });
    pthread_sigmask(SIG_SETMASK, &previous, nullptr);
  }
  return std::unique_ptr<LiveView>(new LiveView(std::move(state)));
}

LiveView::~LiveView() {
  Stop();
}

void LiveView::AddRoutes(HttpServer* server) {
  if (state_->on()) {
    server->HandleLater("GET", "/snapshot.jpg",
                        [state = state_](const HttpRequest& request, HttpReply reply) {
                          if (!state->options.enabled && !IsOfThisMachine(request.remote)) {
                            return reply(NotForOthers());
                          }
                          state->AddWaiter(std::move(reply));
                        });
  }
  if (!state_->options.enabled) return;
  server->Handle("GET", "/", [](const HttpRequest&) { return PageResponse(); });
  server->Handle("GET", "/api/events",
                 [state = state_](const HttpRequest&) { return state->EventsResponse(); });
  server->HandleStream("/live.mjpg", state_->stream);
}

bool LiveView::Wanted() const {
  return state_->stream->subscribers() > 0 || state_->waiting.load(std::memory_order_relaxed) > 0;
}

void LiveView::Show(const ImageView& image, Nanos captured, std::span<const Track> tracks,
                    std::uint64_t active) {
  State& state = *state_;
  if (!state.on() || !Wanted() || !state.Due()) return;
  if (state.busy.load(std::memory_order_acquire)) {
    state.skipped.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  if (const Status status = state.raw.CopyFrom(image); !status.ok()) {
    state.failed.fetch_add(1, std::memory_order_relaxed);
    if (state.copy_log.Allow(state.clock.Monotonic())) {
      log::Warning("live", "a picture could not be shown", {{"error", status.message()}});
    }
    return;
  }
  state.captured = captured;
  state.tracks.assign(tracks.begin(), tracks.end());
  for (std::size_t i = 0; i < state.options.overlays.size(); ++i) {
    state.options.overlays[i].active = (active >> i & 1) != 0;
  }
  state.busy.store(true, std::memory_order_release);
  state.full.release();
}

void LiveView::OfferEvent(std::string_view json_line) {
  if (state_->options.enabled) state_->recent.Add(json_line);
}

void LiveView::Stop() {
  State& state = *state_;
  if (!state.thread.joinable()) return;
  state.stopping = true;
  state.full.release();
  state.thread.join();
  state.stream->End();
  {
    std::lock_guard lock(state.waiters_mutex);
    state.stopped = true;
  }
  state.AnswerWaiters(NoPicture());
}

LiveView::Counts LiveView::counts() const {
  return {state_->shown.load(std::memory_order_relaxed),
          state_->skipped.load(std::memory_order_relaxed),
          state_->failed.load(std::memory_order_relaxed)};
}

}  // namespace selvedge
