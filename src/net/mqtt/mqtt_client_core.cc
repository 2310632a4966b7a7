#include "net/mqtt/mqtt_client_core.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <random>
#include <utility>

#include "base/clock.h"

namespace selvedge {
namespace {

// A connection that stood for so long was good: the next failure starts counting anew.
constexpr Nanos kStable = 10 * kSecond;
constexpr Nanos kGoodbye = 2 * kSecond;
// Beyond the library's own limits, which have been seen not to come.
constexpr Nanos kGrace = 5 * kSecond;
constexpr Nanos kSubscribeAgainAfter = 10 * kSecond;
constexpr std::size_t kHandedAtOnce = 64;

Nanos Now() {
  return Clock::System().Monotonic();
}

std::function<double()> Random() {
  return [engine = std::mt19937_64(std::random_device{}())]() mutable {
    return std::uniform_real_distribution<double>(0.0, 1.0)(engine);
  };
}

// The proxy's host and port, where there is one; "http://user:password@host:port".
bool ProxyPlace(const std::string& proxy, std::string* host, int* port) {
  if (proxy.empty()) return false;
  std::string rest = proxy.substr(proxy.find("://") + 3);
  if (const std::size_t at = rest.rfind('@'); at != std::string::npos) rest = rest.substr(at + 1);
  if (const std::size_t slash = rest.find('/'); slash != std::string::npos) rest.resize(slash);
  const std::size_t colon = rest.rfind(':');
  *host = rest.substr(0, colon);
  if (host->starts_with('[') && host->ends_with(']')) *host = host->substr(1, host->size() - 2);
  *port = 8080;
  if (colon != std::string::npos) {
    std::from_chars(rest.data() + colon + 1, rest.data() + rest.size(), *port);
  }
  return true;
}

}  // namespace

MqttClientCore::MqttClientCore(MqttOptions options, std::vector<MqttUri> uris,
                               MqttCallbacks callbacks)
    : options_(std::move(options)),
      uris_(std::move(uris)),
      callbacks_(std::move(callbacks)),
      backoff_(options_.retry_first, options_.retry_max, Random()),
      resolver_([this] {
        {
          const std::lock_guard lock(mutex_);
          resolved_ = true;
        }
        wake_.notify_one();
      }),
      failures_(60 * kSecond) {}

MqttClientCore::~MqttClientCore() {
  Stop(MqttClient::StopMode::kDisconnect);
}

void MqttClientCore::Start() {
  due_ = Now();
  worker_ = std::thread([this] { Run(); });
}

bool MqttClientCore::HasWork() const {
  if (stop_ || news_.connected || news_.ended || news_.subscribed || news_.disconnected ||
      resolved_ || dropped_news_) {
    return true;
  }
  if (phase_ == Phase::kWaiting && retry_now_) return true;
  if (phase_ != Phase::kUp) return false;
  return !received_.empty() || (!queue_.empty() && !paho_full_) || !new_filters_.empty() ||
         !removed_filters_.empty();
}

bool MqttClientCore::SleepUntilDue() {
  std::unique_lock lock(mutex_);
  const auto has_work = [this] { return HasWork(); };
  const Nanos due = phase_ == Phase::kUp ? subscribe_again_ : due_;
  if (due == 0) {
    wake_.wait(lock, has_work);
  } else {
    wake_.wait_for(lock, std::chrono::nanoseconds(std::max<Nanos>(due - Now(), 0)), has_work);
  }
  return !stop_;
}

void MqttClientCore::Run() {
  while (SleepUntilDue()) {
    News news;
    bool resolved = false;
    {
      const std::lock_guard lock(mutex_);
      news = std::exchange(news_, News{});
      resolved = std::exchange(resolved_, false);
      if (std::exchange(dropped_news_, false) && subscribe_again_ == 0) {
        subscribe_again_ = Now() + kSubscribeAgainAfter;
      }
      if (std::exchange(retry_now_, false) && phase_ == Phase::kWaiting) due_ = Now();
    }
    HandleNews(std::move(news));
    if (resolved) HandleResolved();
    HandleTime();
    if (phase_ == Phase::kUp) {
      UpdateSubscriptions();
      SendQueued();
      HandMessages();
    }
  }
  MqttClient::StopMode mode = MqttClient::StopMode::kDisconnect;
  {
    const std::lock_guard lock(mutex_);
    mode = *stop_;
  }
  End(mode);
}

void MqttClientCore::HandleNews(News news) {
  if (news.connected && phase_ == Phase::kConnecting) BeginSubscribing();
  if (news.subscribed && connection_ != nullptr) {
    if (phase_ == Phase::kSubscribing) {
      news.subscribed->ok() ? BecomeUp() : Fail(*news.subscribed);
    } else if (!news.subscribed->ok()) {
      log::Error(options_.log_name, "a subscription was refused",
                 {{"reason", news.subscribed->message()}});
    }
  }
  if (news.ended && connection_ != nullptr) {
    // What had arrived was confirmed to the broker: it is handed over before the loss is told.
    if (phase_ == Phase::kUp) HandMessages();
    Fail(UnavailableError(*news.ended));
  }
}

void MqttClientCore::HandleTime() {
  if (phase_ == Phase::kUp) {
    if (subscribe_again_ == 0 || Now() < subscribe_again_) return;
    subscribe_again_ = 0;
    log::Warning(options_.log_name,
                 "messages came faster than they were handled; what the broker "
                 "keeps is fetched again");
    const std::lock_guard lock(mutex_);
    new_filters_ = filters_;
    return;
  }
  if (Now() < due_) return;
  if (phase_ == Phase::kWaiting) {
    BeginAttempt();
  } else {
    Fail(DeadlineExceededError("no answer in time"));
  }
}

void MqttClientCore::BeginAttempt() {
  const MqttUri& uri = uris_[next_uri_];
  std::string host = uri.host;
  int port = 0;
  ProxyPlace(options_.proxy, &host, &port);
  phase_ = Phase::kResolving;
  due_ = Now() + options_.connect_timeout;
  resolver_.Begin(host);
  HandleResolved();
}

void MqttClientCore::HandleResolved() {
  if (phase_ != Phase::kResolving) return;
  std::optional<Result<std::vector<std::string>>> addresses = resolver_.Take();
  if (!addresses) return;
  if (!*addresses) {
    Fail(addresses->error());
    return;
  }
  addresses_ = **std::move(addresses);
  phase_ = Phase::kConnecting;
  due_ = Now() + options_.connect_timeout + kGrace;
  auto connection = PahoConnection::Open(options_, uris_[next_uri_], this);
  if (!connection) {
    Fail(connection.error());
    return;
  }
  connection_ = *std::move(connection);
}

void MqttClientCore::BeginSubscribing() {
  std::string host;
  int port = uris_[next_uri_].port;
  ProxyPlace(options_.proxy, &host, &port);
  {
    const std::lock_guard lock(meter_mutex_);
    last_counts_ = {};
    meter_.Attach(addresses_, port);
  }
  phase_ = Phase::kSubscribing;
  due_ = Now() + options_.connect_timeout;
  std::vector<MqttFilter> filters;
  {
    const std::lock_guard lock(mutex_);
    filters = filters_;
    new_filters_.clear();
    removed_filters_.clear();
    received_.clear();
    received_bytes_ = 0;
  }
  if (filters.empty()) {
    BecomeUp();
  } else if (Status status = connection_->Subscribe(filters); !status.ok()) {
    Fail(status);
  }
}

void MqttClientCore::BecomeUp() {
  phase_ = Phase::kUp;
  up_since_ = Now();
  subscribe_again_ = 0;
  failures_ = log::RateLimited(60 * kSecond);
  {
    const std::lock_guard lock(mutex_);
    up_ = true;
    ++traffic_.connections;
  }
  log::Info(options_.log_name, "connected to the broker",
            {{"broker", uris_[next_uri_].Place()}, {"client", options_.client_id}});
  if (callbacks_.connected) callbacks_.connected();
}

void MqttClientCore::Fail(const Status& reason) {
  const bool was_up = phase_ == Phase::kUp;
  const MqttUri& uri = uris_[next_uri_];
  CountSocket();
  connection_.reset();
  {
    const std::lock_guard lock(mutex_);
    news_ = {};
    up_ = false;
    queue_.clear();
    queue_bytes_ = 0;
    // Paho has given its messages back.
    in_flight_ = 0;
    in_flight_bytes_ = 0;
    paho_full_ = false;
  }
  if (was_up && Now() - up_since_ >= kStable) backoff_.Reset();
  next_uri_ = (next_uri_ + 1) % uris_.size();
  phase_ = Phase::kWaiting;
  // The other addresses are tried at once; one round of all of them is an attempt.
  due_ = next_uri_ == 0 || was_up ? Now() + backoff_.Next() : Now();
  const Status told = reason.WithContext("broker " + uri.Place());
  if (was_up || failures_.Allow(Now())) {
    log::Warning(options_.log_name,
                 was_up ? "lost the broker; connecting again" : "cannot reach the broker",
                 {{"reason", told.message()},
                  {"next_attempt_s", ToSeconds(std::max<Nanos>(due_ - Now(), 0))}});
  }
  if (callbacks_.lost) callbacks_.lost(told, was_up);
}

void MqttClientCore::SendQueued() {
  for (;;) {
    if (phase_ != Phase::kUp) return;
    MqttMessage message;
    {
      const std::lock_guard lock(mutex_);
      paho_full_ = false;
      if (queue_.empty()) return;
      if (!connection_->HasRoom()) {
        paho_full_ = in_flight_ > 0;
        if (paho_full_) return;
      }
      message = std::move(queue_.front());
      queue_.pop_front();
      queue_bytes_ -= SizeOf(message);
      ++in_flight_;
      in_flight_bytes_ += SizeOf(message);
      ++traffic_.messages_sent;
      traffic_.payload_bytes_sent += SizeOf(message);
    }
    if (Status status = connection_->Send(message); !status.ok()) {
      const std::lock_guard lock(mutex_);
      --in_flight_;
      in_flight_bytes_ -= SizeOf(message);
      // The connection is gone, and Paho is about to say so.
      return;
    }
  }
}

void MqttClientCore::HandMessages() {
  for (std::size_t handed = 0; handed < kHandedAtOnce; ++handed) {
    MqttMessage message;
    {
      const std::lock_guard lock(mutex_);
      // A Stop waits for the callback that is under way, not for all that are left.
      if (received_.empty() || stop_) return;
      message = std::move(received_.front());
      received_.pop_front();
      received_bytes_ -= SizeOf(message);
    }
    if (callbacks_.message) callbacks_.message(std::move(message));
  }
}

void MqttClientCore::UpdateSubscriptions() {
  std::vector<MqttFilter> filters;
  std::vector<std::string> removed;
  {
    const std::lock_guard lock(mutex_);
    filters = std::exchange(new_filters_, {});
    removed = std::exchange(removed_filters_, {});
  }
  Status status;
  for (const std::string& filter : removed) {
    if (status.ok()) status = connection_->Unsubscribe(filter);
  }
  if (status.ok() && !filters.empty()) status = connection_->Subscribe(filters);
  if (!status.ok()) Fail(status);
}

void MqttClientCore::CountSocket() {
  const std::lock_guard lock(meter_mutex_);
  if (const auto counts = meter_.Read()) last_counts_ = *counts;
  meter_.Release();
  const std::lock_guard totals(mutex_);
  earlier_sockets_.bytes_sent += last_counts_.bytes_sent;
  earlier_sockets_.bytes_received += last_counts_.bytes_received;
  earlier_sockets_.segments_sent += last_counts_.segments_sent;
  earlier_sockets_.segments_received += last_counts_.segments_received;
  last_counts_ = {};
}

void MqttClientCore::WaitForGoodbye(Nanos until) {
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::nanoseconds(std::max<Nanos>(until - Now(), 0)),
                 [this] { return news_.disconnected || news_.ended.has_value(); });
}

void MqttClientCore::End(MqttClient::StopMode mode) {
  const Nanos until = Now() + kGoodbye;
  if (phase_ == Phase::kUp && mode == MqttClient::StopMode::kDisconnect) {
    for (;;) {
      SendQueued();
      std::unique_lock lock(mutex_);
      if (queue_.empty() && in_flight_ == 0) break;
      const std::size_t before = in_flight_;
      const auto moved = [&] { return in_flight_ != before || news_.ended.has_value(); };
      if (!wake_.wait_for(lock, std::chrono::nanoseconds(std::max<Nanos>(until - Now(), 0)),
                          moved) ||
          news_.ended) {
        break;
      }
    }
  }
  if (connection_ != nullptr && mode == MqttClient::StopMode::kCut) {
    const std::lock_guard lock(meter_mutex_);
    meter_.Shutdown();
  } else if (connection_ != nullptr && phase_ == Phase::kUp) {
    if (connection_->Disconnect(mode == MqttClient::StopMode::kWill).ok()) WaitForGoodbye(until);
  }
  CountSocket();
  connection_.reset();
  const std::lock_guard lock(mutex_);
  up_ = false;
  queue_.clear();
  queue_bytes_ = 0;
}

}  // namespace selvedge
