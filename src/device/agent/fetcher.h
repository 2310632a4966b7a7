#pragma once

// Fetcher: brings packages and images to disk, in the background, verified, whole or not at all.
//
// Owned by the agent. One thread of its own fetches one after another; what was cut off goes on
// where it was. Results and progress are taken by the agent's loop, which `wake` wakes.
// Thread-safe. Failure: told with the result; what is on disk is never touched by a fetch that
// fails.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/join_client.h"
#include "proto/fleet.pb.h"

namespace selvedge {

struct FetcherOptions {
  std::string
      folder;  // of the agent's state; content/, packages/ and images/ in it are the fetcher's
  NodeIdentity identity;
  std::string proxy;
  std::string arch;                        // "x86", as Facts has it
  std::int64_t keep_free_bytes = 0;        // of the disk
  std::uint64_t cache_bytes = 1ULL << 30;  // of blobs beside what is unpacked
};

class Fetcher {
 public:
  struct Update {
    std::string content;  // as ContentKeyOf says
    bool done = false;
    Status status;        // where it is done
    double progress = 0;  // 0 to 1
  };

  // `wake` is called from the fetcher's thread when there is an Update to take.
  static Result<std::unique_ptr<Fetcher>> Start(FetcherOptions options, std::function<void()> wake);
  ~Fetcher();  // stops, within a second or so
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Asked for twice is fetched once.
  void Fetch(const v1::ServiceSpec& spec, const std::string& registry);
  std::vector<Update> Take();
  // Removes what none of them needs, but for the newest that was needed before.
  void Keep(const std::vector<v1::ServiceSpec>& needed);

  // Whether it is there, whole; where it is.
  bool Has(const v1::ServiceSpec& spec) const;
  std::string FolderOf(const v1::ServiceSpec& spec) const;

 private:
  class Core;
  explicit Fetcher(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace selvedge
