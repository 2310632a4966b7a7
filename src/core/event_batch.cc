#include "core/event_batch.h"

#include <zstd.h>

#include <string>
#include <utility>

namespace selvedge {
namespace {

constexpr int kLevel = 6;                 // measured on rule events: above it nothing is won
constexpr std::size_t kWorthwhile = 256;  // bytes; below it a frame's header eats the gain
constexpr std::size_t kMaxUnpacked = 2 * kMaxEventBytes;
constexpr int kMaxUnpackedEvents = 2 * kMaxBatchEvents;

}  // namespace

void PackEvents(v1::EventList list, v1::EventBatch* batch) {
  batch->clear_zstd();
  batch->clear_events();
  batch->clear_aggregates();
  const std::string plain = list.SerializeAsString();
  if (plain.size() > kWorthwhile) {
    std::string packed(ZSTD_compressBound(plain.size()), '\0');
    const std::size_t size =
        ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), kLevel);
    if (ZSTD_isError(size) == 0 && size < plain.size()) {
      packed.resize(size);
      batch->set_zstd(std::move(packed));
      return;
    }
  }
  *batch->mutable_events() = std::move(*list.mutable_events());
  *batch->mutable_aggregates() = std::move(*list.mutable_aggregates());
}

Result<v1::EventList> UnpackEvents(const v1::EventBatch& batch) {
  v1::EventList list;
  if (batch.zstd().empty()) {
    if (batch.ByteSizeLong() > kMaxUnpacked) {
      return std::unexpected(InvalidArgumentError("a batch of events is larger than 256 KiB"));
    }
    *list.mutable_events() = batch.events();
    *list.mutable_aggregates() = batch.aggregates();
  } else {
    const std::string& packed = batch.zstd();
    const unsigned long long size = ZSTD_getFrameContentSize(packed.data(), packed.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > kMaxUnpacked) {
      return std::unexpected(
          InvalidArgumentError("a compressed batch of events is damaged, or larger than 256 KiB"));
    }
    std::string plain(size, '\0');
    const std::size_t got =
        ZSTD_decompress(plain.data(), plain.size(), packed.data(), packed.size());
    if (ZSTD_isError(got) != 0 || got != size || !list.ParseFromString(plain)) {
      return std::unexpected(InvalidArgumentError("a compressed batch of events is damaged"));
    }
  }
  if (list.events_size() + list.aggregates_size() > kMaxUnpackedEvents) {
    return std::unexpected(InvalidArgumentError("a batch holds more than 1000 events"));
  }
  return list;
}

}  // namespace selvedge
