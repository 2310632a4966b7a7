#include "base/bounded_queue.h"

namespace selvedge {

std::string_view DropPolicyName(DropPolicy policy) {
  switch (policy) {
    case DropPolicy::kBlock: return "block";
    case DropPolicy::kDropOldest: return "drop-oldest";
    case DropPolicy::kDropNewest: return "drop-newest";
  }
  return "block";
}

std::optional<DropPolicy> ParseDropPolicy(std::string_view name) {
  for (DropPolicy p : {DropPolicy::kBlock, DropPolicy::kDropOldest, DropPolicy::kDropNewest}) {
    if (DropPolicyName(p) == name) return p;
  }
  return std::nullopt;
}

}  // namespace selvedge
