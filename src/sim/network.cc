#include "sim/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace selvedge {
namespace {

std::string Named(const SimMessage& message) {
  return fmt::format("{} of {}", TopicKindName(message.topic.kind), message.topic.node);
}

}  // namespace

bool SimFilter::Matches(const Topic& topic) const {
  return IsUpward(topic.kind) == upward && (node == "+" || node == topic.node) &&
         (site == "+" || site == topic.site);
}

// ---- SimBroker ---------------------------------------------------------------------------------

void SimBroker::Start(Owner owner) {
  running_ = true;
  owner_ = std::move(owner);
}

void SimBroker::Stop() {
  running_ = false;
  retained_.clear();
  std::map<std::string, Session, std::less<>> sessions;
  std::swap(sessions, sessions_);
  for (const auto& [name, session] : sessions) session.client->BrokerGone(session.connection);
}

void SimBroker::Publish(const SimMessage& message) {
  if (!running_) return;
  const Topic& topic = message.topic;
  if (message.retain) {
    const std::string name = TopicName(topic.site, topic.node, topic.kind);
    if (message.payload.empty()) {
      retained_.erase(name);
    } else {
      retained_.insert_or_assign(name, message);
    }
  }
  for (const auto& [name, session] : sessions_) {
    if (session.client->filter().Matches(topic)) session.client->Carry(session.connection, message);
  }
  if (IsUpward(topic.kind)) owner_(message, false);
}

void SimBroker::SendRetained(SimClient* client, std::uint64_t connection) {
  for (const auto& [name, message] : retained_) {
    if (client->filter().Matches(message.topic)) client->Carry(connection, message);
  }
}

void SimBroker::Attach(SimClient* client, std::uint64_t connection,
                       std::optional<SimMessage> will) {
  if (const auto before = sessions_.find(client->name()); before != sessions_.end()) {
    Detach(client->name(), before->second.connection, false);
  }
  sessions_.insert_or_assign(client->name(), Session{client, connection, std::move(will)});
  SendRetained(client, connection);
}

void SimBroker::Detach(const std::string& client, std::uint64_t connection, bool meant) {
  const auto found = sessions_.find(client);
  if (found == sessions_.end() || found->second.connection != connection) return;
  const std::optional<SimMessage> will = std::move(found->second.will);
  sessions_.erase(found);
  if (meant || !will) return;
  loop_.Note(client, "its Will is sent by " + name_);
  Publish(*will);
}

// ---- SimClient ---------------------------------------------------------------------------------

SimClient::SimClient(SimLoop* loop, SimBroker* broker, const LinkQuality* quality, std::string name,
                     SimFilter filter, Handlers handlers)
    : loop_(*loop),
      broker_(*broker),
      quality_(*quality),
      name_(std::move(name)),
      filter_(std::move(filter)),
      handlers_(std::move(handlers)) {}

void SimClient::Start(std::optional<SimMessage> will) {
  started_ = true;
  will_ = std::move(will);
  Try(loop_.random().Between(1, 500) * kMillisecond);
}

void SimClient::Stop(bool good_bye) {
  started_ = false;
  ++attempt_;
  if (!connected_) return;
  connected_ = false;
  const std::uint64_t connection = connection_++;
  // Where the process is killed its connection ends with it; where the machine is, much later.
  const Nanos delay = good_bye || loop_.random().Chance(0.5)
                          ? loop_.random().Between(1, 50) * kMillisecond
                          : loop_.random().Between(1, 60) * kSecond;
  loop_.After(delay, [this, connection, good_bye] { broker_.Detach(name_, connection, good_bye); });
}

void SimClient::Try(Nanos delay) {
  const std::uint64_t attempt = ++attempt_;
  loop_.After(delay, [this, attempt] {
    if (attempt == attempt_ && started_ && !connected_) Connect();
  });
}

void SimClient::Connect() {
  if (!broker_.running() || loop_.now() < cut_until_) {
    Try(loop_.random().Between(500, 8'000) * kMillisecond);
    return;
  }
  connected_ = true;
  ++connection_;
  std::ranges::fill(last_arrival_, loop_.now());
  loop_.Note(name_, "connected to " + broker_.name());
  broker_.Attach(this, connection_, will_);
  handlers_.connected();
}

bool SimClient::Publish(SimMessage message) {
  if (!connected_) return false;
  Transport(Way::kUp, message);
  return true;
}

void SimClient::Carry(std::uint64_t connection, const SimMessage& message) {
  if (connected_ && connection == connection_) Transport(Way::kDown, message);
}

void SimClient::Transport(Way way, const SimMessage& message) {
  SimRandom& random = loop_.random();
  const std::uint64_t connection = connection_;
  const auto plan = [&](Nanos delay, bool late) {
    loop_.After(
        delay, [this, way, connection, message, late] { Deliver(way, connection, message, late); });
  };
  if (random.Chance(quality_.doubling)) plan(random.Between(0, quality_.late), true);
  if (loop_.now() < cut_until_ || random.Chance(quality_.loss)) {
    loop_.Note(name_, "lost: " + Named(message));
    if (message.qos == 0) return;
    loop_.After(random.Between(0, kBreakAfter), [this, connection] {
      if (connected_ && connection == connection_) Break();
    });
    return;
  }
  Nanos at = loop_.now() + random.Between(quality_.delay_min, quality_.delay_max);
  if (random.Chance(quality_.reordering)) {
    at += random.Between(0, quality_.late);
  } else {
    Nanos& last = last_arrival_[static_cast<int>(way)];
    at = last = std::max(at, last);
  }
  plan(at - loop_.now(), false);
}

void SimClient::Deliver(Way way, std::uint64_t connection, const SimMessage& message, bool late) {
  const bool same = connection == connection_ && connected_;
  // What was on its way when the connection ended arrives, or does not. A client that ended hears
  // no more.
  if (!same && !late && loop_.random().Chance(0.5)) return;
  if (way == Way::kUp) {
    if (!broker_.running()) return;
    loop_.Note(message.topic.node,
               fmt::format("{} at {}{}", Named(message), broker_.name(), late ? ", again" : ""));
    broker_.Publish(message);
    return;
  }
  if (!connected_) return;
  loop_.Note(name_, fmt::format("gets {}{}", Named(message), late ? ", again" : ""));
  handlers_.message(message);
}

void SimClient::Cut(Nanos duration) {
  cut_until_ = std::max(cut_until_, loop_.now() + duration);
  loop_.Note(name_, fmt::format("cut off for {:.1f} s", ToSeconds(duration)));
  const std::uint64_t connection = connection_;
  loop_.After(loop_.random().Between(0, kBreakAfter), [this, connection] {
    if (connected_ && connection == connection_ && loop_.now() < cut_until_) Break();
  });
}

void SimClient::Break() {
  if (!connected_) return;
  Lose(false);
}

void SimClient::BrokerGone(std::uint64_t connection) {
  if (connected_ && connection == connection_) Lose(true);
}

void SimClient::Lose(bool tell_broker_at_once) {
  connected_ = false;
  const std::uint64_t connection = connection_;
  loop_.Note(name_, "lost its connection to " + broker_.name());
  if (!tell_broker_at_once) {
    loop_.After(loop_.random().Between(0, 60) * kSecond,
                [this, connection] { broker_.Detach(name_, connection, false); });
  }
  handlers_.lost();
  if (started_) Try(loop_.random().Between(200, 5'000) * kMillisecond);
}

}  // namespace selvedge
