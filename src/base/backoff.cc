#include "base/backoff.h"

#include <algorithm>
#include <utility>

namespace selvedge {

Backoff::Backoff(Nanos first, Nanos max, std::function<double()> random)
    : first_(std::max(first, kMillisecond)),
      max_(std::max(max, first_)),
      base_(first_),
      random_(std::move(random)) {}

Nanos Backoff::Next() {
  const Nanos base = base_;
  base_ = base > max_ / 2 ? max_ : base * 2;
  const double share = std::clamp(random_(), 0.0, 1.0);
  const Nanos half = base / 2;
  return half + static_cast<Nanos>(static_cast<double>(base - half) * share);
}

}  // namespace selvedge
