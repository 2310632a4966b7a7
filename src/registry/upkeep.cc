#include "registry/upkeep.h"

#include <condition_variable>
#include <mutex>

#include "base/log.h"

namespace selvedge {
namespace {

void Once(ContentStore* store, const UpkeepOptions& options) {
  const auto collected = store->Collect();
  if (!collected) {
    log::Warning("registry", "could not clear away what nobody needs",
                 {{"error", collected.error().message()}});
  } else if (collected->blobs + collected->uploads > 0) {
    log::Info("registry", "cleared away what nobody needs",
              {{"blobs", collected->blobs},
               {"bytes", collected->bytes},
               {"uploads", collected->uploads}});
  }
  // What is damaged it says itself, and moves aside.
  const auto damaged = store->Scrub(options.scrub_bytes);
  if (!damaged) {
    log::Warning("registry", "could not look for damage", {{"error", damaged.error().message()}});
  }
}

}  // namespace

Upkeep::Upkeep(ContentStore* store, const UpkeepOptions& options)
    : thread_([store, options](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any changed;
        while (!stop.stop_requested()) {
          {
            std::unique_lock lock(mutex);
            changed.wait_for(lock, stop, options.every, [] { return false; });
          }
          if (!stop.stop_requested()) Once(store, options);
        }
      }) {}

Upkeep::~Upkeep() = default;

}  // namespace selvedge
