#include "cloud/api/overview.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "base/metrics.h"
#include "cloud/api/views.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

// "12:01", UTC, of Unix milliseconds.
std::string HourOf(std::int64_t ms) {
  const std::time_t seconds = ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:02}:{:02} UTC", parts.tm_hour, parts.tm_min);
}

struct Sums {
  std::map<NodeStatus, int> devices;
  int total = 0;
  int failing = 0;
  int sites = 0;
  int sites_online = 0;
  std::size_t applications = 0;
  double frames_per_s = 0;
  std::uint64_t frames = 0;
  std::uint64_t fallback_frames = 0;
  std::uint64_t dropped_events = 0;
  double p50_ms = 0;
  double p99_ms = 0;

  int Count(NodeStatus status) const {
    const auto it = devices.find(status);
    return it == devices.end() ? 0 : it->second;
  }
};

// The median over pipelines, each as often as it counts frames.
double WeightedMedian(std::vector<std::pair<double, double>> values) {
  std::ranges::sort(values);
  double whole = 0;
  for (const auto& [value, weight] : values) whole += weight;
  double sum = 0;
  for (const auto& [value, weight] : values) {
    sum += weight;
    if (sum * 2 >= whole) return value;
  }
  return 0;
}

Sums SumUp(const Fleet& fleet) {
  Sums sums;
  std::map<std::string, bool> sites;  // online
  std::vector<std::pair<double, double>> medians;
  for (const auto& [name, node] : fleet.nodes()) {
    const bool online = node.status == NodeStatus::kOnline;
    const Node* gateway = fleet.GatewayOf(node.site);
    bool& site_online = sites[node.site];
    if (gateway == nullptr || gateway == &node) site_online = site_online || online;
    sums.dropped_events += node.state.outbox().dropped();
    if (node.role == v1::GATEWAY) continue;
    ++sums.total;
    ++sums.devices[node.status];
    sums.failing += node.Failing() ? 1 : 0;
    for (const v1::ServiceStatus& service : node.state.services()) {
      const v1::PipelineMetrics& pipeline = service.pipeline();
      sums.frames += pipeline.ledger().in();
      sums.fallback_frames += pipeline.ledger().cloud();
      if (!online || service.state() != v1::RUNNING || pipeline.frames_per_second() <= 0) continue;
      sums.frames_per_s += pipeline.frames_per_second();
      medians.emplace_back(pipeline.latency_p50_ms(), pipeline.frames_per_second());
      sums.p99_ms = std::max(sums.p99_ms, pipeline.latency_p99_ms());
    }
  }
  sums.p50_ms = WeightedMedian(std::move(medians));
  sums.sites = static_cast<int>(sites.size());
  sums.sites_online =
      static_cast<int>(std::ranges::count_if(sites, [](const auto& site) { return site.second; }));
  sums.applications = fleet.applications().size();
  return sums;
}

void NodeTrouble(const Node& node, std::vector<TroubleLine>* lines) {
  const std::string href =
      (node.role == v1::GATEWAY ? "#/sites/" + node.site : "#/devices/" + node.name);
  if (node.status == NodeStatus::kOffline) {
    lines->push_back(
        {true, fmt::format("{} is offline since {}", node.name, HourOf(node.last_seen_ms)), href});
  } else if (node.status == NodeStatus::kStale) {
    lines->push_back(
        {false, fmt::format("{} is silent since {}", node.name, HourOf(node.last_seen_ms)), href});
  }
  for (const v1::ServiceStatus& service : node.state.services()) {
    if (service.state() != v1::FAILING && service.state() != v1::REFUSED) continue;
    lines->push_back(
        {true,
         fmt::format("{}/{} {} on {}{}{}", service.application(), service.name(),
                     service.state() == v1::FAILING ? "fails" : "is refused", node.name,
                     service.message().empty() ? "" : ": ", service.message()),
         href});
  }
  if (const std::string trouble = node.Trouble(); !trouble.empty()) {
    lines->push_back({false, fmt::format("{}: {}", node.name, trouble), href});
  }
}

// How many devices hang on each lost gateway.
void UnreachableTrouble(const Fleet& fleet, std::vector<TroubleLine>* lines) {
  std::map<std::string, int> sites;
  for (const auto& [name, node] : fleet.nodes()) {
    if (node.status == NodeStatus::kUnreachable) ++sites[node.site];
  }
  for (const auto& [site, count] : sites) {
    lines->push_back({true,
                      fmt::format("{} device{} of site {} cannot be reached: its gateway is lost",
                                  count, count == 1 ? "" : "s", site),
                      "#/sites/" + site});
  }
}

void ApplicationTrouble(const Fleet& fleet, std::vector<TroubleLine>* lines) {
  for (const ApplicationPlacement& placement : fleet.Placements()) {
    const bool placed = std::ranges::any_of(placement.devices, &PlacementVerdict::fits);
    if (placed) continue;
    lines->push_back(
        {false, fmt::format("application {} runs nowhere: no device fits", placement.application),
         "#/applications/" + placement.application});
  }
}

Json TroubleJson(const std::vector<TroubleLine>& lines) {
  Json list = Json::array();
  for (const TroubleLine& line : lines) {
    list.push_back(
        {{"severity", line.error ? "error" : "warning"}, {"what", line.what}, {"href", line.href}});
  }
  return list;
}

Json Overview(ControlPlane& plane) {
  const ControlPlane::Numbers numbers = plane.ReadNumbers();
  const std::size_t packages = plane.packages() == nullptr ? 0 : plane.packages()->Count();
  const auto [sums, trouble] = plane.Read(
      [&](const Fleet& fleet) { return std::pair(SumUp(fleet), FindTrouble(fleet, numbers)); });
  return {{"time_ms", Clock::System().Wall() / kMillisecond},
          {"version", plane.version()},
          {"devices",
           {{"total", sums.total},
            {"online", sums.Count(NodeStatus::kOnline)},
            {"stale", sums.Count(NodeStatus::kStale)},
            {"offline", sums.Count(NodeStatus::kOffline)},
            {"unreachable", sums.Count(NodeStatus::kUnreachable)},
            {"never", sums.Count(NodeStatus::kNever)},
            {"failing", sums.failing}}},
          {"sites", {{"total", sums.sites}, {"online", sums.sites_online}}},
          {"applications", sums.applications},
          {"packages", packages},
          {"rates",
           {{"frames_per_s", sums.frames_per_s},
            {"detections_per_s", numbers.detections_per_s},
            {"events_per_s", numbers.events_per_s},
            {"uplink_bytes_per_s", numbers.uplink_bytes_per_s},
            {"downlink_bytes_per_s", numbers.downlink_bytes_per_s},
            {"registry_bytes_per_s", numbers.registry_bytes_per_s}}},
          {"totals",
           {{"frames", sums.frames},
            {"events", numbers.totals.events},
            {"events_duplicate", numbers.totals.doubled},
            {"aggregates", numbers.totals.aggregates},
            {"dropped_events", sums.dropped_events},
            {"fallback_frames", sums.fallback_frames},
            {"registry_bytes", numbers.registry_bytes}}},
          {"latency",
           {{"p50_ms", sums.p50_ms},
            {"p99_ms", sums.p99_ms},
            {"event_to_cloud_p50_ms", numbers.event_p50_ms},
            {"event_to_cloud_p99_ms", numbers.event_p99_ms}}},
          {"trouble", TroubleJson(trouble)}};
}

}  // namespace

std::vector<TroubleLine> FindTrouble(const Fleet& fleet, const ControlPlane::Numbers& numbers,
                                     std::size_t limit) {
  std::vector<TroubleLine> lines;
  if (!numbers.disk_trouble.empty()) {
    lines.push_back({true, "the control plane cannot write: " + numbers.disk_trouble, "#/"});
  }
  if (!numbers.broker_connected) {
    lines.push_back({true, "the control plane is not connected to its broker", "#/"});
  }
  UnreachableTrouble(fleet, &lines);
  for (const auto& [name, node] : fleet.nodes()) NodeTrouble(node, &lines);
  ApplicationTrouble(fleet, &lines);
  std::ranges::stable_sort(lines, std::ranges::greater{}, &TroubleLine::error);
  if (lines.size() > limit) {
    const std::size_t beyond = lines.size() - limit + 1;
    lines.resize(limit - 1);
    lines.push_back({false, fmt::format("and {} more", beyond), "#/devices"});
  }
  return lines;
}

std::string OverviewJson(ControlPlane& plane) {
  return Dump(Overview(plane));
}

std::string OverviewMessage(ControlPlane& plane) {
  return Dump({{"type", "overview"}, {"overview", Overview(plane)}});
}

std::string MetricsText(ControlPlane& plane, bool open_metrics) {
  const ControlPlane::Numbers numbers = plane.ReadNumbers();
  const Sums sums = plane.Read([](const Fleet& fleet) { return SumUp(fleet); });
  MetricsRegistry registry;
  for (const NodeStatus status : {NodeStatus::kOnline, NodeStatus::kStale, NodeStatus::kOffline,
                                  NodeStatus::kUnreachable, NodeStatus::kNever}) {
    registry
        .AddGauge("selvedge_cloud_devices", "Devices by status",
                  {{"status", std::string(NodeStatusName(status))}})
        .Set(sums.Count(status));
  }
  const auto gauge = [&](std::string_view name, std::string_view help, double value) {
    registry.AddGauge(name, help).Set(value);
  };
  const auto counter = [&](std::string_view name, std::string_view help, std::uint64_t value) {
    registry.AddCounter(name, help).Add(value);
  };
  gauge("selvedge_cloud_devices_failing", "Devices with a failing service or trouble",
        sums.failing);
  gauge("selvedge_cloud_applications", "Applications", static_cast<double>(sums.applications));
  gauge("selvedge_cloud_frames_per_second", "Frames that the fleet decides", sums.frames_per_s);
  gauge("selvedge_cloud_pipeline_latency_p99_seconds",
        "The slowest pipeline's, capture to decision", sums.p99_ms / 1e3);
  gauge("selvedge_cloud_event_latency_p50_seconds", "Capture to the control plane",
        numbers.event_p50_ms / 1e3);
  gauge("selvedge_cloud_event_latency_p99_seconds", "Capture to the control plane",
        numbers.event_p99_ms / 1e3);
  gauge("selvedge_cloud_broker_connected", "1 while connected to the broker",
        numbers.broker_connected ? 1 : 0);
  gauge("selvedge_cloud_disk_ok", "0 while the disk takes no writes",
        numbers.disk_trouble.empty() ? 1 : 0);
  gauge("selvedge_cloud_stream_watchers", "WebSocket clients",
        static_cast<double>(numbers.watchers));
  gauge("selvedge_cloud_events_file_bytes", "Of the events' database",
        static_cast<double>(numbers.events_file_bytes));
  counter("selvedge_cloud_events", "Events accepted", numbers.totals.events);
  counter("selvedge_cloud_events_duplicate", "Events that came again", numbers.totals.doubled);
  counter("selvedge_cloud_aggregates", "Aggregates accepted", numbers.totals.aggregates);
  counter("selvedge_cloud_events_expired", "Events that retention took", numbers.totals.expired);
  counter("selvedge_cloud_foreign_messages", "Of who is no member", numbers.foreign_messages);
  counter("selvedge_cloud_bad_messages", "That do not parse", numbers.bad_messages);
  return registry.Render(open_metrics ? MetricsFormat::kOpenMetrics
                                      : MetricsFormat::kPrometheusText);
}

}  // namespace selvedge
