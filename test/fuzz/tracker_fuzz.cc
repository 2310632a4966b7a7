// Any bytes as times and detections: the tracker answers every frame with finite boxes, ids that
// rise, and no track that is in two places.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <span>

#include "check.h"
#include "vision/tracker.h"

namespace {

// Values from the input, zero once it is used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}
  template <typename T>
  T Take() {
    T value{};
    const std::size_t n = std::min(sizeof value, rest_.size());
    std::memcpy(&value, rest_.data(), n);
    rest_ = rest_.subspan(n);
    return value;
  }
  bool empty() const { return rest_.empty(); }

 private:
  std::span<const std::uint8_t> rest_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  if (size == 0) return 0;
  Bytes bytes(data, size);
  const auto settings = bytes.Take<std::uint8_t>();
  TrackerOptions options{.min_hits = 1 + settings % 3, .max_tracks = 1 + settings / 16};
  if (settings % 16 == 15) std::memset(&options.high_score, 0xFF, sizeof options.high_score);
  Tracker tracker(options);
  std::set<std::int64_t> gone;
  Nanos now = 0;
  std::int64_t newest = 0;
  while (!bytes.empty()) {
    const auto step = bytes.Take<std::uint8_t>();
    now = step == 255 ? bytes.Take<Nanos>() : now + (step - 20) * kMillisecond * 10;
    Detections frame(bytes.Take<std::uint8_t>() % 8);
    for (Detection& d : frame) {
      const bool raw = bytes.Take<std::uint8_t>() == 255;
      const auto number = [&] {
        return raw ? bytes.Take<float>() : static_cast<float>(bytes.Take<std::uint8_t>());
      };
      d.box = {number(), number(), number(), number()};
      d.score = raw ? number() : number() / 255;
      d.class_id = bytes.Take<std::uint8_t>() % 2;
    }
    tracker.Update(now, frame);
    now = std::clamp<Nanos>(now, -(Nanos{1} << 60), Nanos{1} << 60);
    for (const std::int64_t id : tracker.ended()) SELVEDGE_FUZZ_CHECK(gone.insert(id).second);
    std::int64_t last = 0;
    SELVEDGE_FUZZ_CHECK(tracker.tracks().size() <= static_cast<std::size_t>(options.max_tracks));
    for (const Track& track : tracker.tracks()) {
      SELVEDGE_FUZZ_CHECK(track.id > last && !gone.contains(track.id));
      last = track.id;
      SELVEDGE_FUZZ_CHECK(std::isfinite(track.box.area()) && std::isfinite(track.velocity_x));
      int mine = 0;
      for (const Detection& d : frame) mine += d.track_id == track.id ? 1 : 0;
      SELVEDGE_FUZZ_CHECK(mine == (track.matched ? 1 : 0));
    }
    newest = std::max(newest, last);
    for (const Detection& d : frame) SELVEDGE_FUZZ_CHECK(d.track_id == -1 || d.track_id <= newest);
  }
  return 0;
}
