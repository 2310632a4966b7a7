#include "cmd/bench/fleet_bench.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/demo/fleet.h"
#include "net/join_client.h"
#include "net/websocket_client.h"
#include "trust/token.h"

namespace selvedge {
namespace {

using demo::Fleet;
using nlohmann::json;

constexpr double kMiB = 1024 * 1024;
constexpr std::size_t kMaxProcFile = 64 * 1024;
constexpr const char* kPackage = "bench/boxes:1";
constexpr auto kPoll = std::chrono::milliseconds(50);

// A model that needs no engine library, and a picture that needs no camera.
constexpr const char* kModel =
    "selvedge-fake-model 1\n"
    "input image uint8 [1,32,32,3]\n"
    "output boxes float32 [1,10,6] rows\n"
    "rows 0 boxes 4 4 16 28 0.9 0\n"
    "repeat\n";
constexpr const char* kCard =
    "name: boxes\n"
    "version: \"1\"\n"
    "task: detection\n"
    "variants: [{name: fp32, path: boxes.fake, precision: fp32}]\n"
    "input: {layout: nhwc, color: rgb, width: 32, height: 32, resize: squash}\n"
    "decoder: {kind: centernet, boxes: boxes, score_threshold: 0.3, nms_iou: 0.5}\n"
    "labels: [person]\n";
constexpr const char* kPipeline =
    "pipeline: boxes\n"
    "source: {uri: \"test://?width=64&height=48&fps=5\"}\n"
    "model: {card: boxes.card.yaml, engine: fake, threads: 1, workers: 1}\n"
    "zones: {all: {points: [[0, 0], [1, 0], [1, 1], [0, 1]]}}\n"
    "rules: [{name: there, kind: dwell, zone: all, longer_than: 1s, repeat: 1s}]\n";

std::string Manifest(const std::string& group, int change) {
  return fmt::format(
      "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {{name: {0}}}\nspec:\n"
      "  microservices:\n"
      "  - name: boxes\n    images: {{any: \"pipeline:{1}\"}}\n    config: {{change: {2}}}\n"
      "  placements: [{{type: constraint, key: group, operator: ==, value: {0}}}]\n",
      group, kPackage, change);
}

double Percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(p * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

Metric PercentileOf(std::string name, std::string unit, const std::vector<double>& values, double p,
                    double target) {
  Metric metric = FromRuns(std::move(name), std::move(unit), values);
  metric.value = Percentile(values, p);
  metric.target = target;
  return metric;
}

// Field number `index`, from 0, of a line of numbers and words; 0 where there is none.
double Field(std::string_view line, int index) {
  for (; index > 0 && !line.empty(); --index) {
    const std::size_t space = line.find(' ');
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
  }
  double value = 0;
  std::from_chars(line.data(), line.data() + line.size(), value);
  return value;
}

// proc_pid_statm(5): pages, the second field those that are resident.
double RssMiB(pid_t pid) {
  const std::string statm =
      ReadFile("/proc/" + std::to_string(pid) + "/statm", kMaxProcFile).value_or("");
  return Field(statm, 1) * static_cast<double>(sysconf(_SC_PAGESIZE)) / kMiB;
}

// proc_pid_stat(5): after the name in parentheses, fields 11 and 12 are user and system time.
double CpuSeconds(pid_t pid) {
  const std::string stat =
      ReadFile("/proc/" + std::to_string(pid) + "/stat", kMaxProcFile).value_or("");
  const std::size_t end = stat.rfind(") ");
  if (end == std::string::npos) return 0;
  const std::string_view rest = std::string_view(stat).substr(end + 2);
  return (Field(rest, 11) + Field(rest, 12)) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

class FleetBench {
 public:
  FleetBench(FleetBenchOptions options, demo::FleetOptions fleet)
      : options_(options), fleet_(std::move(fleet)) {
    report_.bench = "fleet";
  }
  Result<BenchReport> Run();

 private:
  Status Start();
  Status MeasureIdle();
  Status MeasureApply();
  Status MeasureEvents();
  Status MeasureKnown();
  Status AwaitGeneration(const std::map<std::string, std::uint64_t>& before, Nanos begin,
                         std::vector<double>* seconds);
  Result<std::map<std::string, std::uint64_t>> Generations(const char* which);
  static std::string Name(int i) { return "agent-" + std::to_string(i); }
  static void Say(const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); }

  FleetBenchOptions options_;
  Fleet fleet_;
  BenchReport report_;
};

Status FleetBench::Start() {
  Say("starting the control plane, the gateway and the agents ...");
  SELVEDGE_RETURN_IF_ERROR(fleet_.StartCloud());
  SELVEDGE_RETURN_IF_ERROR(fleet_.StartGateway());
  for (int i = 0; i < options_.agents; ++i) {
    const char* group = i < options_.event_agents ? "events" : "none";
    SELVEDGE_RETURN_IF_ERROR(fleet_.LaunchDevice(
        {.name = Name(i), .labels = {std::string("group=") + group, "fleet=bench"}}));
  }
  SELVEDGE_RETURN_IF_ERROR(fleet_.AwaitOnline(options_.agents));
  const std::string folder = fleet_.options().state;
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(folder + "/boxes.fake", kModel));
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(folder + "/boxes.card.yaml", kCard));
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(folder + "/pipeline.yaml", kPipeline));
  return fleet_.Push(kPackage, folder + "/boxes.card.yaml", folder + "/pipeline.yaml");
}

Status FleetBench::MeasureIdle() {
  Say("idling ...");
  std::vector<double> rss;
  std::vector<double> cpu;
  std::map<int, double> before;
  for (int i = 0; i < options_.agents; ++i) before[i] = CpuSeconds(fleet_.PidOf(Name(i)));
  std::this_thread::sleep_for(std::chrono::duration<double>(options_.seconds));
  for (int i = 0; i < options_.agents; ++i) {
    const pid_t pid = fleet_.PidOf(Name(i));
    rss.push_back(RssMiB(pid));
    cpu.push_back(100 * (CpuSeconds(pid) - before[i]) / options_.seconds);
  }
  Metric memory = FromRuns("agent_rss_mib", "MiB", rss);
  memory.target = 15;
  report_.metrics.push_back(memory);
  // The clock of /proc ticks every 10 ms: one agent's share is coarse, the mean of all is not.
  double sum = 0;
  for (const double share : cpu) sum += share;
  Metric share = FromRuns("agent_cpu_percent", "%", cpu);
  share.value = cpu.empty() ? 0 : sum / static_cast<double>(cpu.size());
  share.target = 0.5;
  share.note = "idle, mean of all agents, of one processor";
  report_.metrics.push_back(share);
  Metric gateway = FromRuns("gateway_rss_mib", "MiB",
                            {RssMiB(fleet_.PidOf(fleet_.options().site + "-gateway"))});
  gateway.target = 40;
  gateway.note = fmt::format("{} devices, without its broker", options_.agents);
  report_.metrics.push_back(gateway);
  return OkStatus();
}

Result<std::map<std::string, std::uint64_t>> FleetBench::Generations(const char* which) {
  SELVEDGE_ASSIGN_OR_RETURN(const json answer, fleet_.Get("/devices?limit=1000"));
  std::map<std::string, std::uint64_t> generations;
  for (const json& device : answer.value("items", json::array())) {
    if (device.value("role", "") != "device" || device.value("status", "") != "online") continue;
    generations[device.value("name", "")] =
        device.value("generation", json::object()).value(which, std::uint64_t{0});
  }
  return generations;
}

Status FleetBench::AwaitGeneration(const std::map<std::string, std::uint64_t>& before, Nanos begin,
                                   std::vector<double>* seconds) {
  std::set<std::string> waiting;
  for (const auto& [name, generation] : before) waiting.insert(name);
  while (!waiting.empty()) {
    const double now = ToSeconds(Clock::System().Monotonic() - begin);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const auto observed, Generations("observed"));
    for (const auto& [name, generation] : observed) {
      const auto old = before.find(name);
      if (old != before.end() && generation > old->second && waiting.erase(name) == 1) {
        seconds->push_back(now);
      }
    }
    if (now > 60) {
      return DeadlineExceededError(
          fmt::format("{} of {} devices did not take up a change within a minute", waiting.size(),
                      before.size()));
    }
    std::this_thread::sleep_for(kPoll);
  }
  return OkStatus();
}

Status FleetBench::MeasureApply() {
  // The first change brings every agent the package and is not measured. By each of the others
  // every agent's pipeline (the fake engine, 5 frames a second) is stopped and started anew.
  std::vector<double> seconds;
  for (int change = 0; change <= options_.changes; ++change) {
    Say(fmt::format("change {} of {} ...", change, options_.changes));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(auto before, Generations("observed"));
    std::erase_if(before, [&](const auto& entry) {
      return std::stoi(entry.first.substr(entry.first.find('-') + 1)) < options_.event_agents;
    });
    const Nanos begin = Clock::System().Monotonic();
    SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const json answer,
                                     fleet_.Apply(Manifest("none", change)));
    std::vector<double> these;
    SELVEDGE_RETURN_IF_ERROR(AwaitGeneration(before, begin, &these));
    if (change > 0) seconds.insert(seconds.end(), these.begin(), these.end());
  }
  report_.metrics.push_back(PercentileOf("apply_p50_s", "s", seconds, 0.5, 0));
  report_.metrics.push_back(PercentileOf("apply_p99_s", "s", seconds, 0.99, 2));
  report_.metrics.back().note =
      fmt::format("{} agents, {} changes; every agent's pipeline is started anew by each",
                  options_.agents - options_.event_agents, options_.changes);
  return fleet_.Delete("none");
}

Status FleetBench::MeasureEvents() {
  Say("events ...");
  WebSocketClientOptions stream;
  stream.url = fleet_.url() + "/api/v1/stream";
  stream.subprotocols = {"selvedge.v1", "bearer." + fleet_.token()};
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const auto listener, WebSocketClient::Connect(stream));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const json answer,
                                   fleet_.Apply(Manifest("events", 0)));
  std::vector<double> milliseconds;
  Nanos until = Clock::System().Monotonic() + 60 * kSecond;
  bool started = false;
  while (Clock::System().Monotonic() < until) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const auto text,
                                     listener->Next(std::chrono::milliseconds(200)));
    if (!text) continue;
    const json message = json::parse(*text, nullptr, false);
    if (!message.is_object() || message.value("type", "") != "event") continue;
    const Nanos now = Clock::System().Wall();
    const std::string captured = message["event"].value("captured_unix_ns", "0");
    milliseconds.push_back(ToMillis(now - std::stoll(captured)));
    if (!started) {
      started = true;
      until = Clock::System().Monotonic() + FromSeconds(options_.seconds);
    }
  }
  report_.metrics.push_back(PercentileOf("event_p50_ms", "ms", milliseconds, 0.5, 0));
  report_.metrics.push_back(PercentileOf("event_p99_ms", "ms", milliseconds, 0.99, 500));
  report_.metrics.back().note =
      fmt::format("{} events, capture to a listener of the stream", milliseconds.size());
  return fleet_.Delete("events");
}

Status FleetBench::MeasureKnown() {
  report_.metrics.push_back(FromRuns("cloud_rss_mib", "MiB", {RssMiB(fleet_.PidOf("cloud"))}));
  Say(fmt::format("joining until {} devices are known ...", options_.known));
  for (int i = options_.agents; i < options_.known; ++i) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string text, fleet_.JoinToken("device"));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const JoinToken token, ParseJoinToken(text));
    JoinOptions join;
    join.name = Name(i);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(
        [[maybe_unused]] const NodeIdentity identity,
        JoinFleet(fleet_.options().state + "/known/" + join.name, token, join));
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const auto everything, Generations("desired"));
  Metric memory = FromRuns("cloud_rss_mib_1000_devices", "MiB", {RssMiB(fleet_.PidOf("cloud"))});
  memory.target = 100;
  memory.note = fmt::format("{} known, {} of them online, without its broker", options_.known,
                            options_.agents);
  report_.metrics.push_back(memory);
  return OkStatus();
}

Result<BenchReport> FleetBench::Run() {
  SELVEDGE_RETURN_ERR_IF_ERROR(Start());
  SELVEDGE_RETURN_ERR_IF_ERROR(MeasureIdle());
  SELVEDGE_RETURN_ERR_IF_ERROR(MeasureApply());
  SELVEDGE_RETURN_ERR_IF_ERROR(MeasureEvents());
  SELVEDGE_RETURN_ERR_IF_ERROR(MeasureKnown());
  return std::move(report_);
}

}  // namespace

Result<BenchReport> BenchFleet(const FleetBenchOptions& options) {
  std::error_code error;
  std::string folder =
      std::filesystem::temp_directory_path(error).string() + "/selvedge-bench-fleet-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return Err(ErrnoError(errno, "cannot make " + folder));
  demo::FleetOptions fleet;
  fleet.state = folder;
  fleet.http = "localhost:0";
  Result<BenchReport> report = FleetBench(options, fleet).Run();
  if (report) std::filesystem::remove_all(folder, error);
  return report;
}

}  // namespace selvedge
