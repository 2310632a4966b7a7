#pragma once

// AggregateWindow: what one application of one device saw in a window of time: counts and dwell per
// class, zone and rule, and the latency of its events. Pure; thread-compatible.
//
// What is counted is what began, so that a visit counts once; what ended counts only for a rule
// that reports nothing else (`when: leave`). A dwell rule says with each event how long the stay is
// by then; each second of a stay is summed once, in the window that heard of it. For both, a window
// knows a little of those before it: NextWindow carries it over.
// A window holds at most kMaxCounts kinds of counts (what comes beyond them counts under the empty
// class, zone and rule), as many rules, kMaxStays stays and 452 buckets of latencies.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "base/status.h"
#include "proto/fleet.pb.h"

namespace selvedge {

// Percentiles of durations in steps of 5 %, small enough to be kept beside what they belong to.
class LatencySketch {
 public:
  // Below 1 µs counts as that, above an hour as an hour.
  void Add(std::uint64_t micros);
  std::uint64_t count() const { return count_; }
  // Nearest rank, `percent` in (0, 100]; 0 where there is nothing.
  double PercentileMillis(double percent) const;

  // "17:3 18:1", and back. InvalidArgument for what is not such a text.
  std::string ToText() const;
  static Result<LatencySketch> Parse(std::string_view text);

 private:
  std::map<std::uint16_t, std::uint32_t> buckets_;
  std::uint64_t count_ = 0;
};

class AggregateWindow {
 public:
  static constexpr std::size_t kMaxCounts = 200;
  static constexpr std::size_t kMaxStays = 256;

  AggregateWindow() = default;
  // `begin` is wall time, nanoseconds since the Unix epoch.
  explicit AggregateWindow(Nanos begin) : begin_(begin) {}

  void Add(const v1::Event& event);
  Nanos begin() const { return begin_; }
  std::uint64_t events() const { return events_; }
  // What was seen until `end`. `id` is a ULID.
  v1::Aggregate Finish(Nanos end, std::string_view device, std::string_view application,
                       std::string_view id) const;

  // The one that follows this one.
  AggregateWindow NextWindow(Nanos begin) const;

  // How it is kept on disk: a serialised Aggregate without percentiles, the latencies, and what is
  // carried over, as the counts of an Aggregate.
  struct Stored {
    std::string counts;
    std::string latencies;
    std::string carried;
  };
  Stored Store() const;
  static Result<AggregateWindow> Restore(const Stored& stored);

 private:
  struct Count {
    std::uint64_t count = 0;
    double dwell_seconds = 0;
  };
  using Key = std::tuple<std::string, std::string, std::string>;  // class, zone, rule
  // Of the windows before, too.
  struct Carried {
    std::set<std::string> beginning_rules;                                // that report beginnings
    std::map<std::pair<std::string, std::int64_t>, double> stay_seconds;  // by rule and track
  };
  v1::Aggregate Counts() const;
  bool IsCounted(const v1::Decision& decision);
  double NewDwellSeconds(const v1::Decision& decision);

  Nanos begin_ = 0;
  std::uint64_t events_ = 0;
  std::map<Key, Count> counts_;
  LatencySketch latencies_;
  Carried carried_;
};

// Whether an event goes on to the cloud by itself, besides being counted.
bool PassesRaw(v1::GatewayPolicy::Raw raw, const v1::Event& event);

}  // namespace selvedge
