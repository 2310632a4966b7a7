#include "cloud/fleet/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace selvedge {
namespace {

constexpr std::int64_t kClockTroubleMs = 60'000;

}  // namespace

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
