#include "device/agent/state_report.h"

#include <algorithm>
#include <cmath>

namespace selvedge {
namespace {

constexpr double kProgressStep = 0.1;

}  // namespace

std::string StatePacer::EssenceOf(v1::State state) {
  state.clear_sequence();
  state.clear_time_unix_ns();
  state.clear_outbox();
  state.clear_rss_bytes();
  state.clear_disk_free_bytes();
  state.clear_temperature_celsius();
  for (v1::ServiceStatus& service : *state.mutable_services()) {
    service.set_progress(std::floor(service.progress() / kProgressStep));
    if (!service.has_pipeline()) continue;
    // "no frame for 12 seconds" is the same trouble a second later.
    std::erase_if(*service.mutable_message(), [](char c) { return c >= '0' && c <= '9'; });
    v1::PipelineMetrics essence;
    essence.set_ready(service.pipeline().ready());
    essence.set_source_state(service.pipeline().source_state());
    essence.set_engine(service.pipeline().engine());
    essence.set_privacy(service.pipeline().privacy());
    essence.set_http_port(service.pipeline().http_port());
    *service.mutable_pipeline() = essence;
  }
  return state.SerializeAsString();
}

bool StatePacer::Due(const v1::State& state, Nanos now) {
  has_pipelines_ = std::ranges::any_of(
      state.services(), [](const v1::ServiceStatus& service) { return service.has_pipeline(); });
  std::string essence = EssenceOf(state);
  pending_ = !sent_ || essence != essence_;
  const Nanos wait = pending_ ? kShortest : has_pipelines_ ? metrics_interval_ : kLongest;
  if (sent_ && now - *sent_ < wait) return false;
  sent_ = now;
  essence_ = std::move(essence);
  pending_ = false;
  return true;
}

Nanos StatePacer::NextTime(Nanos now) const {
  if (!sent_) return now;
  return *sent_ + (pending_ ? kShortest : has_pipelines_ ? metrics_interval_ : kLongest);
}

}  // namespace selvedge
