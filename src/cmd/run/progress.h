#pragma once

// What a person sees while a pipeline runs: one line, rewritten in place.

#include <array>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "cmd/cli/cli.h"
#include "device/publish/device_status.h"

namespace selvedge {

// Frames a second over the last three seconds or so.
class RateMeter {
 public:
  // `total` so far at monotonic time `now`.
  double Update(Nanos now, std::uint64_t total);

 private:
  struct Sample {
    Nanos at = 0;
    std::uint64_t total = 0;
  };
  static constexpr std::size_t kSamples = 16;
  std::array<Sample, kSamples> samples_ = {};
  std::size_t count_ = 0;
};

// "safety-monitor ███████░░░ 412/795  10.0 fps  p50 14.1 ms  p99 18.0 ms  12 events  0 dropped"
std::string ProgressText(const PipelineStatus& status, std::uint64_t expected_frames,
                         std::uint64_t events);

class Progress {
 public:
  Progress(std::string name, std::uint64_t expected_frames, bool quiet);
  void Show(const PipelineStatus& status, std::uint64_t events);
  void Clear() { line_.Clear(); }

 private:
  std::string name_;
  std::uint64_t expected_frames_;
  bool quiet_;
  cli::StatusLine line_;
};

}  // namespace selvedge
