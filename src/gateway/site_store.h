#pragma once

// SiteStore: what a gateway keeps on disk, in one SQLite file: the inbox of its devices' events,
// the outbox towards the cloud, open windows of aggregation, and the newest desired document of
// every device of the site.
//
// A batch's events are in the outbox (those that the policy passes on), in the windows, and in the
// inbox's books by one transaction, so that a kill at any instant counts each of them once. Owned
// by the Gateway; thread-compatible: one call at a time. Failure: that of the Database; nothing was
// taken then.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "core/event_id.h"
#include "gateway/aggregate.h"
#include "proto/fleet.pb.h"
#include "store/database.h"
#include "store/inbox.h"
#include "store/outbox.h"

namespace selvedge {

struct SiteStoreOptions {
  OutboxOptions outbox;
  std::size_t max_windows =
      1000;  // of devices times applications; beyond it events are not counted
  std::size_t max_desired = 4096;  // documents
};

class SiteStore {
 public:
  // `clock` must outlive it.
  static Result<std::unique_ptr<SiteStore>> Open(const std::string& path, const Clock& clock,
                                                 const SiteStoreOptions& options = {});

  struct Taken {
    v1::Ack ack;
    std::uint64_t fresh = 0;
    std::uint64_t doubled = 0;
    std::uint64_t passed_on = 0;  // into the outbox
    bool gap = false;
  };
  // Of a device, in whose name every event is put, whatever it says.
  Result<Taken> Accept(const std::string& device, const v1::EventBatch& batch,
                       v1::GatewayPolicy::Raw raw);

  // Puts the aggregates of windows that are `length` old into the outbox; how many.
  Result<int> CloseWindows(Nanos length);
  // When the oldest open window will be `length` old, monotonic.
  std::optional<Nanos> NextClose(Nanos length) const;

  // False where what is there is as new: nothing to pass on.
  Result<bool> KeepDesired(const std::string& device, const v1::Desired& desired,
                           std::string_view payload);
  struct Desired {
    std::string device;
    std::string payload;
  };
  Result<std::vector<Desired>> AllDesired();
  Result<std::optional<std::string>> FindDesired(std::string_view device);
  // The device is no longer of the site: its documents and its place in the books go.
  Status Forget(const std::string& device);

  Outbox* outbox() { return outbox_.get(); }
  const Database& database() const { return *database_; }

 private:
  using Key = std::pair<std::string, std::string>;  // device, application
  struct OpenWindow {
    AggregateWindow window;
    Nanos opened = 0;  // monotonic
  };
  using Windows = std::map<Key, OpenWindow>;

  SiteStore(std::unique_ptr<Database> database, std::unique_ptr<Outbox> outbox, const Clock& clock,
            const SiteStoreOptions& options);
  Status LoadWindows();
  Status TakeFresh(const std::string& device, v1::GatewayPolicy::Raw raw, v1::EventList* fresh,
                   Windows* touched, std::uint64_t* passed_on);
  Status StoreWindow(const Key& key, const AggregateWindow& window);

  std::unique_ptr<Database> database_;
  std::unique_ptr<Outbox> outbox_;
  Inbox inbox_;
  const Clock& clock_;
  const SiteStoreOptions options_;
  EventIdGenerator ids_;
  Windows windows_;
};

}  // namespace selvedge
