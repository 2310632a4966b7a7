#include "cmd/run/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace selvedge {
namespace {

constexpr Nanos kSampleEvery = 200 * kMillisecond;
constexpr int kBarCells = 16;

}  // namespace

double RateMeter::Update(Nanos now, std::uint64_t total) {
  const Sample& newest = samples_[(count_ + kSamples - 1) % kSamples];
  if (count_ == 0 || now - newest.at >= kSampleEvery) {
    samples_[count_ % kSamples] = {.at = now, .total = total};
    ++count_;
  }
  const Sample& oldest = count_ < kSamples ? samples_[0] : samples_[count_ % kSamples];
  const double seconds = ToSeconds(now - oldest.at);
  return seconds > 0 ? static_cast<double>(total - oldest.total) / seconds : 0;
}

std::string ProgressText(const PipelineStatus& s, std::uint64_t expected_frames,
                         std::uint64_t events) {
  std::string bar;
  if (expected_frames > 0) {
    const double share =
        std::min(1.0, static_cast<double>(s.ledger.in) / static_cast<double>(expected_frames));
    const int full = static_cast<int>(share * kBarCells);
    for (int i = 0; i < kBarCells; ++i) bar += i < full ? '#' : '.';
    bar = fmt::format("[{}] {}/{}", bar, s.ledger.in, expected_frames);
  } else {
    bar = fmt::format("{} frames", s.ledger.in);
  }
  std::string text = fmt::format(
      "{} {}  {:.1f} fps  p50 {:.1f} ms  p99 {:.1f} ms  {} events  {} dropped", s.pipeline, bar,
      s.frames_per_second, s.latency_p50_ms, s.latency_p99_ms, events, s.ledger.TotalDropped());
  if (!s.source_detail.empty()) text += "  " + s.source_detail;
  return text;
}

Progress::Progress(std::string name, std::uint64_t expected_frames, bool quiet)
    : name_(std::move(name)), expected_frames_(expected_frames), quiet_(quiet) {}

void Progress::Show(const PipelineStatus& status, std::uint64_t events) {
  if (!quiet_) line_.Show(ProgressText(status, expected_frames_, events));
}

}  // namespace selvedge
