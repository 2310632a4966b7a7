#include "cmd/demo/demo.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/cli/cli.h"
#include "cmd/demo/fleet.h"
#include "cmd/demo/measure.h"

namespace selvedge {
namespace {

using demo::Fleet;
using nlohmann::json;

constexpr Nanos kTick = 250 * kMillisecond;
constexpr const char* kPackage = "safety/person-detector:1.0";
constexpr const char* kCutDevice = "pi-1";

struct DemoOptions {
  bool once = false;
  bool keep = false;
  bool json_report = false;
  int port = 8080;
  int play_seconds = 40;
  int outage_seconds = 12;
  std::string source;
  std::string state;
  std::string root;
};

void OpenBrowser(const std::string& link) {
  const bool screen =
      std::getenv("DISPLAY") != nullptr || std::getenv("WAYLAND_DISPLAY") != nullptr;
  if (!screen || !cli::IsTerminal(STDOUT_FILENO)) return;
  ChildOptions open;
  open.program = "/usr/bin/xdg-open";
  open.arguments = {link};
  open.die_with_parent = false;
  if (auto child = ChildProcess::Start(open)) child->Wait(5 * kSecond);
}

class Demo {
 public:
  Demo(DemoOptions options, demo::FleetOptions fleet, const cli::Termination& termination)
      : options_(std::move(options)), fleet_(std::move(fleet)), termination_(termination) {}

  // OK, Cancelled where a signal ended it, or what went wrong.
  Status Run();
  const demo::Measured& measured() const { return measured_; }
  std::string link() const { return fleet_.url() + "/#token=" + fleet_.token(); }

 private:
  Status StartAll();
  Status Deploy();
  Status AwaitDetections();
  Status Play();
  Status Drain();
  // Shows numbers for so long. Cancelled where a signal came.
  Status Watch(double seconds);
  void ShowNumbers();
  // Device by device, and counts those that run it.
  void ShowPlacements(const json& answer);
  void Say(const std::string& text);
  double Elapsed() const { return ToSeconds(Clock::System().Monotonic() - begin_); }
  static std::int64_t UnixMillis() { return Clock::System().Wall() / kMillisecond; }

  DemoOptions options_;
  Fleet fleet_;
  const cli::Termination& termination_;
  demo::Measured measured_;
  cli::StatusLine line_;
  Nanos begin_ = Clock::System().Monotonic();
};

void Demo::Say(const std::string& text) {
  line_.Clear();
  std::fprintf(stderr, "%6.1f s  %s\n", Elapsed(), text.c_str());
}

Status Demo::StartAll() {
  SELVEDGE_RETURN_IF_ERROR(fleet_.StartCloud());
  measured_.up_seconds = Elapsed();
  Say("control plane, registry and broker are up: " + link());
  if (!options_.once) OpenBrowser(link());
  SELVEDGE_RETURN_IF_ERROR(fleet_.StartGateway());
  Say("the gateway of site " + fleet_.options().site + " has joined");
  const demo::DeviceSpec devices[] = {
      {"jetson-1", {"hardware=jetson", "tpu=coral", "gpu=1"}, false},
      {kCutDevice, {"hardware=raspberry-pi"}, true},
      {"x86-1", {"hardware=x86"}, false},
  };
  for (const demo::DeviceSpec& device : devices) {
    SELVEDGE_RETURN_IF_ERROR(fleet_.StartDevice(device));
    Say(fmt::format("{} has joined ({}; declared, not real)", device.name,
                    fmt::join(device.labels, ", ")));
  }
  return OkStatus();
}

void Demo::ShowPlacements(const json& answer) {
  for (const json& application : answer.value("applications", json::array())) {
    for (const json& service : application.value("microservices", json::array())) {
      for (const json& placement : service.value("placements", json::array())) {
        std::string why;
        for (const json& reason : placement.value("reasons", json::array())) {
          why += (why.empty() ? "" : "; ") + reason.get<std::string>();
        }
        const bool fits = placement.value("fits", false);
        measured_.cameras += fits ? 1 : 0;
        std::fprintf(stderr, "            %-10s %s\n", placement.value("device", "").c_str(),
                     fits ? "runs it" : ("no: " + why).c_str());
      }
    }
  }
}

Status Demo::Deploy() {
  SELVEDGE_RETURN_IF_ERROR(fleet_.Push(kPackage,
                                       options_.root + "/assets/models/person-ssdlite.card.yaml",
                                       options_.root + "/examples/safety-monitor/pipeline.yaml"));
  Say(std::string("pushed ") + kPackage + " to the registry");
  for (const char* manifest : {"examples/safety-monitor/edge-deployment.yaml",
                               "examples/safety-monitor/site-watch.yaml"}) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string yaml,
                                     ReadFile(options_.root + "/" + manifest, 1 << 20));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const json answer, fleet_.Apply(yaml));
    Say(std::string("applied ") + manifest);
    ShowPlacements(answer);
  }
  return OkStatus();
}

void Demo::ShowNumbers() {
  if (!line_.enabled()) return;
  const auto overview = fleet_.Get("/overview");
  if (!overview) {
    line_.Show("the control plane does not answer");
    return;
  }
  const json rates = overview->value("rates", json::object());
  const json totals = overview->value("totals", json::object());
  const json devices = overview->value("devices", json::object());
  line_.Show(
      fmt::format("{:6.1f} s  {} of {} devices online   {:.1f} frames/s   {} events in the cloud",
                  Elapsed(), devices.value("online", 0), devices.value("total", 0),
                  rates.value("frames_per_s", 0.0), totals.value("events", 0)));
}

Status Demo::Watch(double seconds) {
  const double until = Elapsed() + seconds;
  while (Elapsed() < until) {
    if (const auto casualty = fleet_.Casualty()) return UnavailableError(*casualty);
    ShowNumbers();
    if (termination_.Wait(kTick) != 0) return CancelledError("stopped");
  }
  return OkStatus();
}

Status Demo::AwaitDetections() {
  constexpr double kPatience = 120;
  while (measured_.first_detection_seconds == 0) {
    const auto events = fleet_.Get("/events?limit=1");
    if (events && !events->value("items", json::array()).empty()) {
      measured_.first_detection_seconds = Elapsed();
      break;
    }
    if (Elapsed() > kPatience) {
      return DeadlineExceededError(
          "no event reached the cloud within two minutes; see the logs in " +
          fleet_.options().state);
    }
    SELVEDGE_RETURN_IF_ERROR(Watch(ToSeconds(kTick)));
  }
  Say("the first detection has reached the cloud");
  return OkStatus();
}

Status Demo::Play() {
  const demo::Uplink before = demo::UplinkOf(fleet_.GatewayMetrics());
  const double begin = Elapsed();
  const double quiet = std::max(1, options_.play_seconds - options_.outage_seconds) / 2.0;
  SELVEDGE_RETURN_IF_ERROR(Watch(quiet));

  SELVEDGE_RETURN_IF_ERROR(fleet_.CutLink(kCutDevice));
  measured_.outage = {kCutDevice, UnixMillis(), 0};
  Say(fmt::format("cut the network of {} for {} s: it goes on by itself", kCutDevice,
                  options_.outage_seconds));
  SELVEDGE_RETURN_IF_ERROR(Watch(options_.outage_seconds));
  SELVEDGE_RETURN_IF_ERROR(fleet_.RestoreLink(kCutDevice));
  measured_.outage.until_unix_ms = UnixMillis();
  Say(std::string("the network of ") + kCutDevice + " is back");
  SELVEDGE_RETURN_IF_ERROR(Watch(quiet));

  const demo::Uplink after = demo::UplinkOf(fleet_.GatewayMetrics());
  measured_.watched_seconds = Elapsed() - begin;
  measured_.uplink = {after.sent - before.sent, after.received - before.received};
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(measured_.devices, demo::ReadDevices(&fleet_));
  return OkStatus();
}

Status Demo::Drain() {
  for (const char* application : {"safety-monitor", "site-watch"}) {
    SELVEDGE_RETURN_IF_ERROR(fleet_.Delete(application));
  }
  Say("deleted the applications; waiting until every event is in the cloud");
  constexpr double kPatience = 60;
  const double begin = Elapsed();
  bool drained = false;
  while (!drained && Elapsed() - begin < kPatience) {
    SELVEDGE_RETURN_IF_ERROR(Watch(ToSeconds(kTick)));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(measured_.drained, demo::ReadDevices(&fleet_));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(measured_.events,
                                     demo::CountEvents(&fleet_, measured_.outage));
    drained = true;
    for (const demo::DeviceResult& device : measured_.drained) {
      const auto stored = measured_.events.by_device.find(device.name);
      const std::uint64_t count = stored == measured_.events.by_device.end() ? 0 : stored->second;
      drained = drained && device.waiting == 0 && device.services.empty() &&
                count >= device.accepted - std::min(device.accepted, device.dropped);
    }
  }
  return OkStatus();
}

Status Demo::Run() {
  if (options_.source.empty()) {
    const auto baseline =
        ReadFile(options_.root + "/examples/safety-monitor/h264-baseline.json", 4096);
    const json parsed = json::parse(baseline.value_or(""), nullptr, false);
    if (parsed.is_object()) {
      measured_.h264_bytes_per_second = parsed.value("bytes_per_second", 0.0);
    }
  }
  SELVEDGE_RETURN_IF_ERROR(StartAll());
  SELVEDGE_RETURN_IF_ERROR(Deploy());
  SELVEDGE_RETURN_IF_ERROR(AwaitDetections());
  SELVEDGE_RETURN_IF_ERROR(Play());
  if (options_.keep) {
    measured_.drained = measured_.devices;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(measured_.events,
                                     demo::CountEvents(&fleet_, measured_.outage));
    Say("it all stays up until Ctrl-C: " + link());
    while (true) SELVEDGE_RETURN_IF_ERROR(Watch(3600));
  }
  return Drain();
}

// Where examples/ and assets/ are: given, here, beside the build tree's executables, or installed.
Result<std::string> FindRoot(const std::string& given) {
  std::vector<std::string> candidates;
  if (!given.empty()) {
    candidates.push_back(given);
  } else {
    candidates.emplace_back(".");
    if (const auto folder = ExecutableFolder()) {
      candidates.push_back(*folder + "/../../..");
      candidates.push_back(*folder + "/../share/selvedge");
    }
  }
  for (const std::string& candidate : candidates) {
    std::error_code error;
    if (std::filesystem::exists(candidate + "/examples/safety-monitor/edge-deployment.yaml",
                                error)) {
      return std::filesystem::canonical(candidate, error).string();
    }
  }
  return Err(NotFoundError("examples/safety-monitor/edge-deployment.yaml is not in " +
                           candidates.front() + "; name its folder with --root"));
}

Result<std::string> MakeStateFolder(const std::string& given) {
  std::error_code error;
  if (!given.empty()) {
    std::filesystem::create_directories(given, error);
    std::filesystem::permissions(given, std::filesystem::perms::owner_all, error);
    return std::filesystem::absolute(given, error).string();
  }
  std::string pattern =
      std::filesystem::temp_directory_path(error).string() + "/selvedge-demo-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) return Err(ErrnoError(errno, "cannot make " + pattern));
  return pattern;
}

int ParseOptions(int argc, const char* const* argv, DemoOptions* options) {
  CLI::App app{"the whole fleet on one machine: control plane, gateway, three devices, real video"};
  app.name("selvedge demo");
  app.add_flag("--once", options->once, "unattended: no browser, a report at the end");
  app.add_flag("--keep", options->keep, "stay up until Ctrl-C");
  app.add_flag("--json", options->json_report, "the report on stdout as one JSON object");
  app.add_option("--port", options->port, "of the dashboard on localhost")->capture_default_str();
  app.add_option("--seconds", options->play_seconds, "how long to play")
      ->check(CLI::Range(4, 86'400))
      ->capture_default_str();
  app.add_option("--outage", options->outage_seconds, "how long one device is cut off")
      ->check(CLI::Range(1, 3'600))
      ->capture_default_str();
  app.add_option("--source", options->source, "a camera or a video in place of the demo's");
  app.add_option("--state", options->state, "keep everything here; default: a folder that goes");
  app.add_option("--root", options->root, "folder with examples/ and assets/");
  app.footer("Example: selvedge demo --once --json");
  return cli::Parse(&app, argc, argv);
}

}  // namespace

int DemoMain(int argc, const char* const* argv) {
  DemoOptions options;
  if (const int code = ParseOptions(argc, argv, &options); code >= 0) return code;
  const cli::Termination termination;
  const auto root = FindRoot(options.root);
  if (!root) return cli::Fail("demo", root.error());
  options.root = *root;
  const auto state = MakeStateFolder(options.state);
  if (!state) return cli::Fail("demo", state.error());

  demo::FleetOptions fleet;
  fleet.state = *state;
  fleet.root = *root;
  fleet.source = options.source.empty() ? *root + "/.deps/video/vtest.avi" : options.source;
  fleet.http = "localhost:" + std::to_string(options.port);
  Status status;
  {
    Demo demo(options, fleet, termination);
    status = demo.Run();
    if (status.ok() && options.json_report) {
      std::puts(demo::ReportJson(demo.measured()).dump(2).c_str());
    } else if (status.ok()) {
      const std::string port =
          std::to_string(options.port == 0 ? DemoOptions().port : options.port);
      std::fputs(demo::ReportText(demo.measured(), "http://localhost:" + port).c_str(), stdout);
    }
  }
  std::error_code error;
  const bool stopped = status.code() == StatusCode::kCancelled;
  if (options.state.empty() && (status.ok() || stopped)) {
    std::filesystem::remove_all(*state, error);
  }
  if (stopped) {
    std::fputs("stopped; nothing is left running\n", stderr);
    return cli::kExitOk;
  }
  return status.ok() ? cli::kExitOk : cli::Fail("demo", status);
}

}  // namespace selvedge
