#pragma once

// The real selvedge-cloud as a process, with its real broker, and devices made of the join client,
// a MqttClient and an outbox. For tests.

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/child_process.h"
#include "net/http_client.h"
#include "net/join_client.h"
#include "net/mqtt/mqtt_client.h"
#include "proto/fleet.pb.h"
#include "store/batch_sender.h"
#include "store/database.h"
#include "store/outbox.h"

namespace selvedge {

// A folder of one test's own.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Until it holds, at most half a minute.
bool Await(const std::function<bool()>& holds);

class TestCloud {
 public:
  explicit TestCloud(std::vector<std::string> arguments = {});
  ~TestCloud();

  void Start();  // again, in the same state folder
  void Kill();   // SIGKILL
  int Stop();    // SIGTERM; its exit code

  struct Answer {
    int status = 0;
    nlohmann::json json;
    std::string text;
    std::string Header(const std::string& name) const;
    std::vector<std::pair<std::string, std::string>> headers;
  };
  // As the admin, over plain HTTP; `path` begins after /api/v1.
  Answer Call(const std::string& method, const std::string& path, const std::string& body = {});
  Answer CallAs(const std::string& token, const std::string& method, const std::string& path,
                const std::string& body = {});
  Answer Raw(const HttpCall& call);
  nlohmann::json Get(const std::string& path) { return Call("GET", path).json; }

  std::string MakeJoinToken(const std::string& role = "device", const std::string& site = "plant-1",
                            int expires_s = 0);
  std::string MakeUserToken(const std::string& role);
  // A small artifact under PATH:TAG in the registry.
  void Push(const std::string& path, const std::string& tag);

  std::string url() const { return url_; }
  std::string admin() const { return admin_; }
  std::string File(const std::string& name) const { return folder_ / ("state/" + name); }
  std::string log() const;
  pid_t pid() const { return child_ ? child_->pid() : 0; }

 private:
  TestFolder folder_;
  std::vector<std::string> arguments_;
  std::optional<ChildProcess> child_;
  HttpClient client_;
  std::string url_;
  std::string admin_;
};

class TestDevice {
 public:
  // Joins with the token; the error is in join_status().
  TestDevice(const std::string& token, const std::string& name);
  ~TestDevice();

  const Status& join_status() const { return join_status_; }
  const NodeIdentity& identity() const { return identity_; }
  const std::string& folder() const { return state_; }

  // Says it is there, and goes on as an agent does: a state for every desired document.
  void Connect(const std::map<std::string, std::string>& labels = {});
  void Disconnect(MqttClient::StopMode mode = MqttClient::StopMode::kDisconnect);
  bool connected() const { return client_ != nullptr && client_->connected(); }
  // What it was last told.
  v1::Desired desired() const;
  // What it reports from now on, beside the generation.
  void Report(const std::function<void(v1::State*)>& change);
  void OnCommand(std::function<v1::CommandResult(const v1::Command&)> answer);

  // Into its outbox, which sends them until they are acknowledged.
  void AddEvents(int count);
  std::uint64_t waiting() const;
  // A message as is, whatever the topic.
  Status Publish(const std::string& topic, const std::string& payload);

 private:
  void OnMessage(const MqttMessage& message);
  void SayState();  // with the lock held
  void Pump(const std::stop_token& stop);

  TestFolder folder_;
  std::string state_;
  std::string name_;
  Status join_status_;
  NodeIdentity identity_;
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<OutboxSender> sender_;
  v1::Desired desired_;
  std::function<void(v1::State*)> change_;
  std::function<v1::CommandResult(const v1::Command&)> answer_;
  std::map<std::string, std::string> labels_;
  std::string boot_;
  std::uint64_t sequence_ = 0;
  std::uint64_t events_ = 0;
  int boots_ = 0;
  std::unique_ptr<MqttClient> client_;
  std::jthread pump_;
};

// One microservice from `image` on every device where the constraint holds.
std::string TestManifest(const std::string& name, const std::string& image,
                         const std::string& hardware = {});

}  // namespace selvedge
