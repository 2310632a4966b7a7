#pragma once

// SimLoop: the time, the order of things and the chance of a simulated fleet.
//
// One thread. Time is a FakeClock that jumps from one planned step to the next; steps of one
// instant happen in the order in which they were planned; every choice comes from one generator, so
// a seed is a run. What happened last is kept, for who has to find out why: kLastSteps of the
// whole, and of each subject (a node, an operator). Not thread-safe. Cannot fail.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace selvedge {

// The same numbers on every platform, which the standard's distributions do not promise.
class SimRandom {
 public:
  explicit SimRandom(std::uint64_t seed) : engine_(seed) {}

  std::int64_t Between(std::int64_t low, std::int64_t high);  // both included
  double Unit();                                              // [0, 1)
  bool Chance(double probability) { return Unit() < probability; }
  template <typename Words>
  const auto& Pick(const Words& words) {
    return words[static_cast<std::size_t>(
        Between(0, static_cast<std::int64_t>(std::size(words)) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

class SimLoop {
 public:
  static constexpr std::size_t kLastSteps = 50;

  explicit SimLoop(std::uint64_t seed) : random_(seed) {}
  SimLoop(const SimLoop&) = delete;
  SimLoop& operator=(const SimLoop&) = delete;

  const Clock& clock() const { return clock_; }
  Nanos now() const { return clock_.Monotonic(); }
  SimRandom& random() { return random_; }

  void After(Nanos delay, std::function<void()> what);
  // Does what is planned until then, and lets the time be `until`.
  void RunUntil(Nanos until);

  // Every step of this subject goes to stderr as it happens; "*": of all.
  void Trace(std::string subject) { trace_ = std::move(subject); }
  // Something happened to `subject`.
  void Note(std::string_view subject, std::string_view what);
  std::uint64_t steps() const { return steps_; }
  // Of everything that was noted so far: the same for the same seed.
  std::uint64_t fingerprint() const { return fingerprint_; }
  // One per line, oldest first; of one subject, or of all where it is empty.
  std::string LastSteps(std::string_view subject = {}) const;

 private:
  struct Planned {
    Nanos at;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Planned& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  FakeClock clock_{kSecond, 1'800'000'000 * kSecond};
  SimRandom random_;
  std::priority_queue<Planned> planned_;
  std::string trace_;
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::uint64_t fingerprint_ = 14695981039346656037U;
  std::deque<std::string> last_;
  std::map<std::string, std::deque<std::string>, std::less<>> last_of_;
};

}  // namespace selvedge
