#include <sys/utsname.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/gateway_core.h"

// What a gateway does by the clock: acknowledgements, batches, windows, and its own birth and
// state.

namespace selvedge {
namespace {

constexpr Nanos kStateEvery = 30 * kSecond;
constexpr Nanos kLookEvery = kSecond;  // whether the own state changed
constexpr Nanos kTroubleLife = 60 * kSecond;
constexpr std::uint32_t kDefaultWindowSeconds = 60;

Nanos WindowLength(const v1::GatewayPolicy& policy) {
  const std::uint32_t seconds =
      policy.window_seconds() == 0 ? kDefaultWindowSeconds : policy.window_seconds();
  return std::clamp<Nanos>(seconds, 1, 86'400) * kSecond;
}

}  // namespace

v1::Birth GatewayCore::OwnBirth(bool online) const {
  v1::Birth birth;
  birth.set_device(options_.identity.name);
  birth.set_boot_id(boot_id_);
  birth.set_online(online);
  birth.set_version(options_.version);
  birth.set_started_unix_ns(started_wall_);
  birth.set_role(v1::GATEWAY);
  if (!online) return birth;
  utsname system = {};
  if (uname(&system) == 0) {
    const std::string_view machine = system.machine;
    birth.mutable_facts()->set_arch(machine == "x86_64"    ? "x86"
                                    : machine == "aarch64" ? "arm64"
                                                           : std::string(machine.substr(0, 3)));
    birth.mutable_facts()->set_kernel(system.release);
    birth.mutable_facts()->set_hostname(system.nodename);
  }
  birth.mutable_facts()->set_cpu_cores(std::thread::hardware_concurrency());
  birth.mutable_facts()->set_disk_free_bytes(FreeBytes(options_.state_folder.c_str()));
  for (const auto& [key, value] : options_.labels) (*birth.mutable_labels())[key] = value;
  return birth;
}

std::string GatewayCore::Trouble() const {
  if (!store_trouble_.empty() && clock_.Monotonic() - store_failed_ < kTroubleLife) {
    return "events cannot be kept: " + store_trouble_;
  }
  if (broker_ != nullptr && !broker_->running()) return "the site's broker is not running";
  return "";
}

v1::State GatewayCore::OwnState() const {
  v1::State state;
  state.set_device(options_.identity.name);
  state.set_boot_id(boot_id_);
  state.set_sequence(state_sequence_);
  state.set_generation(generation_);
  if (const Result<OutboxView> view = store_->outbox()->View()) {
    *state.mutable_outbox() = view->counters.ToProto();
  }
  state.set_time_unix_ns(clock_.Wall());
  state.set_trouble(Trouble());
  state.set_rss_bytes(ResidentBytes());
  state.set_disk_free_bytes(FreeBytes(options_.state_folder.c_str()));
  return state;
}

void GatewayCore::SendOwnState(bool even_if_unchanged) {
  if (cloud_ == nullptr || !cloud_->connected()) return;
  const Nanos now = clock_.Monotonic();
  v1::State state = OwnState();
  std::string meaning = MeaningOf(state);
  if (!even_if_unchanged && meaning == state_meaning_ && now - state_sent_ < kStateEvery) return;
  state.set_sequence(++state_sequence_);
  const Status sent =
      cloud_->Publish(TopicName(options_.identity.site, options_.identity.name, TopicKind::kState),
                      state.SerializeAsString(), 1, true);
  if (!sent.ok()) return;
  state_meaning_ = std::move(meaning);
  state_sent_ = now;
}

void GatewayCore::CloseWindows() {
  const Result<int> closed = store_->CloseWindows(WindowLength(policy_));
  if (!closed) return NoteFailure(closed.error());
  if (*closed > 0) store_trouble_.clear();
  metrics_.aggregates.Add(static_cast<std::uint64_t>(*closed));
}

Nanos GatewayCore::NextTime() {
  const Nanos now = clock_.Monotonic();
  Nanos next = state_looked_ + kLookEvery;
  const auto sooner = [&next](std::optional<Nanos> time) {
    if (time && *time < next) next = *time;
  };
  for (const auto& [device, pending] : acks_) {
    if (pending.waiting) sooner(pending.due);
  }
  sooner(relay_.NextTime());
  // Where the disk is full what is due stays due: that is no reason to be busy.
  if (store_trouble_.empty()) {
    sooner(sender_->NextTime());
    sooner(store_->NextClose(WindowLength(policy_)));
  }
  return std::max(next, now + kMillisecond);
}

void GatewayCore::RunTimer() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const Nanos now = clock_.Monotonic();
    SendAcks(now);
    CloseWindows();
    Pump();
    if (cloud_->connected()) PublishUp(relay_.Due(now));
    if (now - state_looked_ >= kLookEvery) {
      state_looked_ = now;
      SendOwnState(false);
    }
    wake_.wait_for(lock, std::chrono::nanoseconds(NextTime() - clock_.Monotonic()));
  }
}

void GatewayCore::UpdateMetrics() {
  const MqttTraffic traffic = cloud_->traffic();
  GatewayMetrics::Follow(metrics_.uplink_payload_sent, traffic.payload_bytes_sent);
  GatewayMetrics::Follow(metrics_.uplink_payload_received, traffic.payload_bytes_received);
  GatewayMetrics::Follow(metrics_.uplink_ip_sent, traffic.ip_bytes_sent());
  GatewayMetrics::Follow(metrics_.uplink_ip_received, traffic.ip_bytes_received());
  metrics_.cloud_connected.Set(cloud_->connected() ? 1 : 0);
  metrics_.broker_restarts.Set(static_cast<double>(broker_->restarts()));
  metrics_.resident_bytes.Set(static_cast<double>(ResidentBytes()));
  const std::lock_guard lock(mutex_);
  GatewayMetrics::Follow(metrics_.strangers, relay_.strangers());
  GatewayMetrics::Follow(metrics_.malformed, relay_.malformed() + malformed_);
  metrics_.devices_online.Set(relay_.online());
  if (const Result<OutboxView> view = store_->outbox()->View()) {
    metrics_.outbox_waiting.Set(static_cast<double>(view->counters.waiting));
    metrics_.outbox_dropped.Set(static_cast<double>(view->counters.dropped));
    metrics_.outbox_bytes.Set(static_cast<double>(view->counters.bytes));
  }
}

}  // namespace selvedge
