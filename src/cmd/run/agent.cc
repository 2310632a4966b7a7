#include "cmd/run/agent.h"

#include "base/cpu.h"
#include "base/log.h"
#include "proto/fleet.pb.h"

namespace selvedge {
namespace {

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

}  // namespace

double CpuShare::Update(Nanos now) {
  const Nanos cpu = ProcessCpuTime();
  double share = 0;
  if (last_time_ > 0 && now > last_time_) {
    share = ToSeconds(cpu - last_cpu_) / ToSeconds(now - last_time_);
  }
  last_time_ = now;
  last_cpu_ = cpu;
  return share;
}

void FillMetrics(const PipelineStatus& status, int http_port, bool opened, std::string_view phase,
                 v1::PipelineMetrics* metrics) {
  metrics->set_frames_per_second(status.frames_per_second);
  metrics->set_latency_p50_ms(status.latency_p50_ms);
  metrics->set_latency_p90_ms(status.latency_p90_ms);
  metrics->set_latency_p99_ms(status.latency_p99_ms);
  v1::LedgerCounts* ledger = metrics->mutable_ledger();
  ledger->set_in(status.ledger.in);
  ledger->set_local(status.ledger.local);
  ledger->set_cloud(status.ledger.cloud);
  ledger->set_stored(status.ledger.stored);
  for (int i = 0; i < kDropReasonCount; ++i) {
    const auto count = status.ledger.dropped[static_cast<std::size_t>(i)];
    if (count == 0) continue;
    const std::string reason(DropReasonName(static_cast<DropReason>(i)));
    (*ledger->mutable_dropped())[reason] = count;
  }
  metrics->set_model(status.model);
  metrics->set_engine(status.engine);
  metrics->set_variant(status.variant);
  metrics->set_precision(status.precision);
  metrics->set_choice_reason(status.choice_reason);
  metrics->set_source_state(std::string(SourceStateName(status.source_state)));
  metrics->set_source_detail(log::MaskSecrets(status.source_detail));
  const Readiness ready = opened ? ReadinessOf(status) : Readiness{false, std::string(phase)};
  metrics->set_ready(ready.ready);
  metrics->set_ready_detail(log::MaskSecrets(ready.reason));
  metrics->set_http_port(static_cast<std::uint32_t>(http_port));
  metrics->set_rss_bytes(static_cast<std::uint64_t>(ResidentBytes()));
}

}  // namespace selvedge
