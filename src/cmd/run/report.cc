#include "cmd/run/report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace selvedge {
namespace {

struct StageRow {
  const char* name;
  const LatencyHistogram& histogram;
};

std::vector<StageRow> Stages(const PipelineLatencies& l) {
  return {{"queue", l.queue},   {"preprocess", l.preprocess}, {"infer", l.infer},
          {"decode", l.decode}, {"order", l.order},           {"track", l.track},
          {"decide", l.decide}};
}

}  // namespace

std::string ToText(const RunReport& r) {
  std::string out;
  auto line = [&](const std::string& text) { out += text + '\n'; };
  line("");
  line(fmt::format("{}: {}", r.pipeline, r.ended));
  line(fmt::format("  source     {}", r.source));
  line(fmt::format("  captured   {}", r.source_pipeline));
  line(fmt::format("  model      {}, variant {} ({}), {} {} on {}, {} x {} thread{}", r.model,
                   r.variant, r.precision, r.engine, r.engine_version, r.device, r.workers,
                   r.threads, r.threads == 1 ? "" : "s"));
  if (!r.choice_reason.empty()) line(fmt::format("  chosen     {}", r.choice_reason));
  line(fmt::format("  frames     {}", r.ledger.ToString()));
  if (r.corrupt + r.reconnects > 0) {
    line(fmt::format("  trouble    {} corrupt frames skipped, {} reconnections", r.corrupt,
                     r.reconnects));
  }
  line(
      fmt::format("  speed      {:.1f} frames/s over {:.1f} s, {:.2f} ms CPU per frame, {:.0f} MiB "
                  "peak memory",
                  r.frames_per_second, r.seconds, r.cpu_ms_per_frame, r.peak_rss_mib));
  const LatencyHistogram& total = r.latencies->total;
  line(
      fmt::format("  latency    capture to decision: p50 {:.2f} ms, p90 {:.2f} ms, p99 {:.2f} ms, "
                  "max {:.2f} ms",
                  ToMillis(total.Percentile(50)), ToMillis(total.Percentile(90)),
                  ToMillis(total.Percentile(99)), ToMillis(total.Max())));
  std::string stages = "  stages p50 ";
  for (const StageRow& stage : Stages(*r.latencies)) {
    fmt::format_to(std::back_inserter(stages), "{} {:.2f}  ", stage.name,
                   ToMillis(stage.histogram.Percentile(50)));
  }
  line(stages + "ms");
  line(fmt::format("  seen       {} detections, {} rule events", r.detections, r.events));
  if (!r.events_path.empty()) {
    line(fmt::format("  events     {} lines to {}{}", r.events_written, r.events_path,
                     r.events_lost > 0 ? fmt::format(", {} lost", r.events_lost) : ""));
  }
  if (r.with_agent) {
    line(fmt::format("  agent      {} events committed, {} lost", r.agent_events_committed,
                     r.agent_events_lost));
  }
  if (!r.choice_table.empty()) {
    line("");
    line("What was measured on this machine:");
    out += r.choice_table;
  }
  return out;
}

std::string ToJson(const RunReport& r) {
  using nlohmann::json;
  auto percentiles = [](const LatencyHistogram& h) {
    return json{{"p50_ms", ToMillis(h.Percentile(50))},
                {"p90_ms", ToMillis(h.Percentile(90))},
                {"p99_ms", ToMillis(h.Percentile(99))},
                {"max_ms", ToMillis(h.Max())},
                {"mean_ms", h.MeanNanos() / 1e6}};
  };
  json dropped = json::object();
  for (int i = 0; i < kDropReasonCount; ++i) {
    dropped[DropReasonName(static_cast<DropReason>(i))] = r.ledger.dropped[i];
  }
  json stages = json::object();
  for (const StageRow& stage : Stages(*r.latencies)) {
    stages[stage.name] = percentiles(stage.histogram);
  }
  const json report = {
      {"pipeline", r.pipeline},
      {"ended", r.ended},
      {"source", r.source},
      {"source_pipeline", r.source_pipeline},
      {"model", r.model},
      {"engine", r.engine},
      {"engine_version", r.engine_version},
      {"device", r.device},
      {"variant", r.variant},
      {"precision", r.precision},
      {"threads", r.threads},
      {"workers", r.workers},
      {"choice_reason", r.choice_reason},
      {"ledger",
       {{"in", r.ledger.in},
        {"local", r.ledger.local},
        {"cloud", r.ledger.cloud},
        {"stored", r.ledger.stored},
        {"dropped", dropped},
        {"balances", r.ledger.Balances()}}},
      {"corrupt_frames", r.corrupt},
      {"reconnects", r.reconnects},
      {"detections", r.detections},
      {"rule_events", r.events},
      {"event_lines_written", r.events_written},
      {"event_lines_lost", r.events_lost},
      {"agent_events_committed", r.agent_events_committed},
      {"agent_events_lost", r.agent_events_lost},
      {"seconds", r.seconds},
      {"frames_per_second", r.frames_per_second},
      {"cpu_ms_per_frame", r.cpu_ms_per_frame},
      {"engine_cpu_ms_per_frame", r.engine_cpu_ms_per_frame},
      {"capture_cpu_ms_per_frame", r.capture_cpu_ms_per_frame},
      {"peak_rss_mib", r.peak_rss_mib},
      {"latency", percentiles(r.latencies->total)},
      {"stages", stages},
  };
  return report.dump(2);
}

}  // namespace selvedge
