#include "cloud/fleet/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace selvedge {
namespace {

constexpr std::int64_t kClockTroubleMs = 60'000;
constexpr std::size_t kOldBirths = 4;

auto FindBoot(std::deque<v1::Birth>* births, const std::string& boot) {
  return std::ranges::find(*births, boot, &v1::Birth::boot_id);
}

void KeepOldBirth(Node* node) {
  node->old_births.push_back(node->birth);
  if (node->old_births.size() > kOldBirths) node->old_births.pop_front();
}

}  // namespace

bool Node::Supersedes(const v1::Birth& other) {
  const std::string& boot = other.boot_id();
  if (birth.boot_id().empty() || birth.boot_id() == boot) return true;
  const auto before = FindBoot(&old_births, boot);
  const bool old = before != old_births.end();
  if (boot != state.boot_id() && (!other.online() || old)) return false;
  if (old) old_births.erase(before);
  KeepOldBirth(this);
  return true;
}

v1::Birth Node::TakeOldBirth(const std::string& boot) {
  const auto found = birth.boot_id() == boot ? old_births.end() : FindBoot(&old_births, boot);
  if (found == old_births.end()) return birth;
  v1::Birth old = std::move(*found);
  old_births.erase(found);
  KeepOldBirth(this);
  return old;
}

std::string_view NodeStatusName(NodeStatus status) {
  static constexpr std::string_view kNames[] = {"never", "online", "stale", "offline",
                                                "unreachable"};
  return kNames[static_cast<std::size_t>(status)];
}

std::string Node::Trouble() const {
  std::string trouble = state.trouble();
  if (std::abs(clock_offset_ms) > kClockTroubleMs) {
    const std::int64_t seconds = std::abs(clock_offset_ms) / 1000;
    const std::string amount = seconds >= 172'800 ? fmt::format("{} days", seconds / 86'400)
                               : seconds >= 7200  ? fmt::format("{} hours", seconds / 3600)
                                                  : fmt::format("{} seconds", seconds);
    if (!trouble.empty()) trouble += "; ";
    trouble += fmt::format("its clock is {} {}", amount, clock_offset_ms > 0 ? "fast" : "slow");
  }
  return trouble;
}

bool Node::Failing() const {
  return !Trouble().empty() ||
         std::ranges::any_of(state.services(), [](const v1::ServiceStatus& service) {
           return service.state() == v1::FAILING || service.state() == v1::REFUSED;
         });
}

}  // namespace selvedge
