#include "cloud/api/views.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cloud/fleet/joining.h"
#include "core/event_json.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr double kMiB = 1024.0 * 1024.0;

std::int64_t Ms(std::int64_t nanos) {
  return nanos / kMillisecond;
}

std::string_view RoleName(v1::Role role) {
  return role == v1::GATEWAY ? "gateway" : "device";
}

std::string_view KindName(v1::ServiceKind kind) {
  return kind == v1::CONTAINER ? "container" : kind == v1::PIPELINE ? "pipeline" : "";
}

std::string_view StateName(v1::ServiceState state) {
  switch (state) {
    case v1::WAITING: return "waiting";
    case v1::DOWNLOADING: return "downloading";
    case v1::STARTING: return "starting";
    case v1::RUNNING: return "running";
    case v1::FAILING: return "failing";
    case v1::STOPPED: return "stopped";
    case v1::REFUSED: return "refused";
    default: return "unknown";
  }
}

Json LabelsJson(const Node& node) {
  Json labels = Json::object();
  for (const auto& [key, value] : node.birth.labels()) labels[key] = value;
  return labels;
}

Json FactsJson(const Node& node) {
  const v1::Facts& facts = node.birth.facts();
  const std::uint64_t disk =
      node.state.disk_free_bytes() > 0 ? node.state.disk_free_bytes() : facts.disk_free_bytes();
  return {{"arch", facts.arch()},
          {"cpu", facts.cpu_model()},
          {"cores", facts.cpu_cores()},
          {"memory_mb", facts.memory_bytes() >> 20},
          {"os", facts.os()},
          {"kernel", facts.kernel()},
          {"hostname", facts.hostname()},
          {"gpu", facts.gpus()},
          {"tpu", facts.tpus()},
          {"npu", facts.npus()},
          {"engines", std::vector<std::string>(facts.engines().begin(), facts.engines().end())},
          {"cameras", std::vector<std::string>(facts.cameras().begin(), facts.cameras().end())},
          {"containers", facts.containers()},
          {"disk_free_mb", disk >> 20}};
}

// Accelerators that a label declares and the device did not find.
Json DeclaredJson(const Node& node) {
  const v1::Facts& facts = node.birth.facts();
  const std::pair<const char*, std::uint32_t> found[] = {
      {"gpu", facts.gpus()}, {"tpu", facts.tpus()}, {"npu", facts.npus()}};
  Json declared = Json::array();
  for (const auto& [key, count] : found) {
    const auto label = node.birth.labels().find(key);
    if (label != node.birth.labels().end() && count == 0 && AcceleratorCount(&label->second) > 0) {
      declared.push_back(key);
    }
  }
  return declared;
}

Json LedgerJson(const v1::LedgerCounts& ledger) {
  Json dropped = Json::object();
  for (const auto& [reason, count] : ledger.dropped()) dropped[reason] = count;
  return {{"in", ledger.in()},
          {"local", ledger.local()},
          {"cloud", ledger.cloud()},
          {"stored", ledger.stored()},
          {"dropped", dropped}};
}

Json PipelineJson(const v1::PipelineMetrics& pipeline) {
  return {{"fps", pipeline.frames_per_second()},
          {"p50_ms", pipeline.latency_p50_ms()},
          {"p90_ms", pipeline.latency_p90_ms()},
          {"p99_ms", pipeline.latency_p99_ms()},
          {"ledger", LedgerJson(pipeline.ledger())},
          {"model", pipeline.model()},
          {"engine", pipeline.engine()},
          {"variant", pipeline.variant()},
          {"precision", pipeline.precision()},
          {"source_state", pipeline.source_state()},
          {"source_detail", pipeline.source_detail()},
          {"ready", pipeline.ready()},
          {"ready_detail", pipeline.ready_detail()},
          {"choice_reason", pipeline.choice_reason()},
          {"events_offered", pipeline.events_offered()},
          {"events_lost", pipeline.events_lost()},
          {"rss_mib", static_cast<double>(pipeline.rss_bytes()) / kMiB},
          {"cpu_share", pipeline.cpu_share()},
          {"privacy", pipeline.privacy().empty() ? "local-only" : pipeline.privacy()}};
}

Json ServiceJson(const v1::ServiceStatus& service) {
  Json ports = Json::array();
  for (const v1::Port& port : service.ports()) {
    ports.push_back({{"external", port.external()}, {"internal", port.internal()}});
  }
  Json json = {{"application", service.application()},
               {"name", service.name()},
               {"kind", KindName(service.kind())},
               {"version", service.version()},
               {"digest", service.digest()},
               {"state", StateName(service.state())},
               {"message", service.message()},
               {"restarts", service.restarts()},
               {"since_ms", Ms(service.since_unix_ns())},
               {"progress", service.progress()},
               {"ports", ports}};
  if (service.has_pipeline()) json["pipeline"] = PipelineJson(service.pipeline());
  return json;
}

const v1::ServiceStatus* FindService(const Node& node, std::string_view application,
                                     std::string_view name) {
  for (const v1::ServiceStatus& service : node.state.services()) {
    if (service.application() == application && service.name() == name) return &service;
  }
  return nullptr;
}

Json PlacementsJson(const Fleet& fleet, const ApplicationPlacement& placement,
                    const std::string& service) {
  Json list = Json::array();
  for (const PlacementVerdict& verdict : placement.devices) {
    const Node* node = fleet.Find(verdict.device);
    if (node == nullptr) continue;
    const v1::ServiceStatus* status = FindService(*node, placement.application, service);
    list.push_back({{"device", verdict.device},
                    {"site", node->site},
                    {"fits", verdict.fits},
                    {"reasons", verdict.reasons},
                    {"state", status == nullptr ? "" : StateName(status->state())},
                    {"message", status == nullptr ? "" : status->message()}});
  }
  return list;
}

// "x", or nothing where the numbers are of several.
template <typename F>
std::string TheOnly(const Microservice& service, F&& read) {
  std::string only;
  for (const auto& [arch, image] : service.images) {
    const std::string value = read(image);
    if (!only.empty() && value != only) return "";
    only = value;
  }
  return only;
}

}  // namespace

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json DeviceJson(const Node& node) {
  Json services = Json::array();
  for (const v1::ServiceStatus& service : node.state.services()) {
    services.push_back(ServiceJson(service));
  }
  const v1::OutboxStatus& outbox = node.state.outbox();
  return {{"name", node.name},
          {"site", node.site},
          {"role", RoleName(node.role)},
          {"status", NodeStatusName(node.status)},
          {"status_reason", node.status_reason},
          {"status_since_ms", node.status_since_ms},
          {"joined_ms", node.joined_ms},
          {"last_seen_ms", node.last_seen_ms},
          {"started_ms", Ms(node.birth.started_unix_ns())},
          {"version", node.birth.version()},
          {"labels", LabelsJson(node)},
          {"facts", FactsJson(node)},
          {"declared", DeclaredJson(node)},
          {"generation",
           {{"desired", node.desired.generation()}, {"observed", node.state.generation()}}},
          {"in_sync", node.InSync()},
          {"trouble", node.Trouble()},
          {"failing", node.Failing()},
          {"outbox",
           {{"waiting", outbox.waiting()},
            {"accepted", outbox.accepted()},
            {"dropped", outbox.dropped()},
            {"bytes", outbox.bytes()}}},
          {"agent_rss_mib", static_cast<double>(node.state.rss_bytes()) / kMiB},
          {"temperature_celsius", node.state.temperature_celsius()},
          {"clock_offset_ms", node.clock_offset_ms},
          {"services", services}};
}

Json ApplicationJson(const Fleet& fleet, const ApplicationRecord& record,
                     const ApplicationPlacement& placement) {
  Json services = Json::array();
  for (const Microservice& service : record.application.microservices) {
    Json images = Json::object();
    for (const auto& [arch, image] : service.images) images[arch] = image.text;
    const auto resolved = [&](const Image& image) {
      const auto it = record.images.find(image.text);
      return it == record.images.end() ? ResolvedImage{} : it->second;
    };
    services.push_back(
        {{"name", service.name},
         {"images", images},
         {"digest", TheOnly(service, [&](const Image& image) { return resolved(image).digest; })},
         {"version", TheOnly(service, [&](const Image& image) { return resolved(image).version; })},
         {"kind", TheOnly(service,
                          [](const Image& image) {
                            return std::string(image.kind == ImageKind::kPipeline ? "pipeline"
                                                                                  : "container");
                          })},
         {"placements", PlacementsJson(fleet, placement, service.name)}});
  }
  return {{"name", record.application.name},
          {"created_ms", record.created_ms},
          {"applied_ms", record.applied_ms},
          {"manifest", record.manifest},
          {"microservices", services}};
}

Json SitesJson(const Fleet& fleet) {
  struct Site {
    const Node* gateway = nullptr;
    int devices = 0;
    int online = 0;
  };
  std::map<std::string, Site> sites;
  for (const auto& [name, node] : fleet.nodes()) {
    Site& site = sites[node.site];
    if (node.role == v1::GATEWAY) {
      site.gateway = &node;
    } else {
      ++site.devices;
      site.online += node.status == NodeStatus::kOnline ? 1 : 0;
    }
  }
  Json list = Json::array();
  for (const auto& [name, site] : sites) {
    list.push_back(
        {{"name", name},
         {"gateway", site.gateway == nullptr ? Json(nullptr) : DeviceJson(*site.gateway)},
         {"devices", site.devices},
         {"online", site.online}});
  }
  return list;
}

Json SeriesJson(const SeriesTable::Window& window) {
  const auto list = [](const std::vector<std::optional<double>>& values) {
    Json out = Json::array();
    for (const auto& value : values) out.push_back(value ? Json(*value) : Json(nullptr));
    return out;
  };
  Json services = Json::object();
  for (const auto& [name, series] : window.services) {
    services[name] = {{"fps", list(series.fps)},
                      {"p50", list(series.p50)},
                      {"p99", list(series.p99)},
                      {"dropped", list(series.dropped)}};
  }
  return {
      {"step_s", SeriesTable::kStepSeconds}, {"begin", window.begin_ms}, {"services", services}};
}

Json PackageJson(const PackageInfo& package) {
  Json tags = Json::array();
  for (const PackageTag& tag : package.tags) {
    tags.push_back({{"tag", tag.tag},
                    {"digest", tag.digest},
                    {"size", tag.size},
                    {"variants", tag.variants},
                    {"pushed_ms", tag.pushed_ms}});
  }
  return {{"name", package.name}, {"tags", tags}};
}

Json TokenJson(const TokenRecord& token) {
  return {{"id", token.id},
          {"kind", token.join ? "join" : "user"},
          {"role", token.role},
          {"site", token.site},
          {"name", token.name},
          {"via", token.via},
          {"created_ms", token.created_ms},
          {"expires_ms", token.expires_ms},
          {"spent_by", token.spent_by}};
}

std::string EventJson(const StoredEvent& stored) {
  std::string line;
  AppendEventLine(stored.event, &line);  // an object of at least the id, and a newline
  const Json head = {{"cursor", std::to_string(stored.cursor)},
                     {"site", stored.site},
                     {"received_ms", stored.received_ms}};
  std::string out = Dump(head);
  out.back() = ',';
  out.append(line, 1, line.size() - 2);
  return out;
}

std::string AggregateJson(const StoredAggregate& stored) {
  google::protobuf::util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string text;
  (void)google::protobuf::util::MessageToJsonString(stored.aggregate, &text, options);
  const Json head = {{"cursor", std::to_string(stored.cursor)}, {"site", stored.site}};
  std::string out = Dump(head);
  out.back() = ',';
  out.append(text, 1);
  return out;
}

// ---- the stream --------------------------------------------------------------------------------

std::string DeviceMessage(const Node& node) {
  return Dump({{"type", "device"}, {"device", DeviceJson(node)}});
}

std::string RemovedMessage(std::string_view name) {
  return Dump({{"type", "removed"}, {"name", name}});
}

std::string ApplicationMessage(const Fleet& fleet, const std::string& name,
                               const std::vector<ApplicationPlacement>& placements) {
  const auto record = fleet.applications().find(name);
  const auto placement = std::ranges::find(placements, name, &ApplicationPlacement::application);
  if (record == fleet.applications().end() || placement == placements.end()) {
    return Dump({{"type", "removed"}, {"application", name}});
  }
  return Dump({{"type", "application"},
               {"application", ApplicationJson(fleet, record->second, *placement)}});
}

}  // namespace selvedge
