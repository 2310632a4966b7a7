#pragma once

// When a device's State is to be sent: at once when something happened, but at most every second;
// with new numbers every `metrics_interval`; and at least every 30 seconds. Pure.

#include <optional>
#include <string>

#include "base/clock.h"
#include "proto/fleet.pb.h"

namespace selvedge {

class StatePacer {
 public:
  static constexpr Nanos kShortest = kSecond;
  static constexpr Nanos kLongest = 30 * kSecond;

  explicit StatePacer(Nanos metrics_interval) : metrics_interval_(metrics_interval) {}

  // Whether `state` is to be sent now; it counts as sent then.
  bool Due(const v1::State& state, Nanos now);
  // The connection is new: whatever comes next is to be sent.
  void Forget() { sent_.reset(); }
  // When Due may say yes without anything having happened.
  Nanos NextTime(Nanos now) const;

 private:
  // What makes a state another one: everything but numbers that always move.
  static std::string EssenceOf(v1::State state);

  const Nanos metrics_interval_;
  std::optional<Nanos> sent_;
  std::string essence_;
  bool has_pipelines_ = false;
  bool pending_ = false;  // something happened that was not sent yet
};

}  // namespace selvedge
