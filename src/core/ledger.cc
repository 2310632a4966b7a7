#include "core/ledger.h"

#include <numeric>

namespace selvedge {

std::string_view DropReasonName(DropReason reason) {
  switch (reason) {
    case DropReason::kQueueFull: return "queue_full";
    case DropReason::kStale: return "stale";
    case DropReason::kCorrupt: return "corrupt";
    case DropReason::kError: return "error";
    case DropReason::kShutdown: return "shutdown";
  }
  return "error";
}

Ledger::Snapshot Ledger::Read() const {
  Snapshot s;
  // Outcomes first: a frame that moves meanwhile is then seen as in flight, never counted before it
  // came in.
  s.local = local_.load(std::memory_order_acquire);
  s.cloud = cloud_.load(std::memory_order_acquire);
  s.stored = stored_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < dropped_.size(); ++i)
    s.dropped[i] = dropped_[i].load(std::memory_order_acquire);
  s.in = in_.load(std::memory_order_relaxed);
  return s;
}

std::uint64_t Ledger::Snapshot::TotalDropped() const {
  return std::accumulate(dropped.begin(), dropped.end(), std::uint64_t{0});
}

std::string Ledger::Snapshot::ToString() const {
  std::string text = "in " + std::to_string(in) + " = local " + std::to_string(local) +
                     " + cloud " + std::to_string(cloud) + " + stored " + std::to_string(stored) +
                     " + dropped " + std::to_string(TotalDropped());
  std::string reasons;
  for (int i = 0; i < kDropReasonCount; ++i) {
    if (dropped[i] == 0) continue;
    if (!reasons.empty()) reasons += ", ";
    reasons +=
        std::string(DropReasonName(static_cast<DropReason>(i))) + ' ' + std::to_string(dropped[i]);
  }
  if (!reasons.empty()) text += " (" + reasons + ')';
  if (!Balances()) text += " + in flight " + std::to_string(in - Accounted());
  return text;
}

}  // namespace selvedge
