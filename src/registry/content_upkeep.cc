// Collecting what nobody needs, keeping a cache within its size, and looking for damage.

#include <algorithm>
#include <utility>

#include "registry/content_store.h"
#include "registry/content_store_core.h"

namespace selvedge {
namespace {

constexpr int kAtOnce = 100;  // blobs; pushes wait that long

// Whole rows of (digest, size).
Result<std::vector<BlobInfo>> ReadBlobs(Rows rows) {
  std::vector<BlobInfo> blobs;
  while (rows.Next()) {
    blobs.push_back({std::string(rows.Text(0)), static_cast<std::uint64_t>(rows.Int(1))});
  }
  if (!rows.status().ok()) return Err(rows.status());
  return blobs;
}

void Count(const std::vector<BlobInfo>& blobs, ContentStore::Collected* collected) {
  collected->blobs += blobs.size();
  for (const BlobInfo& blob : blobs) collected->bytes += blob.size;
}

}  // namespace

Result<ContentStore::Usage> ContentStore::Used() {
  Rows rows = core_->database()->Query(
      "SELECT coalesce(sum(size), 0), count(*), "
      "(SELECT count(DISTINCT repository) FROM manifest) FROM blob");
  if (!rows.Next()) return Err(rows.status());
  return Usage{.bytes = static_cast<std::uint64_t>(rows.Int(0)),
               .blobs = static_cast<std::uint64_t>(rows.Int(1)),
               .repositories = static_cast<std::uint64_t>(rows.Int(2))};
}

Result<ContentStore::Collected> ContentStore::Collect() {
  Collected collected;
  SELVEDGE_ASSIGN_OR_RETURN(collected.uploads, core_->RemoveOldUploads());
  const std::int64_t before =
      core_->NowMillis() - std::chrono::milliseconds(core_->options().grace).count();
  for (;;) {
    const std::lock_guard lock(core_->publish_mutex);
    // Within the lock, so that a client that was just told "it is there" finds it when it names it.
    SELVEDGE_RETURN_ERR_IF_ERROR(core_->FlushTouched());
    SELVEDGE_ASSIGN_OR_RETURN(
        std::vector<BlobInfo> blobs,
        ReadBlobs(core_->database()->Query(
            "SELECT digest, size FROM blob WHERE used_ms < ? "
            "AND NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = blob.digest) "
            "AND NOT EXISTS (SELECT 1 FROM manifest_part WHERE part = blob.digest) LIMIT ?",
            {before, kAtOnce})));
    if (blobs.empty()) break;
    SELVEDGE_RETURN_ERR_IF_ERROR(core_->Remove(&blobs));
    Count(blobs, &collected);
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->database()->GiveBackSpace());
  return collected;
}

Result<ContentStore::Collected> ContentStore::Evict(std::uint64_t max_bytes) {
  Collected collected;
  for (;;) {
    const std::lock_guard lock(core_->publish_mutex);
    SELVEDGE_RETURN_ERR_IF_ERROR(core_->FlushTouched());
    SELVEDGE_ASSIGN_OR_RETURN(const Usage used, Used());
    if (used.bytes <= max_bytes) return collected;
    // Manifests stay: they are small, and say what there is while the upstream is away.
    SELVEDGE_ASSIGN_OR_RETURN(
        std::vector<BlobInfo> blobs,
        ReadBlobs(core_->database()->Query(
            "SELECT digest, size FROM blob "
            "WHERE NOT EXISTS (SELECT 1 FROM manifest WHERE manifest.digest = blob.digest) "
            "ORDER BY used_ms LIMIT ?",
            {kAtOnce})));
    std::uint64_t left = used.bytes;
    std::size_t count = 0;
    while (count < blobs.size() && left > max_bytes) left -= std::min(left, blobs[count++].size);
    if (count == 0) return collected;
    blobs.resize(count);
    SELVEDGE_RETURN_ERR_IF_ERROR(core_->Remove(&blobs));
    Count(blobs, &collected);
  }
}

Result<std::vector<std::string>> ContentStore::Scrub(std::uint64_t max_bytes) {
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::vector<BlobInfo> blobs,
      ReadBlobs(core_->database()->Query(
          "SELECT digest, size FROM blob ORDER BY verified_ms LIMIT ?", {kAtOnce})));
  std::vector<std::string> damaged;
  std::uint64_t done = 0;
  for (const BlobInfo& blob : blobs) {
    if (done > 0 && done + blob.size > max_bytes) break;
    done += blob.size;
    const Status status = core_->Verify(blob.digest, /*always=*/true);
    if (status.code() == StatusCode::kDataLoss) {
      damaged.push_back(blob.digest);
    } else if (!status.ok() && status.code() != StatusCode::kNotFound) {
      return Err(status);
    }
  }
  return damaged;
}

}  // namespace selvedge
