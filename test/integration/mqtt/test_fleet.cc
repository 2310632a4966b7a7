#include "test_fleet.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>
#include <utility>

#include "base/file.h"

namespace selvedge {

bool Eventually(const std::function<bool()>& holds, std::chrono::seconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TestFleet::TestFleet() {
  std::string pattern = ::testing::TempDir() + "fleet_XXXXXX";
  folder_ = mkdtemp(pattern.data());
  authority_ = *MakeCertificateAuthority("Test fleet", Clock::System());
  EXPECT_TRUE(WriteFileAtomically(ca_file(), authority_.certificate_pem).ok());
}

TestFleet::~TestFleet() {
  std::filesystem::remove_all(folder_);
}

TestFleet::Files TestFleet::Issue(const std::string& name) {
  const Files files{folder_ + "/" + name + ".pem", folder_ + "/" + name + ".key"};
  const std::string key = *MakePrivateKey();
  const Result<std::string> certificate =
      IssueCertificate(authority_, *MakeCertificateRequest(key, name),
                       {.name = name,
                        .client = true,
                        .server = true,
                        .dns_names = {"localhost"},
                        .addresses = {"127.0.0.1"}},
                       Clock::System());
  EXPECT_TRUE(WriteFileAtomically(files.certificate, *certificate).ok());
  EXPECT_TRUE(WriteSecretFile(files.key, key).ok());
  return files;
}

BrokerOptions TestFleet::Broker(const std::string& name, std::string acl) {
  const Files files = Issue(name);
  BrokerOptions options;
  options.folder = folder_ + "/broker-" + name;
  options.certificate_file = files.certificate;
  options.key_file = files.key;
  options.ca_file = ca_file();
  options.acl = std::move(acl);
  return options;
}

MqttOptions TestFleet::Client(const std::string& name, int port, bool websockets) {
  const Files files = Issue(name);
  MqttOptions options;
  options.uris = {std::string(websockets ? "wss" : "mqtts") +
                  "://127.0.0.1:" + std::to_string(port)};
  options.client_id = name;
  options.ca_file = ca_file();
  options.certificate_file = files.certificate;
  options.key_file = files.key;
  options.keep_alive = 5 * kSecond;
  options.retry_first = 50 * kMillisecond;
  options.retry_max = 500 * kMillisecond;
  options.log_name = name;
  return options;
}

TestClient::TestClient(MqttOptions options, std::vector<std::string> filters) {
  MqttCallbacks callbacks;
  callbacks.connected = [this] {
    const std::lock_guard lock(mutex_);
    ++connections_;
    up_ = true;
    changed_.notify_all();
  };
  callbacks.lost = [this](const Status& reason, bool was_connected) {
    const std::lock_guard lock(mutex_);
    up_ = false;
    reason_ = reason.message();
    was_connected ? ++losses_ : ++failures_;
    changed_.notify_all();
  };
  callbacks.message = [this](MqttMessage message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_all();
  };
  auto client = MqttClient::Start(std::move(options), std::move(callbacks));
  EXPECT_TRUE(client.has_value()) << client.error().ToString();
  if (!client) return;
  client_ = *std::move(client);
  for (std::string& filter : filters) EXPECT_TRUE(client_->Subscribe(std::move(filter), 1).ok());
}

bool TestClient::Connected(std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [this] { return up_; });
}

MqttMessage TestClient::Take(const std::string& topic, std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  const auto find = [&] {
    return std::ranges::find_if(messages_, [&](const MqttMessage& m) { return m.topic == topic; });
  };
  if (!changed_.wait_for(lock, patience, [&] { return find() != messages_.end(); })) return {};
  const auto found = find();
  MqttMessage message = std::move(*found);
  messages_.erase(found);
  return message;
}

std::vector<std::string> TestClient::Topics() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> topics;
  for (const MqttMessage& message : messages_) topics.push_back(message.topic);
  return topics;
}

std::string TestClient::LastReason() const {
  const std::lock_guard lock(mutex_);
  return reason_;
}

int TestClient::connections() const {
  const std::lock_guard lock(mutex_);
  return connections_;
}

int TestClient::losses() const {
  const std::lock_guard lock(mutex_);
  return losses_;
}

std::string TestClient::AwaitFailure(std::chrono::seconds patience) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [this] { return failures_ > 0; });
  return reason_;
}

}  // namespace selvedge
