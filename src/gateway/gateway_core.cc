#include "gateway/gateway_core.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/event_id.h"
#include "net/mqtt/broker_acl.h"

namespace selvedge {
namespace {

constexpr std::string_view kLog = "gateway";
// A batch of numbers that are not acknowledged holds a window of the sender's; so many are answered
// at once.
constexpr int kBatchesPerAck = 4;

std::string NewBootId(const Clock& clock) {
  return std::string(EventIdGenerator(clock, EventIdGenerator::RandomSeed()).Next().text());
}

}  // namespace

GatewayCore::GatewayCore(GatewayOptions options, MetricsRegistry* registry, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      metrics_(registry),
      boot_id_(NewBootId(clock)),
      started_wall_(clock.Wall()),
      relay_(options_.relay) {}

GatewayCore::~GatewayCore() {
  Stop();
}

Status GatewayCore::Start() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      store_, SiteStore::Open(options_.state_folder + "/gateway.db", clock_, options_.store));
  SELVEDGE_RETURN_IF_ERROR(LoadDesired());
  SELVEDGE_RETURN_IF_ERROR(StartBroker());
  const std::lock_guard lock(mutex_);
  sender_.emplace(
      store_->outbox(), clock_,
      [this](const v1::EventBatch& batch) {
        // QoS 0: our own Ack is what counts.
        return cloud_ != nullptr &&
               cloud_
                   ->Publish(
                       TopicName(options_.identity.site, options_.identity.name, TopicKind::kEvent),
                       batch.SerializeAsString(), 0, false)
                   .ok();
      },
      BatchSenderOptions{.gather = options_.gather});
  SELVEDGE_RETURN_IF_ERROR(StartClients());
  timer_ = std::thread([this] { RunTimer(); });
  return OkStatus();
}

Status GatewayCore::LoadDesired() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const auto own, store_->FindDesired(options_.identity.name));
  v1::Desired desired;
  if (own && desired.ParseFromString(*own)) HandleOwnDesired(desired);
  return OkStatus();
}

Status GatewayCore::StartBroker() {
  const NodeIdentity& identity = options_.identity;
  BrokerOptions broker;
  broker.folder = options_.state_folder + "/broker";
  broker.listeners = options_.listeners;
  // For the gateway itself, whatever the devices' listeners are bound to.
  broker.listeners.emplace_back();
  broker.certificate_file = identity.certificate_file;
  broker.key_file = identity.key_file;
  broker.ca_file = identity.ca_file;
  broker.acl = SiteBrokerAcl(identity.site, identity.name);
  broker.executable = options_.mosquitto;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(broker_, Broker::Start(std::move(broker)));
  return OkStatus();
}

// Called with the lock held, so that what the clients say at once waits until all is in place.
Status GatewayCore::StartClients() {
  const NodeIdentity& identity = options_.identity;
  MqttOptions site;
  site.client_id = identity.name;
  site.ca_file = identity.ca_file;
  site.certificate_file = identity.certificate_file;
  site.key_file = identity.key_file;
  MqttOptions cloud = site;

  // The certificate names this address, whatever else it names.
  site.uris = {"mqtts://127.0.0.1:" + std::to_string(broker_->ports().back())};
  site.retry_max = kSecond;
  site.max_queued_messages = 20'000;
  site.log_name = "site";
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      site_,
      MqttClient::Start(std::move(site),
                        {.connected = [this] { OnSiteConnected(); },
                         .message = [this](MqttMessage m) { OnSiteMessage(std::move(m)); }}));
  for (const TopicKind kind :
       {TopicKind::kBirth, TopicKind::kState, TopicKind::kEvent, TopicKind::kResult}) {
    const int qos = kind == TopicKind::kEvent ? 0 : 1;
    SELVEDGE_RETURN_IF_ERROR(site_->Subscribe(TopicName(identity.site, "+", kind), qos));
  }

  cloud.uris = identity.mqtt;
  cloud.proxy = options_.proxy;
  cloud.retry_max = options_.retry_max;
  cloud.keep_alive = 60 * kSecond;  // the uplink may be paid for by the byte
  cloud.will = MqttMessage{TopicName(identity.site, identity.name, TopicKind::kBirth),
                           OwnBirth(false).SerializeAsString(), 1, true};
  cloud.max_queued_messages = 20'000;
  cloud.log_name = "uplink";
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      cloud_, MqttClient::Start(
                  std::move(cloud),
                  {.connected = [this] { OnCloudConnected(); },
                   .lost = [this](const Status& reason, bool was) { OnCloudLost(reason, was); },
                   .message = [this](MqttMessage m) { OnCloudMessage(std::move(m)); }}));
  SELVEDGE_RETURN_IF_ERROR(
      cloud_->Subscribe(TopicName(identity.site, "+", TopicKind::kDesired), 1));
  SELVEDGE_RETURN_IF_ERROR(
      cloud_->Subscribe(TopicName(identity.site, "+", TopicKind::kCommand), 1));
  return cloud_->Subscribe(TopicName(identity.site, identity.name, TopicKind::kAck), 0);
}

void GatewayCore::Stop() {
  const std::lock_guard one_at_a_time(stop_mutex_);
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && cloud_ != nullptr && cloud_->connected()) {
      // Meant, not lost: there is no Will after a good-bye.
      (void)cloud_->Publish(
          TopicName(options_.identity.site, options_.identity.name, TopicKind::kBirth),
          OwnBirth(false).SerializeAsString(), 1, true);
    }
    stopping_ = true;
  }
  wake_.notify_all();
  if (timer_.joinable()) timer_.join();
  if (cloud_ != nullptr) cloud_->Stop();
  if (site_ != nullptr) site_->Stop();
  if (broker_ != nullptr) broker_->Stop();
}

std::string GatewayCore::NotReady() const {
  if (broker_ == nullptr || !broker_->running()) return "the site's broker is not running";
  if (site_ == nullptr || !site_->connected()) return "the site's broker is not reached";
  const std::lock_guard lock(mutex_);
  return store_trouble_;
}

bool GatewayCore::IsMember(std::string_view device, std::string_view certificate_sha256) const {
  const std::lock_guard lock(mutex_);
  const auto found = certificates_.find(std::string(device));
  return found != certificates_.end() && found->second == certificate_sha256;
}

// --- The site's side.

void GatewayCore::OnSiteConnected() {
  const std::lock_guard lock(mutex_);
  // The broker keeps nothing: it may be a new one.
  const auto all = store_->AllDesired();
  if (!all) return NoteFailure(all.error());
  for (const SiteStore::Desired& desired : *all) {
    if (desired.device != options_.identity.name) {
      PublishDown(desired.device, TopicKind::kDesired, desired.payload);
    }
  }
}

void GatewayCore::OnSiteMessage(MqttMessage message) {
  const std::optional<Topic> topic = ParseTopic(message.topic);
  if (!topic || topic->site != options_.identity.site || !IsUpward(topic->kind) ||
      topic->node == options_.identity.name) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  const Nanos now = clock_.Monotonic();
  if (!relay_.IsMember(topic->node) && told_strangers_.size() < 1000 &&
      told_strangers_.insert(topic->node).second) {
    log::Warning(kLog, "dropping messages of a name that is no member of the site",
                 {{"name", topic->node}});
  }
  switch (topic->kind) {
    case TopicKind::kBirth:
      PublishUp(relay_.OnBirth(topic->node, std::move(message.payload), now));
      break;
    case TopicKind::kState:
      PublishUp(relay_.OnState(topic->node, std::move(message.payload), now));
      break;
    case TopicKind::kResult: HandleResult(topic->node, std::move(message)); break;
    default: HandleEvents(topic->node, message);
  }
  wake_.notify_one();
}

void GatewayCore::HandleResult(const std::string& device, MqttMessage message) {
  v1::CommandResult result;
  if (!relay_.IsMember(device)) {
    relay_.CountStranger();
  } else if (!result.ParseFromString(message.payload)) {
    ++malformed_;
  } else if (cloud_ != nullptr) {
    metrics_.forwarded_up.Add();
    (void)cloud_->Publish(std::move(message.topic), std::move(message.payload), 1, false);
  }
}

void GatewayCore::HandleEvents(const std::string& device, const MqttMessage& message) {
  if (!relay_.IsMember(device)) {
    relay_.CountStranger();
    return;
  }
  v1::EventBatch batch;
  if (!batch.ParseFromString(message.payload)) {
    metrics_.batches_refused.Add();
    return;
  }
  const Result<SiteStore::Taken> taken = store_->Accept(device, batch, policy_.raw());
  if (!taken) {
    metrics_.batches_refused.Add();
    // A malformed batch is its sender's trouble, and nothing of our store's.
    if (taken.error().code() == StatusCode::kInvalidArgument) {
      if (store_errors_.Allow(clock_.Monotonic())) {
        log::Warning(kLog, "a batch of events was refused",
                     {{"device", device}, {"reason", taken.error().message()}});
      }
      return;
    }
    return NoteFailure(taken.error());
  }
  // What was had already needed no room.
  if (taken->fresh > 0) store_trouble_.clear();
  metrics_.batches.Add();
  metrics_.events.Add(taken->fresh);
  metrics_.events_doubled.Add(taken->doubled);
  metrics_.events_passed_on.Add(taken->passed_on);
  if (taken->gap) metrics_.gaps.Add();
  Queue(device, *taken);
  if (taken->passed_on > 0) Pump();
}

void GatewayCore::Queue(const std::string& device, const SiteStore::Taken& taken) {
  PendingAck& pending = acks_[device];
  const Nanos now = clock_.Monotonic();
  pending.ack = taken.ack;
  ++pending.batches;
  if (!pending.waiting) {
    pending.waiting = true;
    pending.due = std::max(now, pending.due);  // `due` was set when the last one was sent
  }
  // Whoever sends what we have, or leaves something out, is to know at once.
  if (taken.gap || taken.doubled > 0 || pending.batches >= kBatchesPerAck) pending.due = now;
  SendAcks(now);
}

void GatewayCore::SendAcks(Nanos now) {
  for (auto& [device, pending] : acks_) {
    if (!pending.waiting || pending.due > now) continue;
    pending.waiting = false;
    pending.batches = 0;
    pending.due = now + options_.ack_interval;
    metrics_.acks_sent.Add();
    (void)site_->Publish(TopicName(options_.identity.site, device, TopicKind::kAck),
                         pending.ack.SerializeAsString(), 0, false);
  }
}

void GatewayCore::PublishDown(const std::string& node, TopicKind kind, std::string payload) {
  metrics_.forwarded_down.Add();
  // Where it is not taken the connection is gone; what is kept is said again with the next one.
  (void)site_->Publish(TopicName(options_.identity.site, node, kind), std::move(payload), 1,
                       kind == TopicKind::kDesired);
}

// --- The cloud's side.

void GatewayCore::OnCloudConnected() {
  const std::lock_guard lock(mutex_);
  (void)cloud_->Publish(
      TopicName(options_.identity.site, options_.identity.name, TopicKind::kBirth),
      OwnBirth(true).SerializeAsString(), 1, true);
  SendOwnState(true);
  PublishUp(relay_.OnUplink(clock_.Monotonic()));
  sender_->Connected();
  Pump();
  wake_.notify_one();
}

void GatewayCore::OnCloudLost(const Status& /*reason*/, bool was_connected) {
  const std::lock_guard lock(mutex_);
  if (was_connected) sender_->Disconnected();
}

void GatewayCore::OnCloudMessage(MqttMessage message) {
  const std::optional<Topic> topic = ParseTopic(message.topic);
  if (!topic || topic->site != options_.identity.site || IsUpward(topic->kind)) return;
  const std::lock_guard lock(mutex_);
  if (stopping_) return;
  switch (topic->kind) {
    case TopicKind::kAck: {
      v1::Ack ack;
      if (!ack.ParseFromString(message.payload)) {
        ++malformed_;
        break;
      }
      NoteFailure(sender_->OnAck(ack));
      Pump();
      break;
    }
    case TopicKind::kDesired: HandleDesired(topic->node, message); break;
    case TopicKind::kCommand:
      if (topic->node != options_.identity.name) {
        PublishDown(topic->node, TopicKind::kCommand, std::move(message.payload));
      }
      break;
    default: break;
  }
  wake_.notify_one();
}

void GatewayCore::HandleDesired(const std::string& device, const MqttMessage& message) {
  if (message.payload.empty()) {
    // The document was taken back: the device was deleted.
    if (device != options_.identity.name) ForgetDevices({device});
    return;
  }
  v1::Desired desired;
  if (!desired.ParseFromString(message.payload) || desired.device() != device) {
    ++malformed_;
    return;
  }
  const Result<bool> news = store_->KeepDesired(device, desired, message.payload);
  if (!news) {
    NoteFailure(news.error());
    // The device gets it all the same, as long as the broker lives.
  } else if (!*news) {
    return;
  }
  if (device == options_.identity.name) {
    HandleOwnDesired(desired);
    SendOwnState(false);
  } else {
    PublishDown(device, TopicKind::kDesired, message.payload);
  }
}

void GatewayCore::HandleOwnDesired(const v1::Desired& desired) {
  generation_ = desired.generation();
  policy_ = desired.gateway();
  std::set<std::string> members;
  certificates_.clear();
  for (const v1::Member& member : desired.members()) {
    if (!IsNodeName(member.device())) continue;
    members.insert(member.device());
    certificates_[member.device()] = member.certificate_sha256();
    told_strangers_.erase(member.device());
  }
  std::vector<std::string> gone;
  PublishUp(relay_.SetMembers(std::move(members), clock_.Monotonic(), &gone));
  ForgetDevices(gone);
}

void GatewayCore::ForgetDevices(const std::vector<std::string>& gone) {
  for (const std::string& device : gone) {
    NoteFailure(store_->Forget(device));
    acks_.erase(device);
    if (site_ == nullptr) continue;
    // Nothing of it stays behind in the broker.
    for (const TopicKind kind : {TopicKind::kBirth, TopicKind::kState, TopicKind::kDesired}) {
      (void)site_->Publish(TopicName(options_.identity.site, device, kind), "", 1, true);
    }
  }
}

void GatewayCore::PublishUp(const NodeRelay::Messages& messages) {
  if (cloud_ == nullptr || !cloud_->connected()) return;
  for (const NodeRelay::Message& message : messages) {
    metrics_.forwarded_up.Add();
    (void)cloud_->Publish(TopicName(options_.identity.site, message.node, message.kind),
                          message.payload, 1, true);
  }
}

void GatewayCore::Pump() {
  NoteFailure(sender_->Pump());
}

void GatewayCore::NoteFailure(const Status& status) {
  if (status.ok()) return;
  store_trouble_ = status.message();
  store_failed_ = clock_.Monotonic();
  if (store_errors_.Allow(store_failed_)) {
    log::Error(kLog, "the store failed; what is not kept is sent again by its device",
               {{"reason", status.message()}});
  }
}

}  // namespace selvedge
