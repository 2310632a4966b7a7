// Any bytes as a MOTChallenge file: they end in boxes within the limits, which the measures of
// accuracy take, or in one clear sentence.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "check.h"
#include "vision/accuracy.h"
#include "vision/mot.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const MotLimits limits{.max_entries = 50, .max_frame = 100};
  const auto entries = ParseMot(text, "mot", limits);
  if (!entries) {
    const std::string& message = entries.error().message();
    SELVEDGE_FUZZ_CHECK(message.starts_with("mot:"));
    SELVEDGE_FUZZ_CHECK(message.size() < 256);
    for (const char c : message) SELVEDGE_FUZZ_CHECK(c >= ' ' && c < 127);
    return 0;
  }
  SELVEDGE_FUZZ_CHECK(!entries->empty() && entries->size() <= limits.max_entries);
  std::vector<EvaluatedFrame> frames(static_cast<std::size_t>(limits.max_frame));
  for (const MotEntry& entry : *entries) {
    SELVEDGE_FUZZ_CHECK(entry.frame >= 1 && entry.frame <= limits.max_frame);
    SELVEDGE_FUZZ_CHECK(std::isfinite(entry.box.area()) && entry.id >= -1);
    EvaluatedFrame& frame = frames[static_cast<std::size_t>(entry.frame - 1)];
    frame.truth.push_back({entry.box, entry.id, entry.confidence == 0});
    // Half of the boxes are found, by a track of the same name.
    if (frame.truth.size() % 2 == 1 && entry.id >= 1) {
      frame.found.push_back({.box = entry.box, .score = entry.confidence, .track_id = entry.id});
    }
  }
  const double ap = AveragePrecision(frames, 0.5F);
  SELVEDGE_FUZZ_CHECK(ap >= 0 && ap <= 1 + 1e-9);
  const auto tracking = MeasureTracking(frames, 0.5F);
  SELVEDGE_FUZZ_CHECK(tracking.has_value());
  SELVEDGE_FUZZ_CHECK(tracking->mota() <= 1 && tracking->idf1() <= 1 + 1e-9);
  SELVEDGE_FUZZ_CHECK(tracking->matches + tracking->misses == tracking->truth_boxes);
  SELVEDGE_FUZZ_CHECK(tracking->identity_matches <= tracking->truth_boxes);
  return 0;
}
