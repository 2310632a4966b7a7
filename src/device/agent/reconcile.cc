#include "device/agent/reconcile.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace selvedge {
namespace {

constexpr double kRounding = 1e-6;

// What is handed out to one service at a time, by its name for people.
struct Share {
  const char* name;
  double (*of)(const v1::Resources&);
};
constexpr Share kShares[] = {
    {"GPU", [](const v1::Resources& r) -> double { return r.gpu(); }},
    {"TPU", [](const v1::Resources& r) -> double { return r.tpu(); }},
    {"memory", [](const v1::Resources& r) { return static_cast<double>(r.memory_bytes()); }},
    {"processors", [](const v1::Resources& r) { return r.cpus(); }}};

bool SharePort(const v1::ServiceSpec& a, const v1::ServiceSpec& b) {
  return std::ranges::any_of(a.ports(), [&](const v1::Port& port) {
    return std::ranges::any_of(
        b.ports(), [&](const v1::Port& other) { return other.external() == port.external(); });
  });
}

}  // namespace

Reconciler::Reconciler(ReconcileOptions options) : options_(std::move(options)) {}

Reconciler::Service* Reconciler::Find(const ServiceKey& key) {
  const auto found = services_.find(key);
  return found == services_.end() ? nullptr : &found->second;
}

// ---- What is desired --------------------------------------------------------------------------

void Reconciler::SetDesired(const v1::Desired& desired, Nanos now) {
  if (shut_down_) return;
  std::map<ServiceKey, const v1::ServiceSpec*> wanted;
  for (const v1::ServiceSpec& spec : desired.services()) wanted.emplace(KeyOf(spec), &spec);
  for (auto& [key, service] : services_) {
    if (!wanted.contains(key)) service.wanted.reset();
  }
  for (const auto& [key, spec] : wanted) {
    Service& service = services_[key];
    std::string print = FingerprintOf(*spec);
    if (service.wanted && service.wanted_print == print) continue;
    service.wanted = *spec;
    service.wanted_print = std::move(print);
    service.refusal = options_.check ? options_.check(*spec) : OkStatus();
    // What a version before it did says nothing about this one.
    service.failures = 0;
    service.not_before = now;
    service.failure.clear();
    service.waiting.clear();
    if (Fetch& fetch = fetches_[ContentKeyOf(*spec)]; fetch.state == Content::kFailed) {
      fetch = {};
    }
  }
}

void Reconciler::CheckAgain() {
  if (!options_.check) return;
  for (auto& [key, service] : services_) {
    if (service.wanted) service.refusal = options_.check(*service.wanted);
  }
}

Status Reconciler::Restart(const ServiceKey& key) {
  Service* service = Find(key);
  if (service == nullptr) {
    return NotFoundError("there is no microservice " + key.ToString() + " on this device");
  }
  if (service->instance == Instance::kRunning || service->instance == Instance::kStarting) {
    service->again = true;
    return OkStatus();
  }
  if (service->instance == Instance::kNone && service->wanted && service->refusal.ok()) {
    service->not_before = 0;  // no longer wait
    service->failures = 0;
    return OkStatus();
  }
  return FailedPreconditionError(key.ToString() + " does not run, so it cannot be restarted");
}

void Reconciler::ShutDown() {
  shut_down_ = true;
  for (auto& [key, service] : services_) service.wanted.reset();
}

// ---- What was observed ------------------------------------------------------------------------

void Reconciler::FetchProgress(const std::string& content, double fraction) {
  fetches_[content].progress = std::clamp(fraction, 0.0, 1.0);
}

void Reconciler::ContentReady(const std::string& content) {
  fetches_[content] = {.state = Content::kReady, .progress = 1};
}

void Reconciler::ContentLost(const std::string& content) {
  fetches_[content] = {};
}

void Reconciler::FetchFailed(const std::string& content, const Status& why, Nanos now) {
  Fetch& fetch = fetches_[content];
  fetch.state = Content::kFailed;
  fetch.failure = why.message();
  ++fetch.failures;
  fetch.retry = now + Wait(fetch.failures, options_.fetch_retry_first, options_.fetch_retry_max);
}

void Reconciler::Started(const ServiceKey& key, Nanos now) {
  Service* service = Find(key);
  if (service == nullptr || service->instance != Instance::kStarting) return;
  service->instance = Instance::kRunning;
  service->started = now;
  service->heard = now;
  service->told = false;
  service->hung = false;
  service->metrics.Clear();
}

void Reconciler::Adopted(const v1::ServiceSpec& spec, Nanos now) {
  Service& service = services_[KeyOf(spec)];
  service.instance = Instance::kRunning;
  service.running = spec;
  service.running_print = FingerprintOf(spec);
  service.started = now;
  service.heard = now;
  fetches_[ContentKeyOf(spec)] = {.state = Content::kReady, .progress = 1};
}

void Reconciler::Deferred(const ServiceKey& key, const std::string& why, Nanos now) {
  Service* service = Find(key);
  if (service == nullptr) return;
  service->instance = Instance::kNone;
  service->waiting = why;
  service->not_before = now + options_.defer;
}

void Reconciler::StartRefused(const ServiceKey& key, const Status& why) {
  Service* service = Find(key);
  if (service == nullptr) return;
  service->instance = Instance::kNone;
  service->refusal = why;
}

void Reconciler::StartFailed(const ServiceKey& key, const Status& why, Nanos now) {
  Service* service = Find(key);
  if (service == nullptr) return;
  service->instance = Instance::kNone;
  CountFailure(service, why.message(), now);
}

void Reconciler::Ended(const ServiceKey& key, const std::string& how, Nanos now) {
  Service* service = Find(key);
  if (service == nullptr || service->instance == Instance::kNone) return;
  const bool asked = service->instance == Instance::kStopping && !service->hung;
  const bool good = now - service->started >= options_.good_time;
  service->instance = Instance::kNone;
  service->metrics.Clear();
  service->told = false;
  if (asked) {
    service->not_before = now;
    service->failure.clear();
    if (service->again) ++service->restarts;
    service->again = false;
    return;
  }
  if (good) service->failures = 0;
  ++service->restarts;
  const bool hung = std::exchange(service->hung, false);
  CountFailure(service, hung ? "it hung (nothing was heard of it) and was killed" : how, now);
}

void Reconciler::Heard(const ServiceKey& key, const v1::PipelineMetrics* metrics, Nanos now) {
  Service* service = Find(key);
  if (service == nullptr || service->instance == Instance::kNone) return;
  service->heard = now;
  if (metrics == nullptr) return;
  service->told = true;
  service->metrics = *metrics;
}

Nanos Reconciler::Wait(int failures, Nanos first, Nanos most) const {
  const double doubled = static_cast<double>(first) * std::pow(2.0, std::min(failures - 1, 30));
  const double wait = std::min(doubled, static_cast<double>(most));
  const double jitter = options_.random ? options_.random() : 0;
  return static_cast<Nanos>(wait * (1 - jitter / 4));
}

void Reconciler::CountFailure(Service* service, const std::string& why, Nanos now) {
  ++service->failures;
  service->failure = why;
  service->not_before = now + Wait(service->failures, options_.restart_first, options_.restart_max);
}

// ---- What is to be done -----------------------------------------------------------------------

std::vector<Action> Reconciler::Step(Nanos now) {
  std::vector<Action> actions;
  for (auto& [key, service] : services_) StepService(key, &service, now, &actions);
  std::erase_if(services_, [&](const auto& entry) {
    const auto& [key, service] = entry;
    return !service.wanted && service.instance == Instance::kNone;
  });
  // What nobody needs any more is not remembered either.
  std::erase_if(fetches_, [&](const auto& entry) {
    return std::ranges::none_of(services_, [&](const auto& other) {
      const Service& service = other.second;
      return (service.wanted && ContentKeyOf(*service.wanted) == entry.first) ||
             (service.instance != Instance::kNone && ContentKeyOf(service.running) == entry.first);
    });
  });
  return actions;
}

// Whether the content of what is wanted is there; asks for it where not.
bool Reconciler::WantFetched(Service* service, Nanos now, std::vector<Action>* out) {
  Fetch& fetch = fetches_[ContentKeyOf(*service->wanted)];
  if (fetch.state == Content::kReady) return true;
  if (fetch.state == Content::kFetching) return false;
  if (fetch.state == Content::kFailed && now < fetch.retry) return false;
  fetch.state = Content::kFetching;
  out->push_back({Action::Kind::kFetch, KeyOf(*service->wanted), *service->wanted});
  return false;
}

// What still runs and leaves no room for `spec` beside it; empty where there is room. All that is
// desired fits together, whatever the device has (placement saw to that), but something that is
// leaving may still hold a share of it.
std::string Reconciler::InTheWay(const v1::ServiceSpec& spec) const {
  for (const auto& [key, service] : services_) {
    if (service.instance != Instance::kNone && SharePort(service.running, spec)) {
      return "waits for a port that " + key.ToString() + " still has";
    }
  }
  for (const Share& share : kShares) {
    const double asked = share.of(spec.resources());
    if (asked <= 0) continue;
    double room = kRounding;
    std::string holder;
    for (const auto& [key, service] : services_) {
      const double wanted = service.wanted ? share.of(service.wanted->resources()) : 0;
      const double held =
          service.instance == Instance::kNone ? 0 : share.of(service.running.resources());
      room += wanted - held;
      if (held > wanted) holder = key.ToString();
    }
    if (asked > room)
      return std::string("waits for ") + share.name + " that " + holder + " still has";
  }
  return {};
}

void Reconciler::CheckSilence(Service* service, Nanos now) {
  const bool pipeline = service->running.kind() != v1::CONTAINER;
  if (pipeline && now - service->heard >= options_.silence) service->hung = true;
}

void Reconciler::StepService(const ServiceKey& key, Service* service, Nanos now,
                             std::vector<Action>* out) {
  if (service->instance == Instance::kStopping || service->instance == Instance::kStarting) return;
  if (service->instance == Instance::kRunning) {
    CheckSilence(service, now);
    bool stop = service->hung || service->again || !service->wanted;
    if (service->wanted && service->wanted_print != service->running_print &&
        service->refusal.ok()) {
      stop = WantFetched(service, now, out) || stop;
    }
    if (!stop) return;
    service->instance = Instance::kStopping;
    out->push_back({Action::Kind::kStop, key, {}});
    return;
  }
  if (!service->wanted) {
    if (!shut_down_) out->push_back({Action::Kind::kForget, key, {}});
    return;
  }
  if (!service->refusal.ok() || shut_down_) return;
  if (!WantFetched(service, now, out) || now < service->not_before) return;
  service->waiting = InTheWay(*service->wanted);
  if (!service->waiting.empty()) {
    service->not_before = now + options_.defer;
    return;
  }
  service->instance = Instance::kStarting;
  service->running = *service->wanted;
  service->running_print = service->wanted_print;
  out->push_back({Action::Kind::kStart, key, *service->wanted});
}

std::optional<Nanos> Reconciler::NextTime() const {
  std::optional<Nanos> next;
  const auto at = [&](Nanos time) { next = next ? std::min(*next, time) : time; };
  for (const auto& [key, service] : services_) {
    if (service.instance == Instance::kRunning && service.running.kind() != v1::CONTAINER) {
      at(service.heard + options_.silence);
    }
    if (!service.wanted || !service.refusal.ok() || shut_down_) continue;
    const Fetch* fetch = FetchOf(*service.wanted);
    if (fetch != nullptr && fetch->state == Content::kFailed) at(fetch->retry);
    if (service.instance == Instance::kNone && fetch != nullptr &&
        fetch->state == Content::kReady) {
      at(service.not_before);
    }
  }
  return next;
}

const Reconciler::Fetch* Reconciler::FetchOf(const v1::ServiceSpec& spec) const {
  const auto found = fetches_.find(ContentKeyOf(spec));
  return found == fetches_.end() ? nullptr : &found->second;
}

std::vector<v1::ServiceSpec> Reconciler::Needed() const {
  std::vector<v1::ServiceSpec> needed;
  for (const auto& [key, service] : services_) {
    if (service.wanted) needed.push_back(*service.wanted);
    if (service.instance != Instance::kNone) needed.push_back(service.running);
  }
  return needed;
}

bool Reconciler::AnythingRuns() const {
  return std::ranges::any_of(
      services_, [](const auto& entry) { return entry.second.instance != Instance::kNone; });
}

const v1::ServiceSpec* Reconciler::Running(const ServiceKey& key) const {
  const auto found = services_.find(key);
  if (found == services_.end() || found->second.instance == Instance::kNone) return nullptr;
  return &found->second.running;
}

const v1::PipelineMetrics* Reconciler::MetricsOf(const ServiceKey& key) const {
  const auto found = services_.find(key);
  return found == services_.end() || !found->second.told ? nullptr : &found->second.metrics;
}

}  // namespace selvedge
