#include "cloud/fleet/series.h"

#include <algorithm>
#include <cmath>

namespace selvedge {
namespace {

constexpr std::uint16_t kNothing = 0xFFFF;
// 16 bits for 0.001 to 10 million on a logarithmic scale: steps of 0.04 %.
constexpr double kUnit = 0.001;
constexpr double kStepsPerDecade = 6500;

std::uint16_t Pack(double value) {
  if (!std::isfinite(value)) return kNothing;
  const double steps = kStepsPerDecade * std::log10(1 + std::max(0.0, value) / kUnit);
  return static_cast<std::uint16_t>(std::min(std::round(steps), kNothing - 1.0));
}

std::optional<double> Unpack(std::uint16_t packed) {
  if (packed == kNothing) return std::nullopt;
  const double value = kUnit * (std::pow(10, packed / kStepsPerDecade) - 1);
  return std::round(value * 1000) / 1000;
}

std::int64_t StepOf(Nanos wall) {
  return wall / (SeriesTable::kStepSeconds * kSecond);
}

}  // namespace

void SeriesTable::Add(std::string_view device, std::string_view service, Nanos at,
                      const SeriesSample& sample) {
  const std::int64_t step = StepOf(at);
  const auto [it, made] = rings_.try_emplace(Key(device, service));
  Ring& ring = it->second;
  const Sample nothing = {kNothing, kNothing, kNothing, kNothing};
  if (made) ring.last_dropped = sample.dropped;
  // After a silence of an hour, or a clock that stepped back, nothing of it is right any more.
  if (made || step < ring.last_step || step - ring.last_step >= kSamples) {
    ring.samples.fill(nothing);
  } else {
    for (std::int64_t i = ring.last_step + 1; i < step; ++i) ring.samples[i % kSamples] = nothing;
  }
  // A pipeline that began anew counts from 0.
  const std::uint64_t dropped =
      sample.dropped >= ring.last_dropped ? sample.dropped - ring.last_dropped : sample.dropped;
  double in_step = static_cast<double>(dropped);
  Sample& slot = ring.samples[static_cast<std::size_t>(step % kSamples)];
  if (!made && step == ring.last_step) in_step += Unpack(slot.dropped).value_or(0);
  slot = {Pack(sample.fps), Pack(sample.p50_ms), Pack(sample.p99_ms), Pack(in_step)};
  ring.last_step = step;
  ring.last_dropped = sample.dropped;
  if (made && rings_.size() > kMaxServices) MakeRoom();
}

void SeriesTable::MakeRoom() {
  const auto oldest = std::ranges::min_element(
      rings_, {}, [](const auto& entry) { return entry.second.last_step; });
  rings_.erase(oldest);
}

void SeriesTable::Forget(std::string_view device) {
  std::erase_if(rings_, [&](const auto& entry) { return entry.first.first == device; });
}

SeriesTable::Window SeriesTable::Read(std::string_view device, Nanos now, int minutes) const {
  const std::int64_t count =
      std::min<std::int64_t>(kSamples, std::int64_t{minutes} * 60 / kStepSeconds);
  const std::int64_t last = StepOf(now);
  const std::int64_t first = last - count + 1;
  Window window{.begin_ms = first * kStepSeconds * 1000};
  for (auto it = rings_.lower_bound(Key(device, ""));
       it != rings_.end() && it->first.first == device; ++it) {
    const Ring& ring = it->second;
    if (ring.last_step < first) continue;
    ServiceSeries& series = window.services[it->first.second];
    for (std::int64_t step = first; step <= last; ++step) {
      const bool there = step <= ring.last_step && step > ring.last_step - kSamples;
      const Sample& sample = ring.samples[static_cast<std::size_t>(step % kSamples)];
      series.fps.push_back(there ? Unpack(sample.fps) : std::nullopt);
      series.p50.push_back(there ? Unpack(sample.p50) : std::nullopt);
      series.p99.push_back(there ? Unpack(sample.p99) : std::nullopt);
      series.dropped.push_back(there ? Unpack(sample.dropped) : std::nullopt);
    }
  }
  return window;
}

}  // namespace selvedge
