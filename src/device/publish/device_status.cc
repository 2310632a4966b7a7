#include "device/publish/device_status.h"

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "base/log.h"
#include "base/metrics.h"

namespace selvedge {
namespace {

constexpr std::string_view kClassicContentType = "text/plain; version=0.0.4; charset=utf-8";

std::string_view SourceStateName(PipelineStatus::Source state) {
  switch (state) {
    case PipelineStatus::Source::kStarting: return "starting";
    case PipelineStatus::Source::kRunning: return "running";
    case PipelineStatus::Source::kReconnecting: return "reconnecting";
    case PipelineStatus::Source::kEnded: return "ended";
    case PipelineStatus::Source::kFailed: return "failed";
  }
  return "unknown";
}

// Three decimals are what a reader can use.
double Rounded(double value) {
  return std::round(value * 1000) / 1000;
}

// OpenMetrics for those who ask for it and for those who accept anything; the classic format for
// older scrapers and for browsers, which would save a type they do not know to disk.
bool WantsClassic(std::string_view accept) {
  if (accept.find("application/openmetrics-text") != std::string_view::npos) return false;
  return accept.find("text/plain") != std::string_view::npos ||
         accept.find("text/html") != std::string_view::npos;
}

HttpResponse Json(std::string body) {
  HttpResponse response;
  response.content_type = "application/json";
  response.body = std::move(body);
  return response;
}

HttpResponse Metrics(const std::function<std::string()>& render, const HttpRequest& request) {
  HttpResponse response;
  response.headers.emplace_back("Vary", "Accept");
  response.body = render();
  response.content_type = MetricsRegistry::kContentType;
  if (WantsClassic(request.Header("Accept"))) {
    response.body = ToClassicMetrics(response.body);
    response.content_type = kClassicContentType;
  }
  return response;
}

// {"events": [...]} of lines that are JSON already.
HttpResponse Results(const std::vector<std::string>& lines) {
  std::string body = R"({"events":[)";
  for (const std::string& line : lines) {
    if (&line != &lines.front()) body += ',';
    body += line;
  }
  return Json(body + "]}");
}

HttpResponse Ready(const PipelineStatus& status) {
  const Readiness readiness = ReadinessOf(status);
  HttpResponse response;
  response.status = readiness.ready ? 200 : 503;
  response.body = readiness.ready ? "ready\n" : readiness.reason + "\n";
  return response;
}

// Calls `take` with each line of `text`, without its newline.
template <typename Take>
void ForEachLine(std::string_view text, Take take) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    take(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// "# TYPE name rest" into name and rest; empty where the line is no such comment.
struct Comment {
  std::string_view keyword;
  std::string_view name;
  std::string_view rest;
};
Comment ParseComment(std::string_view line) {
  if (!line.starts_with("# ")) return {};
  line.remove_prefix(2);
  const std::size_t keyword_end = std::min(line.find(' '), line.size());
  Comment comment{line.substr(0, keyword_end), {}, {}};
  line.remove_prefix(std::min(keyword_end + 1, line.size()));
  const std::size_t name_end = std::min(line.find(' '), line.size());
  comment.name = line.substr(0, name_end);
  comment.rest = line.substr(std::min(name_end + 1, line.size()));
  return comment;
}

}  // namespace

Readiness ReadinessOf(const PipelineStatus& status, double max_age_seconds) {
  switch (status.source_state) {
    case PipelineStatus::Source::kEnded: return {true, ""};
    case PipelineStatus::Source::kFailed:
      return {false, "the source failed: " + status.source_detail};
    case PipelineStatus::Source::kReconnecting:
    case PipelineStatus::Source::kStarting:
    case PipelineStatus::Source::kRunning: break;
  }
  if (status.last_frame_age_seconds < 0) return {false, "no frame has been decided yet"};
  if (status.last_frame_age_seconds > max_age_seconds) {
    return {false, "no frame for " + std::to_string(std::lround(status.last_frame_age_seconds)) +
                       " seconds" +
                       (status.source_detail.empty() ? "" : ": " + status.source_detail)};
  }
  return {true, ""};
}

std::string ToJson(const PipelineStatus& status) {
  using Json = nlohmann::ordered_json;
  Json dropped = Json::object();
  for (int i = 0; i < kDropReasonCount; ++i) {
    dropped[std::string(DropReasonName(static_cast<DropReason>(i)))] =
        status.ledger.dropped[static_cast<std::size_t>(i)];
  }
  Json counts = Json::object();
  for (const auto& [label, count] : status.counts) counts[label] = count;
  const std::uint64_t accounted = status.ledger.Accounted();
  const Json age = status.last_frame_age_seconds < 0 ? Json(nullptr)
                                                     : Json(Rounded(status.last_frame_age_seconds));
  const Json json = {
      {"pipeline", status.pipeline},
      {"device", status.device},
      {"source",
       {{"uri", log::MaskSecrets(status.source)},
        {"state", SourceStateName(status.source_state)},
        {"detail", log::MaskSecrets(status.source_detail)}}},
      {"uptime_s", Rounded(status.uptime_seconds)},
      {"last_frame_age_s", age},
      {"fps", Rounded(status.frames_per_second)},
      {"latency_ms",
       {{"p50", Rounded(status.latency_p50_ms)},
        {"p90", Rounded(status.latency_p90_ms)},
        {"p99", Rounded(status.latency_p99_ms)}}},
      {"ledger",
       {{"in", status.ledger.in},
        {"local", status.ledger.local},
        {"cloud", status.ledger.cloud},
        {"stored", status.ledger.stored},
        {"dropped", dropped},
        {"in_flight", status.ledger.in > accounted ? status.ledger.in - accounted : 0}}},
      {"model",
       {{"name", status.model},
        {"engine", status.engine},
        {"variant", status.variant},
        {"precision", status.precision},
        {"threads", status.threads},
        {"workers", status.workers},
        {"reason", status.choice_reason}}},
      {"counts", counts},
      {"events", {{"written", status.events_written}, {"lost", status.events_lost}}},
      {"privacy", status.privacy},
  };
  // Labels and URIs come from files: bytes that are no UTF-8 are replaced rather than thrown at.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ToClassicMetrics(std::string_view open_metrics) {
  std::set<std::string_view> counters;
  ForEachLine(open_metrics, [&](std::string_view line) {
    const Comment comment = ParseComment(line);
    if (comment.keyword == "TYPE" && comment.rest == "counter") counters.insert(comment.name);
  });
  std::string out;
  out.reserve(open_metrics.size());
  ForEachLine(open_metrics, [&](std::string_view line) {
    const Comment comment = ParseComment(line);
    if (comment.keyword == "EOF" || comment.keyword == "UNIT" || line.empty()) return;
    if (comment.keyword.empty() || !counters.contains(comment.name)) {
      out.append(line).append("\n");
      return;
    }
    // The classic format names a counter with its suffix, OpenMetrics the family without it.
    out.append("# ").append(comment.keyword).append(" ").append(comment.name).append("_total ");
    out.append(comment.rest).append("\n");
  });
  return out;
}

void AddDeviceStatus(HttpServer* server, DeviceStatusProviders providers) {
  server->Handle("GET", "/healthz", [](const HttpRequest&) {
    HttpResponse response;
    response.body = "ok\n";
    return response;
  });
  if (providers.metrics) {
    server->Handle("GET", "/metrics",
                   [render = std::move(providers.metrics)](const HttpRequest& request) {
                     return Metrics(render, request);
                   });
  }
  if (providers.results) {
    server->Handle("GET", "/api/results",
                   [results = std::move(providers.results)](const HttpRequest&) {
                     return Results(results());
                   });
  }
  if (!providers.status) return;
  auto status =
      std::make_shared<const std::function<PipelineStatus()>>(std::move(providers.status));
  server->Handle("GET", "/readyz", [status](const HttpRequest&) { return Ready((*status)()); });
  server->Handle("GET", "/api/status",
                 [status](const HttpRequest&) { return Json(ToJson((*status)())); });
}

}  // namespace selvedge
