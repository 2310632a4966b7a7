#pragma once

// A fleet's certificates in a temporary folder, and clients that remember what they heard. For
// tests.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/mqtt/broker.h"
#include "net/mqtt/mqtt_client.h"
#include "trust/certificate.h"

namespace selvedge {

inline constexpr std::chrono::seconds kPatience{30};

// Looks until it holds; false after `patience`.
bool Eventually(const std::function<bool()>& holds, std::chrono::seconds patience = kPatience);

class TestFleet {
 public:
  TestFleet();
  ~TestFleet();
  TestFleet(const TestFleet&) = delete;
  TestFleet& operator=(const TestFleet&) = delete;

  struct Files {
    std::string certificate;
    std::string key;
  };
  // A certificate for this name, for clients and for servers at localhost and 127.0.0.1.
  Files Issue(const std::string& name);
  const CertificateAuthority& authority() const { return authority_; }
  std::string ca_file() const { return folder_ + "/ca.pem"; }
  std::string operator/(const std::string& name) const { return folder_ + "/" + name; }

  // With certificates in place and ports of the system's choice.
  BrokerOptions Broker(const std::string& name, std::string acl);
  // Certificates, address, short waits; `site` and names are the caller's.
  MqttOptions Client(const std::string& name, int port, bool websockets = false);

 private:
  std::string folder_;
  CertificateAuthority authority_;
};

// A MqttClient and what it was told.
class TestClient {
 public:
  explicit TestClient(MqttOptions options, std::vector<std::string> filters = {});
  // Waits for the connection.
  bool Connected(std::chrono::seconds patience = kPatience);
  // Waits for a message under a topic that was not taken yet, and takes it. An empty topic: failed.
  MqttMessage Take(const std::string& topic, std::chrono::seconds patience = kPatience);
  // Every topic heard so far and not taken.
  std::vector<std::string> Topics() const;
  std::string LastReason() const;
  int connections() const;
  int losses() const;
  // Waits for an attempt that failed; its reason.
  std::string AwaitFailure(std::chrono::seconds patience = kPatience);
  MqttClient* operator->() { return client_.get(); }
  void Reset() { client_.reset(); }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int connections_ = 0;
  int losses_ = 0;
  int failures_ = 0;
  bool up_ = false;
  std::string reason_;
  std::vector<MqttMessage> messages_;
  std::unique_ptr<MqttClient> client_;  // last: it ends first
};

}  // namespace selvedge
