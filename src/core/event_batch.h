#pragma once

// Events and aggregates packed for the way up (docs/formats/fleet.md): compressed with zstd where
// that makes them smaller. Pure; thread-safe.

#include <cstddef>

#include "base/status.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// Of one batch before compression, and of any single event.
inline constexpr std::size_t kMaxEventBytes = std::size_t{128} * 1024;
inline constexpr int kMaxBatchEvents = 500;

// Puts `list` into the batch: as it is, or compressed into `zstd`. Numbers and stream stay the
// caller's.
void PackEvents(v1::EventList list, v1::EventBatch* batch);

// What a batch holds, however it was packed. InvalidArgument where it does not decompress or parse,
// or is above the limits (twice those of a sender, so that a newer one may grow).
Result<v1::EventList> UnpackEvents(const v1::EventBatch& batch);

}  // namespace selvedge
