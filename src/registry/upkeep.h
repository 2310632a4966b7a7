#pragma once

// Upkeep: a thread at leisure that keeps a ContentStore in order: collects what nobody needs, gives
// the disk its space back, and reads blobs through for damage, a little at a time.
//
// Owned by whoever serves the store, which must outlive it. Failure: logged, and tried again at the
// next time.

#include <chrono>
#include <cstdint>
#include <thread>

#include "registry/content_store.h"

namespace selvedge {

struct UpkeepOptions {
  std::chrono::seconds every{600};
  std::uint64_t scrub_bytes = std::uint64_t{256} << 20;  // each time
};

class Upkeep {
 public:
  explicit Upkeep(ContentStore* store, const UpkeepOptions& options = {});
  ~Upkeep();  // waits for what it is at
  Upkeep(const Upkeep&) = delete;
  Upkeep& operator=(const Upkeep&) = delete;

 private:
  std::jthread thread_;
};

}  // namespace selvedge
