#include "sim/gateway.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace selvedge {
namespace {

constexpr Nanos kTimer = 500 * kMillisecond;
constexpr Nanos kStateEvery = 30 * kSecond;

}  // namespace

SimGateway::SimGateway(SimLoop* loop, SimBroker* cloud_broker, const LinkQuality* uplink,
                       std::string name, std::string site, std::string store_file,
                       SimViolation violation)
    : loop_(*loop),
      name_(std::move(name)),
      site_(std::move(site)),
      store_file_(std::move(store_file)),
      violation_(std::move(violation)),
      broker_(loop, "the broker of " + site_),
      uplink_(loop, cloud_broker, uplink, name_, {.site = site_, .node = "+", .upward = false},
              {.connected = [this] { OnCloudConnected(); },
               .lost =
                   [this] {
                     if (sender_) sender_->Disconnected();
                   },
               .message = [this](const SimMessage& message) { OnCloud(message); }}) {}

void SimGateway::Check(const Status& status, std::string_view what) {
  if (!status.ok()) violation_(name_, fmt::format("{}: {}", what, status.message()));
}

void SimGateway::Start() {
  if (running_) return;
  running_ = true;
  ++life_;
  boot_id_ = fmt::format("{}-{}", name_, life_);
  state_sequence_ = 0;
  generation_ = 0;
  loop_.Note(name_, "starts");
  auto store = SiteStore::Open(store_file_, loop_.clock());
  if (!store) return Check(store.error(), "its store");
  store_ = *std::move(store);
  relay_.emplace();
  if (const auto own = store_->FindDesired(name_); own && *own) {
    v1::Desired desired;
    if (desired.ParseFromString(**own)) OnOwnDesired(desired);
  }
  sender_.emplace(
      store_->outbox(), loop_.clock(),
      [this](const v1::EventBatch& batch) {
        return uplink_.Publish(
            {{site_, name_, TopicKind::kEvent}, batch.SerializeAsString(), 0, false});
      },
      BatchSenderOptions{.gather = 200 * kMillisecond, .max_records = 16});
  StartBroker();
  uplink_.Start(
      SimMessage{{site_, name_, TopicKind::kBirth}, OwnBirth(false).SerializeAsString(), 1, true});
  Timer();
}

void SimGateway::Crash() {
  if (!running_) return;
  loop_.Note(name_, "is killed");
  running_ = false;
  ++life_;
  uplink_.Stop(false);
  broker_.Stop();
  sender_.reset();
  relay_.reset();
  store_.reset();
}

void SimGateway::StartBroker() {
  broker_.Start([this](const SimMessage& message, bool) {
    if (running_) OnSite(message);
  });
  const auto all = store_->AllDesired();
  if (!all) return Check(all.error(), "its documents");
  for (const SiteStore::Desired& desired : *all) {
    if (desired.device == name_) continue;
    broker_.Publish({{site_, desired.device, TopicKind::kDesired}, desired.payload, 1, true});
  }
}

void SimGateway::RestartBroker() {
  if (!running_) return;
  loop_.Note(name_, "its broker is killed");
  broker_.Stop();
  StartBroker();
}

// ---- the site's side ---------------------------------------------------------------------------

void SimGateway::OnSite(const SimMessage& message) {
  const std::string& node = message.topic.node;
  if (node == name_) return;
  switch (message.topic.kind) {
    case TopicKind::kBirth: PublishUp(relay_->OnBirth(node, message.payload, loop_.now())); break;
    case TopicKind::kState: PublishUp(relay_->OnState(node, message.payload, loop_.now())); break;
    case TopicKind::kEvent: OnEvents(message); break;
    default: break;
  }
}

void SimGateway::OnEvents(const SimMessage& message) {
  const std::string& node = message.topic.node;
  v1::EventBatch batch;
  if (!relay_->IsMember(node) || !batch.ParseFromString(message.payload)) return;
  const auto taken = store_->Accept(node, batch, policy_.raw());
  if (!taken) return Check(taken.error(), "a batch of " + node);
  broker_.Publish({{site_, node, TopicKind::kAck}, taken->ack.SerializeAsString(), 0, false});
  Check(sender_->Pump(), "its outbox");
}

// ---- the cloud's side --------------------------------------------------------------------------

void SimGateway::OnCloudConnected() {
  uplink_.Publish({{site_, name_, TopicKind::kBirth}, OwnBirth(true).SerializeAsString(), 1, true});
  SendOwnState();
  PublishUp(relay_->OnUplink(loop_.now()));
  sender_->Connected();
  Check(sender_->Pump(), "its outbox");
}

void SimGateway::OnCloud(const SimMessage& message) {
  if (message.topic.kind == TopicKind::kDesired) {
    OnDesired(message);
  } else if (message.topic.kind == TopicKind::kAck && message.topic.node == name_) {
    v1::Ack ack;
    if (!ack.ParseFromString(message.payload)) return;
    Check(sender_->OnAck(ack), "an Ack");
    Check(sender_->Pump(), "its outbox");
  }
}

void SimGateway::OnDesired(const SimMessage& message) {
  const std::string& node = message.topic.node;
  if (message.payload.empty()) {
    if (node != name_) ForgetDevices({node});
    return;
  }
  v1::Desired desired;
  if (!desired.ParseFromString(message.payload) || desired.device() != node) {
    violation_(name_, "it got a document of " + node + " that is none");
    return;
  }
  const auto news = store_->KeepDesired(node, desired, message.payload);
  if (!news) return Check(news.error(), "the document of " + node);
  if (!*news) return;
  if (node == name_) {
    OnOwnDesired(desired);
    SendOwnState();
  } else {
    broker_.Publish({{site_, node, TopicKind::kDesired}, message.payload, 1, true});
  }
}

void SimGateway::OnOwnDesired(const v1::Desired& desired) {
  generation_ = desired.generation();
  policy_ = desired.gateway();
  std::set<std::string> members;
  for (const v1::Member& member : desired.members()) members.insert(member.device());
  std::vector<std::string> gone;
  PublishUp(relay_->SetMembers(std::move(members), loop_.now(), &gone));
  ForgetDevices(gone);
}

void SimGateway::ForgetDevices(const std::vector<std::string>& gone) {
  for (const std::string& device : gone) {
    Check(store_->Forget(device), "forgetting " + device);
    for (const TopicKind kind : {TopicKind::kBirth, TopicKind::kState, TopicKind::kDesired}) {
      broker_.Publish({{site_, device, kind}, "", 1, true});
    }
  }
}

void SimGateway::PublishUp(const NodeRelay::Messages& messages) {
  for (const NodeRelay::Message& message : messages) {
    uplink_.Publish({{site_, message.node, message.kind}, message.payload, 1, true});
  }
}

v1::Birth SimGateway::OwnBirth(bool online) const {
  v1::Birth birth;
  birth.set_device(name_);
  birth.set_boot_id(boot_id_);
  birth.set_online(online);
  birth.set_role(v1::GATEWAY);
  if (online) birth.mutable_facts()->set_arch("x86");
  return birth;
}

void SimGateway::SendOwnState() {
  v1::State state;
  state.set_device(name_);
  state.set_boot_id(boot_id_);
  state.set_generation(generation_);
  state.set_sequence(++state_sequence_);
  state.set_time_unix_ns(loop_.clock().Wall());
  if (uplink_.Publish({{site_, name_, TopicKind::kState}, state.SerializeAsString(), 1, true})) {
    state_sent_ = loop_.now();
  }
}

void SimGateway::Timer() {
  const std::uint32_t window = policy_.window_seconds() == 0 ? 60 : policy_.window_seconds();
  if (const auto closed = store_->CloseWindows(window * kSecond); !closed) {
    Check(closed.error(), "its windows");
  }
  Check(sender_->Pump(), "its outbox");
  PublishUp(relay_->Due(loop_.now()));
  if (loop_.now() - state_sent_ >= kStateEvery) SendOwnState();
  loop_.After(kTimer, [this, life = life_] {
    if (running_ && life == life_) Timer();
  });
}

std::uint64_t SimGateway::waiting() const {
  if (!store_) return 0;
  const auto view = store_->outbox()->View();
  return view ? view->counters.waiting : 0;
}

}  // namespace selvedge
