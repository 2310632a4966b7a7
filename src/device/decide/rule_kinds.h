#pragma once

// What each kind of rule does with a frame. Internal to device/decide; docs/formats/rules.md is the
// law.

#include <span>
#include <vector>

#include "core/detection.h"
#include "device/decide/rule.h"

namespace selvedge {

// One rule at one frame. Refers to the RuleSet's own state; lives for a call.
struct RuleTurn {
  const RuleSet::Impl& set;
  std::size_t index;  // of the rule
  RuleMemory& memory;
  std::vector<RuleFiring>* out;

  const Rule& rule() const { return set.rules[index]; }
};

// A matched detection, or a predicted box that says nothing new?
bool IsSeen(const Track& track);

// Everything of one frame, tracks in `slots` order as given; slot -1 is skipped.
void EvaluateRule(const RuleTurn& turn, std::span<const Track> tracks, std::span<const int> slots);

// The track in `slot` is no more.
void EndTrackOfRule(const RuleTurn& turn, int slot, std::int64_t id);

}  // namespace selvedge
