#include "vision/tracker.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "vision/hungarian.h"
#include "vision/kalman.h"

namespace selvedge {
namespace {

constexpr int kMaxTracksLimit = 4096;
constexpr int kMaxHits = 1000;
constexpr float kMostBuffer = 2;
constexpr Nanos kLongestLost = 3600 * kSecond;

bool IsTrackable(const Detection& detection) {
  const Box& box = detection.box;
  for (const float v : {box.x1, box.y1, box.x2, box.y2}) {
    if (!(std::abs(v) <= Tracker::kMaxCoordinate)) return false;  // also NaN
  }
  return box.width() > 0 && box.height() > 0;
}

Box Grow(const Box& box, float by) {
  const float x = box.width() * by;
  const float y = box.height() * by;
  return {box.x1 - x, box.y1 - y, box.x2 + x, box.y2 + y};
}

// b - a, or the nearest that Nanos can hold.
Nanos Difference(Nanos a, Nanos b) {
  Nanos out = 0;
  if (!__builtin_sub_overflow(b, a, &out)) return out;
  return b > a ? std::numeric_limits<Nanos>::max() : -std::numeric_limits<Nanos>::max();
}

// A total order that does not depend on where in the frame's list a detection stands.
bool Before(const Detection& a, const Detection& b) {
  const auto key = [](const Detection& d) {
    return std::tuple(-d.score, d.class_id, d.box.x1, d.box.y1, d.box.x2, d.box.y2);
  };
  return key(a) < key(b);
}

}  // namespace

Status TrackerOptions::Validate() const {
  const auto share = [](float v) { return v >= 0 && v <= 1; };
  for (const auto& [name, value] :
       {std::pair("high_score", high_score), std::pair("low_score", low_score),
        std::pair("new_track_score", new_track_score), std::pair("match_iou", match_iou),
        std::pair("low_match_iou", low_match_iou)}) {
    if (!share(value)) {
      return InvalidArgumentError(std::string("tracker: ") + name + " must be 0 to 1");
    }
  }
  if (!(match_buffer >= 0 && match_buffer <= kMostBuffer)) {
    return InvalidArgumentError("tracker: match_buffer must be 0 to 2");
  }
  if (low_score > high_score) {
    return InvalidArgumentError("tracker: low_score must not exceed high_score");
  }
  if (max_lost < kMillisecond || max_lost > kLongestLost) {
    return InvalidArgumentError("tracker: max_lost must be 1 ms to 1 hour");
  }
  if (min_hits < 1 || min_hits > kMaxHits) {
    return InvalidArgumentError("tracker: min_hits must be 1 to 1000");
  }
  if (max_tracks < 1 || max_tracks > kMaxTracksLimit) {
    return InvalidArgumentError("tracker: max_tracks must be 1 to 4096");
  }
  return OkStatus();
}

class Tracker::Impl {
 public:
  explicit Impl(const TrackerOptions& options);

  void Update(Nanos time, std::span<Detection> detections);

  const Tracks& tracks() const { return tracks_; }
  std::span<const std::int64_t> ended() const { return ended_; }

 private:
  struct Live {
    BoxFilter filter;
    Track track;  // its box is the prediction for the frame at hand until matched; id 0 until
                  // confirmed
    Detection* detection = nullptr;  // of the frame at hand
    bool was_matched = false;        // in the frame before this one
  };

  void AdvanceTo(Nanos time);
  void Collect(std::span<Detection> detections);
  enum class Stage { kHigh, kLow };  // whose overlap is asked for
  // Pairs the tracks candidates_ of `live` with the detections in `pool`; what is paired leaves the
  // pool.
  void Match(std::vector<Live>* live, std::vector<Detection*>* pool, Stage stage);
  void Take(Live* live, Detection* detection);
  void MatchConfirmed();
  void MatchTentative();
  void Start();
  void Confirm();
  void EndLost();
  void Publish();

  TrackerOptions options_;
  MotionNoise noise_;
  Nanos now_ = 0;
  bool started_ = false;
  std::int64_t next_id_ = 1;

  std::vector<Live> confirmed_;  // by id
  std::vector<Live> tentative_;  // by age
  std::vector<Detection*> high_;
  std::vector<Detection*> low_;
  std::vector<int> candidates_;  // indices of tracks
  std::vector<float> cost_;
  Assignment assignment_;
  Tracks tracks_;
  std::vector<std::int64_t> ended_;
};

Tracker::Impl::Impl(const TrackerOptions& options) : options_(options) {
  const TrackerOptions defaults;
  const auto share = [](float v, float otherwise, float most = 1) {
    return std::isnan(v) ? otherwise : std::clamp(v, 0.0F, most);
  };
  options_.high_score = share(options.high_score, defaults.high_score);
  options_.low_score = std::min(share(options.low_score, defaults.low_score), options_.high_score);
  options_.new_track_score = share(options.new_track_score, defaults.new_track_score);
  options_.match_iou = share(options.match_iou, defaults.match_iou);
  options_.low_match_iou = share(options.low_match_iou, defaults.low_match_iou);
  options_.match_buffer = share(options.match_buffer, defaults.match_buffer, kMostBuffer);
  options_.max_lost = std::clamp(options.max_lost, kMillisecond, kLongestLost);
  options_.min_hits = std::clamp(options.min_hits, 1, kMaxHits);
  options_.max_tracks = std::clamp(options.max_tracks, 1, kMaxTracksLimit);
  const auto most = static_cast<std::size_t>(options_.max_tracks);
  confirmed_.reserve(most);
  tentative_.reserve(most);
  high_.reserve(most);
  low_.reserve(most);
  candidates_.reserve(most);
  cost_.reserve(most * most);
  assignment_ = Assignment(options_.max_tracks, options_.max_tracks);
  tracks_.reserve(most);
  ended_.reserve(most);
}

void Tracker::Impl::AdvanceTo(Nanos time) {
  if (!started_) now_ = time;
  const bool jumped_back = Difference(time, now_) > options_.max_lost;
  started_ = true;
  if (jumped_back) {
    for (const Live& live : confirmed_) ended_.push_back(live.track.id);
    confirmed_.clear();
    tentative_.clear();
    now_ = time;
  }
  const Nanos by = std::max<Nanos>(Difference(now_, time), 0);
  now_ = std::max(now_, time);
  EndLost();
  for (auto* list : {&confirmed_, &tentative_}) {
    for (Live& live : *list) {
      live.was_matched = live.track.matched;
      if (!live.was_matched) live.filter.StopResizing();
      live.filter.Predict(by, noise_);
      live.track.box = live.filter.box();
      live.track.matched = false;
    }
  }
}

void Tracker::Impl::Collect(std::span<Detection> detections) {
  high_.clear();
  low_.clear();
  const auto most = static_cast<std::size_t>(options_.max_tracks);
  const auto by_key = [](const Detection* a, const Detection* b) { return Before(*a, *b); };
  // A full list keeps the best by replacing its worst: a heap whose front is the worst.
  const auto keep = [&](std::vector<Detection*>* list, Detection* detection) {
    if (list->size() < most) {
      list->push_back(detection);
      if (list->size() == most) std::make_heap(list->begin(), list->end(), by_key);
    } else if (by_key(detection, list->front())) {
      std::pop_heap(list->begin(), list->end(), by_key);
      list->back() = detection;
      std::push_heap(list->begin(), list->end(), by_key);
    }
  };
  for (Detection& detection : detections) {
    detection.track_id = -1;
    if (!(detection.score >= options_.low_score) || !IsTrackable(detection)) continue;
    keep(detection.score >= options_.high_score ? &high_ : &low_, &detection);
  }
  std::sort(high_.begin(), high_.end(), by_key);
  std::sort(low_.begin(), low_.end(), by_key);
}

void Tracker::Impl::Take(Live* live, Detection* detection) {
  live->filter.Correct(detection->box, noise_);
  live->detection = detection;
  Track& track = live->track;
  track.box = live->filter.box();
  track.score = detection->score;
  track.last_seen = now_;
  if (track.hits < std::numeric_limits<std::int32_t>::max()) ++track.hits;
  track.matched = true;
}

void Tracker::Impl::Match(std::vector<Live>* live, std::vector<Detection*>* pool, Stage stage) {
  const int rows = static_cast<int>(candidates_.size());
  const int cols = static_cast<int>(pool->size());
  if (rows == 0 || cols == 0) return;
  const bool high = stage == Stage::kHigh;
  const float buffer = high ? options_.match_buffer : 0;
  cost_.clear();
  for (const int index : candidates_) {
    const Track& track = (*live)[static_cast<std::size_t>(index)].track;
    const Box predicted = Grow(track.box, buffer);
    for (const Detection* detection : *pool) {
      float overlap = 0;
      if (track.class_id == detection->class_id) {
        overlap = Iou(predicted, Grow(detection->box, buffer));
        if (high) overlap *= std::min(detection->score, 1.0F);
      }
      // Boxes that do not touch never pair, whatever the options say.
      cost_.push_back(overlap > 0 ? 1 - overlap : std::numeric_limits<float>::infinity());
    }
  }
  const float least = high ? options_.match_iou : options_.low_match_iou;
  const float gate = std::nextafter(1 - least, 2.0F);  // "at least" is inclusive
  const std::span<const int> pairs = assignment_.Solve(cost_, rows, cols, gate);
  for (int row = 0; row < rows; ++row) {
    if (pairs[row] < 0) continue;
    Detection*& detection = (*pool)[static_cast<std::size_t>(pairs[row])];
    Take(&(*live)[static_cast<std::size_t>(candidates_[row])], detection);
    detection = nullptr;
  }
  std::erase(*pool, nullptr);
}

void Tracker::Impl::MatchConfirmed() {
  candidates_.clear();
  for (std::size_t i = 0; i < confirmed_.size(); ++i) candidates_.push_back(static_cast<int>(i));
  Match(&confirmed_, &high_, Stage::kHigh);
  // A lost track is not found again by an unsure detection: it would drift off with the first
  // clutter.
  candidates_.clear();
  for (std::size_t i = 0; i < confirmed_.size(); ++i) {
    const Live& live = confirmed_[i];
    if (!live.track.matched && live.was_matched) candidates_.push_back(static_cast<int>(i));
  }
  Match(&confirmed_, &low_, Stage::kLow);
}

void Tracker::Impl::MatchTentative() {
  candidates_.clear();
  for (std::size_t i = 0; i < tentative_.size(); ++i) candidates_.push_back(static_cast<int>(i));
  Match(&tentative_, &high_, Stage::kHigh);
  std::erase_if(tentative_, [](const Live& live) { return !live.track.matched; });
}

void Tracker::Impl::Start() {
  for (Detection* detection : high_) {
    if (detection->score < options_.new_track_score) break;  // best first
    if (confirmed_.size() + tentative_.size() >= static_cast<std::size_t>(options_.max_tracks)) {
      break;
    }
    Live& live = tentative_.emplace_back();
    live.filter = BoxFilter(detection->box, noise_);
    live.detection = detection;
    live.track = {.class_id = detection->class_id,
                  .box = detection->box,
                  .score = detection->score,
                  .first_seen = now_,
                  .last_seen = now_,
                  .hits = 1,
                  .matched = true};
  }
}

void Tracker::Impl::Confirm() {
  for (Live& live : tentative_) {
    if (live.track.hits < options_.min_hits) continue;
    live.track.id = next_id_++;
    confirmed_.push_back(live);
  }
  std::erase_if(tentative_, [](const Live& live) { return live.track.id > 0; });
}

void Tracker::Impl::EndLost() {
  std::erase_if(confirmed_, [this](const Live& live) {
    const bool over = Difference(live.track.last_seen, now_) > options_.max_lost;
    if (over) ended_.push_back(live.track.id);
    return over;
  });
  std::erase_if(tentative_, [this](const Live& live) {
    return Difference(live.track.last_seen, now_) > options_.max_lost;
  });
}

void Tracker::Impl::Publish() {
  tracks_.clear();
  for (Live& live : confirmed_) {
    if (live.detection != nullptr) live.detection->track_id = live.track.id;
    live.track.velocity_x = static_cast<float>(live.filter.velocity_x());
    live.track.velocity_y = static_cast<float>(live.filter.velocity_y());
    tracks_.push_back(live.track);
  }
  // The caller's detections are not ours once Update returns.
  for (auto* list : {&confirmed_, &tentative_}) {
    for (Live& live : *list) live.detection = nullptr;
  }
}

void Tracker::Impl::Update(Nanos time, std::span<Detection> detections) {
  ended_.clear();
  AdvanceTo(time);
  Collect(detections);
  MatchConfirmed();
  MatchTentative();
  Start();
  Confirm();
  Publish();
}

Tracker::Tracker(const TrackerOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Tracker::~Tracker() = default;
Tracker::Tracker(Tracker&&) noexcept = default;
Tracker& Tracker::operator=(Tracker&&) noexcept = default;

void Tracker::Update(Nanos time, std::span<Detection> detections) {
  impl_->Update(time, detections);
}
const Tracks& Tracker::tracks() const {
  return impl_->tracks();
}
std::span<const std::int64_t> Tracker::ended() const {
  return impl_->ended();
}

}  // namespace selvedge
