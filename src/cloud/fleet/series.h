#pragma once

// Recent figures of the services of the fleet: one ring per service, a sample every five seconds,
// one hour. In memory only: what is older is in a monitoring system that reads /metrics.
//
// Bounded: kMaxServices rings of kSamples samples of 8 bytes; where there are more services, the
// one heard least recently goes. Values are kept to a tenth of a per cent. Thread-compatible.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace selvedge {

struct SeriesSample {
  double fps = 0;
  double p50_ms = 0;
  double p99_ms = 0;
  std::uint64_t dropped = 0;  // frames, since the pipeline began
};

struct ServiceSeries {
  // Oldest first, all of one length; nothing where nothing was heard.
  std::vector<std::optional<double>> fps;
  std::vector<std::optional<double>> p50;
  std::vector<std::optional<double>> p99;
  std::vector<std::optional<double>> dropped;  // frames in that step
};

class SeriesTable {
 public:
  static constexpr int kStepSeconds = 5;
  static constexpr int kSamples = 720;
  static constexpr std::size_t kMaxServices = 6000;  // 36 MB

  // `at`: wall time. One that steps back, or repeats a step, replaces what is there.
  void Add(std::string_view device, std::string_view service, Nanos at, const SeriesSample& sample);
  void Forget(std::string_view device);

  struct Window {
    std::int64_t begin_ms = 0;  // Unix, of the first sample
    std::map<std::string, ServiceSeries> services;
  };
  // The last `minutes` (1 to 60) before `now`, which is wall time.
  Window Read(std::string_view device, Nanos now, int minutes) const;

  std::size_t size() const { return rings_.size(); }

 private:
  struct Sample {
    std::uint16_t fps;
    std::uint16_t p50;
    std::uint16_t p99;
    std::uint16_t dropped;
  };
  struct Ring {
    std::array<Sample, kSamples> samples;
    std::int64_t last_step = 0;  // since the Unix epoch; the newest that is filled
    std::uint64_t last_dropped = 0;
  };
  using Key = std::pair<std::string, std::string>;

  void MakeRoom();

  std::map<Key, Ring> rings_;
};

}  // namespace selvedge
