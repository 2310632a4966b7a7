// What the Reconciler reports of each service: state, and one sentence where it needs one.

#include <algorithm>
#include <cmath>

#include "device/agent/reconcile.h"

namespace selvedge {
namespace {

std::string Named(const v1::ServiceSpec& spec) {
  return spec.version().empty() ? spec.digest().substr(0, 19) : "version " + spec.version();
}

}  // namespace

std::vector<v1::ServiceStatus> Reconciler::Report(Nanos wall) {
  std::vector<v1::ServiceStatus> report;
  for (auto& [key, service] : services_) {
    v1::ServiceStatus status = Describe(key, service);
    if (status.state() != service.state) {
      service.state = status.state();
      service.since = wall;
    }
    status.set_since_unix_ns(service.since);
    report.push_back(std::move(status));
  }
  return report;
}

v1::ServiceStatus Reconciler::Describe(const ServiceKey& key, const Service& service) const {
  v1::ServiceStatus status;
  status.set_application(key.application);
  status.set_name(key.name);
  status.set_restarts(service.restarts);
  const bool runs = service.instance != Instance::kNone;
  const v1::ServiceSpec& spec = runs || !service.wanted ? service.running : *service.wanted;
  status.set_kind(spec.kind());
  status.set_version(spec.version());
  *status.mutable_ports() = spec.ports();
  if (runs) {
    status.set_digest(service.running.digest());
    DescribeRunning(service, &status);
  } else {
    DescribeIdle(service, &status);
  }
  return status;
}

void Reconciler::DescribeRunning(const Service& service, v1::ServiceStatus* status) const {
  const bool pipeline = service.running.kind() != v1::CONTAINER;
  const bool up = service.instance == Instance::kRunning && (!pipeline || service.told);
  status->set_state(up ? v1::RUNNING : v1::STARTING);
  status->set_progress(1);
  if (service.told) *status->mutable_pipeline() = service.metrics;
  if (service.told && !service.metrics.ready()) status->set_message(service.metrics.ready_detail());
  if (service.instance == Instance::kStopping) {
    status->set_state(service.wanted ? v1::WAITING : v1::STOPPED);
    status->set_message(service.hung     ? "nothing was heard of it; it is being killed"
                        : service.wanted ? "waits until the one before it has ended"
                                         : "is being stopped");
    return;
  }
  if (!service.wanted || service.wanted_print == service.running_print) return;
  if (!service.refusal.ok()) {
    status->set_state(v1::REFUSED);
    status->set_message(service.refusal.message() + "; " + Named(service.running) + " goes on");
    return;
  }
  const Fetch* fetch = FetchOf(*service.wanted);
  if (fetch == nullptr) return;
  status->set_progress(fetch->progress);
  if (fetch->state == Content::kFailed) {
    status->set_message(Named(*service.wanted) + " cannot be fetched: " + fetch->failure);
  } else if (fetch->state == Content::kFetching) {
    status->set_message(Named(*service.wanted) + " is being fetched");
  }
}

void Reconciler::DescribeIdle(const Service& service, v1::ServiceStatus* status) const {
  if (!service.wanted) {
    status->set_state(v1::STOPPED);
    return;
  }
  if (!service.refusal.ok()) {
    status->set_state(v1::REFUSED);
    status->set_message(service.refusal.message());
    return;
  }
  const Fetch* fetch = FetchOf(*service.wanted);
  if (fetch == nullptr || fetch->state != Content::kReady) {
    status->set_state(v1::DOWNLOADING);
    if (fetch == nullptr) return;
    status->set_progress(fetch->progress);
    if (fetch->state == Content::kFailed) {
      status->set_state(v1::FAILING);
      status->set_message("cannot be fetched: " + fetch->failure);
    }
    return;
  }
  status->set_progress(1);
  if (!service.waiting.empty()) {
    status->set_state(v1::WAITING);
    status->set_message(service.waiting);
  } else if (!service.failure.empty()) {
    status->set_state(v1::FAILING);
    status->set_message(service.failure);
  } else {
    status->set_state(v1::STARTING);
  }
}

}  // namespace selvedge
