#include "cmd/run/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/cpu.h"
#include "base/file.h"
#include "base/log.h"
#include "base/metrics.h"
#include "cmd/run/agent.h"
#include "cmd/run/choose_model.h"
#include "cmd/run/metered_engine.h"
#include "cmd/run/progress.h"
#include "cmd/run/report.h"
#include "device/publish/agent_link.h"
#include "device/publish/device_status.h"
#include "device/publish/event_log.h"
#include "device/publish/event_publisher.h"
#include "device/publish/live_view.h"
#include "net/http_server.h"
#include "proto/fleet.pb.h"

namespace selvedge {
namespace {

constexpr Nanos kTick = 200 * kMillisecond;
constexpr int kPortTries = 10;

// How many of each class are in view, for the status page.
class InView : public Publisher {
 public:
  explicit InView(const std::vector<std::string>& labels)
      : labels_(labels), counts_(labels.size()), now_(labels.size()) {}

  void Publish(const DecidedFrame& decided) override {
    std::ranges::fill(now_, 0);
    for (const Track& track : decided.tracks) {
      const auto id = static_cast<std::size_t>(track.class_id);
      if (track.matched && id < now_.size()) ++now_[id];
    }
    for (std::size_t i = 0; i < now_.size(); ++i) {
      counts_[i].store(now_[i], std::memory_order_relaxed);
    }
  }

  std::vector<std::pair<std::string, int>> Read() const {
    std::vector<std::pair<std::string, int>> counts;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (const int count = counts_[i].load(); count > 0) counts.emplace_back(labels_[i], count);
    }
    return counts;
  }

 private:
  const std::vector<std::string> labels_;
  std::vector<std::atomic<int>> counts_;
  std::vector<int> now_;
};

class Session {
 public:
  Session(const RunOptions& options, PipelineConfig config)
      : options_(options), config_(std::move(config)), clock_(Clock::System()) {}

  // `stop` ends measuring engines, which may take a while.
  Status Open(const std::atomic<bool>* stop);
  Status Run(const cli::Termination& termination);
  RunReport Report();

 private:
  Status OpenAgentLink();
  Status OpenPublishers();
  Status OpenHttp();
  void TellAgent(v1::PipelineMetrics* metrics);
  void Announce() const;
  void UpdateStatus();
  bool LimitReached() const;

  const RunOptions& options_;
  PipelineConfig config_;
  const Clock& clock_;
  MetricsRegistry metrics_;
  LoadedModel model_;
  MeteredEngine* meter_ = nullptr;  // the engine, where metered
  std::unique_ptr<Source> source_;
  std::unique_ptr<EventLog> event_log_;
  std::unique_ptr<LiveView> live_view_;
  RecentLines recent_;
  std::unique_ptr<EventPublisher> event_publisher_;
  std::unique_ptr<LiveViewPublisher> live_view_publisher_;
  std::unique_ptr<InView> in_view_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<Pipeline> pipeline_;
  RateMeter rate_;
  Nanos started_ = 0;
  Nanos cpu_at_start_ = 0;
  Nanos cpu_at_end_ = 0;
  std::string ended_ = "not started";

  mutable std::mutex status_mutex_;
  PipelineStatus status_;
  bool opened_ = false;  // under status_mutex_, as is http_port_
  int http_port_ = 0;
  CpuShare cpu_share_;  // the link's thread
  // Last, so that its thread is gone before what it reads.
  std::unique_ptr<AgentLink> agent_link_;
};

Overlay OverlayOf(const std::string& name, CoordinateUnit unit, bool closed,
                  std::span<const Point> points) {
  Overlay overlay;
  overlay.name = name;
  overlay.closed = closed;
  overlay.fraction = unit == CoordinateUnit::kFraction;
  for (const Point& point : points) {
    overlay.points.push_back({static_cast<float>(point.x), static_cast<float>(point.y)});
  }
  return overlay;
}

std::vector<Overlay> OverlaysOf(const RuleSet& rules) {
  std::vector<Overlay> overlays;
  for (const Zone& zone : rules.zones()) {
    overlays.push_back(OverlayOf(zone.name, zone.unit, true, zone.points));
  }
  for (const Line& line : rules.lines()) {
    overlays.push_back(OverlayOf(line.name, line.unit, false, std::array{line.from, line.to}));
  }
  return overlays;
}

// Before the model is chosen, which may take a while: an agent that hears nothing takes a run for
// hung.
Status Session::OpenAgentLink() {
  if (options_.agent.empty()) return OkStatus();
  AgentLinkOptions link;
  link.socket = options_.agent;
  link.application = options_.application;
  link.service = options_.service;
  link.privacy = PrivacyName(config_.privacy);
  link.metrics = [this](v1::PipelineMetrics* metrics) { TellAgent(metrics); };
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(agent_link_, AgentLink::Open(std::move(link)));
  return OkStatus();
}

// The link's thread.
void Session::TellAgent(v1::PipelineMetrics* metrics) {
  {
    const std::lock_guard lock(status_mutex_);
    FillMetrics(status_, http_port_, opened_, "the model is being chosen and loaded", metrics);
  }
  metrics->set_cpu_share(cpu_share_.Update(clock_.Monotonic()));
}

Status Session::OpenPublishers() {
  if (!config_.events.path.empty()) {
    EventLogOptions log_options;
    log_options.max_bytes = config_.events.max_bytes;
    log_options.keep_files = config_.events.keep;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(event_log_, EventLog::Open(config_.events.path, log_options));
  }
  LiveViewOptions view;
  view.enabled = config_.http.enabled && config_.http.live_view;
  view.for_agent = config_.http.enabled && agent_link_ && config_.privacy == Privacy::kFrames;
  view.fps = config_.http.live_fps;
  view.max_width = config_.http.live_width;
  view.labels = config_.card.labels;
  view.overlays = OverlaysOf(config_.rules);
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(live_view_, LiveView::Create(std::move(view), clock_));

  EventPublisherOptions events;
  events.device = config_.device;
  events.pipeline = config_.pipeline.name;
  events.source = config_.source.uri;
  events.model_name = config_.card.name;
  events.model_version = config_.card.version;
  events.model_digest = model_.digest;
  events.model_variant = model_.variant;
  events.engine = model_.engine->Describe().name;
  events.labels = config_.card.labels;
  events.every_frame = config_.events.every_frame;
  event_publisher_ = std::make_unique<EventPublisher>(
      std::move(events),
      EventOutputs{.log = event_log_.get(),
                   .live_view = live_view_.get(),
                   .recent = config_.http.enabled ? &recent_ : nullptr,
                   .sink = agent_link_.get()},
      &metrics_, clock_);
  live_view_publisher_ = std::make_unique<LiveViewPublisher>(live_view_.get());
  in_view_ = std::make_unique<InView>(config_.card.labels);
  return OkStatus();
}

Status Session::Open(const std::atomic<bool>* stop) {
  SELVEDGE_RETURN_IF_ERROR(OpenAgentLink());
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(source_, MakeSource(config_.source, clock_));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      model_,
      ChooseAndLoad(config_, {.retune = options_.retune, .quiet = options_.quiet, .stop = stop}));
  if (options_.meter) {
    auto metered = std::make_unique<MeteredEngine>(std::move(model_.engine));
    meter_ = metered.get();
    model_.engine = std::move(metered);
  }
  SELVEDGE_RETURN_IF_ERROR(OpenPublishers());
  config_.pipeline.workers = model_.workers;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      pipeline_,
      Pipeline::Create(config_.pipeline, source_.get(), model_.engine.get(), config_.card,
                       config_.tracker, std::move(config_.rules),
                       {event_publisher_.get(), live_view_publisher_.get(), in_view_.get()},
                       &metrics_, clock_));
  if (config_.http.enabled) SELVEDGE_RETURN_IF_ERROR(OpenHttp());
  UpdateStatus();
  const std::lock_guard lock(status_mutex_);
  opened_ = true;
  if (http_) http_port_ = http_->port();
  return OkStatus();
}

Status Session::OpenHttp() {
  HttpServerOptions options;
  options.address = config_.http.address;
  options.port = config_.http.port;
  // In a fleet the port is the manifest's: another one would be nobody's.
  options.port_tries = config_.http.port == 0 || agent_link_ ? 1 : kPortTries;
  http_ = std::make_unique<HttpServer>(options);
  UpdateStatus();
  AddDeviceStatus(http_.get(), {.metrics = [this] { return metrics_.Render(); },
                                .status =
                                    [this] {
                                      const std::lock_guard lock(status_mutex_);
                                      return status_;
                                    },
                                .results = [this] { return recent_.Read(); }});
  live_view_->AddRoutes(http_.get());
  return http_->Start();
}

void Session::UpdateStatus() {
  const Nanos now = clock_.Monotonic();
  PipelineStatus s;
  s.pipeline = config_.pipeline.name;
  s.device = config_.device;
  s.source = config_.source.uri;
  s.ledger = pipeline_->ReadLedger();
  const Nanos last = pipeline_->last_decided();
  if (last > 0) {
    s.last_frame_age_seconds = ToSeconds(now - last);
    s.source_state = PipelineStatus::Source::kRunning;
    if (source_->IsLive() && now - last > config_.source.timeout) {
      s.source_state = PipelineStatus::Source::kReconnecting;
      s.source_detail =
          fmt::format("no frame for {:.0f} s; connecting again", s.last_frame_age_seconds);
    }
  }
  s.uptime_seconds = started_ > 0 ? ToSeconds(now - started_) : 0;
  s.frames_per_second = rate_.Update(now, s.ledger.local);
  const LatencyHistogram& total = pipeline_->latencies().total;
  s.latency_p50_ms = ToMillis(total.Percentile(50));
  s.latency_p90_ms = ToMillis(total.Percentile(90));
  s.latency_p99_ms = ToMillis(total.Percentile(99));
  const EngineInfo& info = model_.engine->Describe();
  s.model = config_.card.name + " " + config_.card.version;
  s.engine = info.name;
  s.variant = model_.variant;
  s.precision = info.precision;
  s.threads = info.threads;
  s.workers = model_.workers;
  s.choice_reason = model_.reason;
  s.counts = in_view_->Read();
  if (event_log_) {
    s.events_written = event_log_->written();
    s.events_lost = event_log_->lost();
  } else if (agent_link_) {
    const AgentLink::Counts counts = agent_link_->counts();
    s.events_written = counts.committed;
    s.events_lost = counts.lost;
  }
  s.privacy = PrivacyName(config_.privacy);
  const std::lock_guard lock(status_mutex_);
  status_ = std::move(s);
}

void Session::Announce() const {
  const EngineInfo& info = model_.engine->Describe();
  log::Info("run", "pipeline started",
            {{"pipeline", config_.pipeline.name},
             {"source", config_.source.uri},
             {"captured_by", source_->Describe()},
             {"model", config_.card.name},
             {"variant", model_.variant},
             {"engine", info.name},
             {"threads", info.threads},
             {"workers", model_.workers}});
  if (http_ && !options_.quiet) {
    const std::string what = config_.http.live_view ? "live view" : "metrics and health";
    fmt::print(stderr, "{}: {}\n", what, http_->url() + (config_.http.live_view ? "" : "metrics"));
  }
}

bool Session::LimitReached() const {
  return (options_.frames > 0 && pipeline_->ReadLedger().local >= options_.frames) ||
         (options_.duration > 0 && ToSeconds(clock_.Monotonic() - started_) >= options_.duration);
}

Status Session::Run(const cli::Termination& termination) {
  started_ = clock_.Monotonic();
  if (meter_ != nullptr) meter_->Reset();  // warming up does not count
  cpu_at_start_ = ProcessCpuTime();
  SELVEDGE_RETURN_IF_ERROR(pipeline_->Start());
  Announce();
  Progress progress(config_.pipeline.name, source_->ExpectedFrames(), options_.quiet);
  ended_ = "the source ended";
  // Short enough that a limit in frames or seconds is met closely; costs a few microseconds a
  // second.
  while (!pipeline_->WaitUntilDone(kTick / 4)) {
    if (const int number = termination.Wait(kTick); number != 0) {
      ended_ = fmt::format("stopped by {}", sigabbrev_np(number));
      break;
    }
    if (LimitReached()) {
      ended_ = "stopped at the limit asked for";
      break;
    }
    UpdateStatus();
    {
      const std::lock_guard lock(status_mutex_);
      progress.Show(status_, event_publisher_->events());
    }
  }
  pipeline_->Stop();
  cpu_at_end_ = ProcessCpuTime();
  progress.Clear();
  live_view_->Stop();
  if (http_) http_->Stop();
  Status status = pipeline_->status();
  if (event_log_) {
    const Status closed = event_log_->Close();
    if (status.ok()) status = closed;
  }
  if (agent_link_) {
    UpdateStatus();  // the last that the agent hears
    // What is lost stands in the report; an agent that is gone is no failure of the pipeline.
    const Status closed = agent_link_->Close();
    if (!closed.ok()) log::Warning("link", closed.message());
  }
  if (!status.ok()) ended_ = status.message();
  return status;
}

RunReport Session::Report() {
  RunReport r;
  const EngineInfo& info = model_.engine->Describe();
  r.pipeline = config_.pipeline.name;
  r.source = log::MaskSecrets(config_.source.uri);
  r.source_pipeline = source_->Describe();
  r.model = config_.card.name + " " + config_.card.version;
  r.engine = info.name;
  r.engine_version = info.version;
  r.device = info.device;
  r.variant = model_.variant;
  r.precision = info.precision;
  r.threads = info.threads;
  r.workers = model_.workers;
  r.choice_reason = model_.reason;
  r.choice_table = model_.table;
  r.ledger = pipeline_->ReadLedger();
  const SourceStats stats = source_->Stats();
  r.corrupt = stats.corrupt;
  r.reconnects = stats.reconnects;
  r.detections = pipeline_->detections();
  r.events = event_publisher_->events();
  if (event_log_) {
    r.events_written = event_log_->written();
    r.events_lost = event_log_->lost();
    r.events_path = event_log_->name();
  }
  if (agent_link_) {
    const AgentLink::Counts counts = agent_link_->counts();
    r.with_agent = true;
    r.agent_events_committed = counts.committed;
    r.agent_events_lost = counts.lost + counts.waiting;
  }
  r.seconds = ToSeconds(pipeline_->last_decided() - pipeline_->first_decided());
  if (r.ledger.local > 1 && r.seconds > 0) {
    r.frames_per_second = static_cast<double>(r.ledger.local - 1) / r.seconds;
  }
  if (r.ledger.in > 0) {
    const auto frames = static_cast<double>(r.ledger.in);
    r.cpu_ms_per_frame = ToMillis(cpu_at_end_ - cpu_at_start_) / frames;
    r.capture_cpu_ms_per_frame = ToMillis(stats.decode_cpu) / frames;
    if (meter_ != nullptr) r.engine_cpu_ms_per_frame = ToMillis(meter_->cpu_time()) / frames;
  }
  r.peak_rss_mib = static_cast<double>(PeakResidentBytes()) / (1024 * 1024);
  r.latencies = &pipeline_->latencies();
  r.ended = ended_;
  return r;
}

struct OpenResult {
  Status status;
  int signal = 0;  // that arrived meanwhile
};

OpenResult OpenUntilSignal(Session* session, const cli::Termination& termination) {
  std::atomic<bool> stop{false};
  std::atomic<bool> opened{false};
  std::atomic<int> signal{0};
  std::jthread watcher([&] {
    while (!opened) {
      if (const int number = termination.Wait(kTick / 4); number != 0) {
        signal = number;
        stop = true;
        return;
      }
    }
  });
  Status status = session->Open(&stop);
  opened = true;
  watcher.join();
  return {.status = std::move(status), .signal = signal};
}

}  // namespace

int RunSession(const RunOptions& options, PipelineConfig config,
               const cli::Termination& termination) {
  Session session(options, std::move(config));
  const auto [opened, signal] = OpenUntilSignal(&session, termination);
  if (signal != 0) {
    if (!options.quiet)
      fmt::print(stderr, "stopped by {} before the start\n", sigabbrev_np(signal));
    return cli::kExitOk;
  }
  if (!opened.ok()) return cli::Fail("run", opened);
  const Status ran = session.Run(termination);
  const RunReport report = session.Report();
  if (!options.quiet) fmt::print(stderr, "{}", ToText(report));
  int code = ran.ok() ? cli::kExitOk : cli::Fail("run", ran);
  if (options.json) {
    fmt::print("{}\n", ToJson(report));
  }
  if (!options.report.empty()) {
    const Status written = WriteFileAtomically(options.report, ToJson(report) + "\n");
    if (!written.ok()) code = cli::Fail("run", written);
  }
  return code;
}

}  // namespace selvedge
