#pragma once

// LinkServer: the agent's end of the links to its pipelines (docs/formats/run-link.md).
//
// Owned by the agent's loop, one thread: descriptor() is readable when there is something to do,
// Receive does it. Nothing of it waits. Failure: Open says why the socket cannot be made; a link
// that says what does not parse, or that says Hello for a service that is not known, is closed, and
// its pipeline connects anew. Limits: kMaxLinks links, packets of kMaxPacket bytes.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "device/agent/service.h"
#include "proto/run_link.pb.h"
#include "store/outbox.h"

namespace selvedge {

class LinkServer {
 public:
  static constexpr std::size_t kMaxLinks = 256;
  static constexpr std::size_t kMaxPacket = std::size_t{128} * 1024;

  struct Handler {
    // Whether there is such a service.
    std::function<bool(const ServiceKey&)> known;
    std::function<void(const ServiceKey&, const v1::PipelineMetrics&)> metrics;
    // Takes the records; on an error they stay the pipeline's, which offers them again.
    std::function<Status(std::vector<OutboxRecord>)> events;
  };

  // `path`: of the socket, in a folder that only this user can enter; one that is there is
  // replaced. `device` becomes the events' device and the service's name their pipeline, whatever
  // they say.
  static Result<std::unique_ptr<LinkServer>> Open(const std::string& path, std::string device,
                                                  Handler handler);
  ~LinkServer();
  LinkServer(const LinkServer&) = delete;
  LinkServer& operator=(const LinkServer&) = delete;

  int descriptor() const { return epoll_; }
  // Takes what has arrived; events are handed over and answered together.
  void Receive();
  // The pipeline's policy, as its Hello said: "local-only" where it is not linked.
  std::string PrivacyOf(const ServiceKey& key) const;

 private:
  struct Link {
    bool greeted = false;
    ServiceKey key;
    std::string privacy;
    std::uint64_t number = 0;  // of the last event received
    bool owes = false;         // an answer for events
  };

  LinkServer(std::string path, std::string device, Handler handler);
  Status Listen();
  void Accept();
  // False where the link is to be closed.
  bool ReceiveFrom(int descriptor, Link* link);
  bool Take(const v1::FromRun& message, Link* link);
  void CommitEvents();
  void CloseLink(int descriptor);

  const std::string path_;
  const std::string device_;
  const Handler handler_;
  int listener_ = -1;
  int epoll_ = -1;
  std::map<int, Link> links_;
  std::vector<OutboxRecord> pending_;  // of this call of Receive
  std::vector<char> buffer_;
};

}  // namespace selvedge
