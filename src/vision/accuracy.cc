#include "vision/accuracy.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <ranges>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "vision/hungarian.h"

namespace selvedge {
namespace {

constexpr float kNoPair = std::numeric_limits<float>::infinity();
constexpr std::size_t kMostIdentityPairs = 20'000'000;

double Share(std::int64_t part, std::int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

struct Ranked {
  std::size_t frame = 0;
  const Detection* detection = nullptr;
};

// By falling score; ties stay in the order of frames. A score that is no number is worse than any.
std::vector<Ranked> RankAll(std::span<const EvaluatedFrame> frames, float least_score) {
  std::vector<Ranked> ranked;
  for (std::size_t f = 0; f < frames.size(); ++f) {
    for (const Detection& detection : frames[f].found) {
      if (detection.score >= least_score) ranked.push_back({f, &detection});
    }
  }
  std::ranges::stable_sort(ranked, [](const Ranked& a, const Ranked& b) {
    return a.detection->score > b.detection->score;
  });
  return ranked;
}

std::int64_t CountTruth(std::span<const EvaluatedFrame> frames) {
  std::int64_t count = 0;
  for (const EvaluatedFrame& frame : frames) {
    count += std::ranges::count_if(frame.truth, [](const TruthBox& t) { return !t.ignored; });
  }
  return count;
}

enum class Verdict { kTrue, kFalse, kExcused };

// Decides detections one after the other; remembers which truth is claimed.
class Claims {
 public:
  Claims(std::span<const EvaluatedFrame> frames, float iou) : frames_(frames), iou_(iou) {
    claimed_.reserve(frames.size());
    for (const EvaluatedFrame& frame : frames) claimed_.emplace_back(frame.truth.size(), false);
  }

  Verdict Judge(const Ranked& ranked) {
    const std::vector<TruthBox>& truth = frames_[ranked.frame].truth;
    std::vector<bool>& claimed = claimed_[ranked.frame];
    for (const bool ignored : {false, true}) {
      std::optional<std::size_t> best;
      float best_overlap = iou_;
      for (std::size_t i = 0; i < truth.size(); ++i) {
        if (claimed[i] || truth[i].ignored != ignored) continue;
        const float overlap = Iou(ranked.detection->box, truth[i].box);
        if (overlap > best_overlap || (!best && overlap >= best_overlap)) {
          best = i;
          best_overlap = overlap;
        }
      }
      if (!best) continue;
      claimed[*best] = true;
      return ignored ? Verdict::kExcused : Verdict::kTrue;
    }
    return Verdict::kFalse;
  }

 private:
  std::span<const EvaluatedFrame> frames_;
  float iou_;
  std::vector<std::vector<bool>> claimed_;
};

// A frame as the measures of tracking see it: real truth, and tracked boxes not on ignored truth.
struct TrackedFrame {
  std::vector<const TruthBox*> truth;
  std::vector<const Detection*> tracked;
  std::vector<float> overlap;  // truth x tracked

  float At(std::size_t t, std::size_t d) const { return overlap[t * tracked.size() + d]; }
};

// The most pairs, then the most overlap: a pair's gain (the gate less its cost) dwarfs any overlap.
constexpr float kMatchGate = 1e4F;
float MatchCost(float overlap, float iou) {
  return overlap >= iou ? 1 - overlap : kNoPair;
}

Status CheckUnique(const EvaluatedFrame& frame) {
  std::unordered_set<std::int64_t> seen;
  for (const TruthBox& t : frame.truth) {
    if (t.id >= 0 && !seen.insert(t.id).second) {
      return InvalidArgumentError("object " + std::to_string(t.id) +
                                  " is labelled twice in a frame");
    }
  }
  seen.clear();
  for (const Detection& d : frame.found) {
    if (d.track_id >= 1 && !seen.insert(d.track_id).second) {
      return InvalidArgumentError("track " + std::to_string(d.track_id) +
                                  " has two boxes in a frame");
    }
  }
  return OkStatus();
}

TrackedFrame Prepare(const EvaluatedFrame& frame, float iou, Assignment* assignment) {
  TrackedFrame out;
  for (const Detection& d : frame.found) {
    if (d.track_id >= 1) out.tracked.push_back(&d);
  }
  const bool any_ignored =
      std::ranges::any_of(frame.truth, [](const TruthBox& t) { return t.ignored; });
  if (any_ignored && !out.tracked.empty()) {
    std::vector<float> cost;
    for (const TruthBox& t : frame.truth) {
      for (const Detection* d : out.tracked) cost.push_back(MatchCost(Iou(t.box, d->box), iou));
    }
    const auto pairs = assignment->Solve(cost, static_cast<int>(frame.truth.size()),
                                         static_cast<int>(out.tracked.size()), kMatchGate);
    for (std::size_t t = 0; t < frame.truth.size(); ++t) {
      if (pairs[t] >= 0 && frame.truth[t].ignored) out.tracked[pairs[t]] = nullptr;
    }
    std::erase(out.tracked, nullptr);
  }
  for (const TruthBox& t : frame.truth) {
    if (t.ignored || t.id < 0) continue;
    out.truth.push_back(&t);
    for (const Detection* d : out.tracked) out.overlap.push_back(Iou(t.box, d->box));
  }
  return out;
}

// Bernardin and Stiefelhagen 2008, section 2.1.2, one frame at a time.
class ClearMot {
 public:
  ClearMot(float iou, TrackingAccuracy* out) : iou_(iou), out_(out) {}

  void Add(const TrackedFrame& frame, Assignment* assignment) {
    const std::size_t rows = frame.truth.size();
    const std::size_t cols = frame.tracked.size();
    std::vector<char> row_done(rows, 0);
    std::vector<char> col_done(cols, 0);
    std::int64_t matches = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      const auto last = last_track_.find(frame.truth[t]->id);
      if (last == last_track_.end()) continue;
      for (std::size_t d = 0; d < cols; ++d) {
        if (col_done[d] || frame.tracked[d]->track_id != last->second) continue;
        if (frame.At(t, d) < iou_) continue;
        row_done[t] = col_done[d] = 1;
        ++matches;
        out_->overlap_sum += frame.At(t, d);
      }
    }
    std::vector<float> cost;
    cost.reserve(rows * cols);
    for (std::size_t t = 0; t < rows; ++t) {
      for (std::size_t d = 0; d < cols; ++d) {
        cost.push_back(row_done[t] || col_done[d] ? kNoPair : MatchCost(frame.At(t, d), iou_));
      }
    }
    const auto pairs =
        assignment->Solve(cost, static_cast<int>(rows), static_cast<int>(cols), kMatchGate);
    for (std::size_t t = 0; t < rows; ++t) {
      if (pairs[t] < 0) continue;
      const auto d = static_cast<std::size_t>(pairs[t]);
      const std::int64_t track = frame.tracked[d]->track_id;
      const auto [last, is_new] = last_track_.try_emplace(frame.truth[t]->id, track);
      if (!is_new && last->second != track) {
        ++out_->id_switches;
        last->second = track;
      }
      ++matches;
      out_->overlap_sum += frame.At(t, d);
    }
    out_->matches += matches;
    out_->misses += static_cast<std::int64_t>(rows) - matches;
    out_->false_positives += static_cast<std::int64_t>(cols) - matches;
    out_->truth_boxes += static_cast<std::int64_t>(rows);
    out_->tracked_boxes += static_cast<std::int64_t>(cols);
  }

 private:
  float iou_;
  TrackingAccuracy* out_;
  std::unordered_map<std::int64_t, std::int64_t> last_track_;  // of each object, when last found
};

// Ristani et al. 2016, section 2.2: the one-to-one pairing of objects and tracks that shares most
// boxes. Pairing with the least ID errors, |o| + |t| - 2 shared summed, is the same as sharing the
// most.
class IdentityMatch {
 public:
  explicit IdentityMatch(float iou) : iou_(iou) {}

  void Add(const TrackedFrame& frame) {
    for (std::size_t t = 0; t < frame.truth.size(); ++t) {
      for (std::size_t d = 0; d < frame.tracked.size(); ++d) {
        if (frame.At(t, d) < iou_) continue;
        const std::size_t object = Index(&objects_, frame.truth[t]->id);
        const std::size_t track = Index(&tracks_, frame.tracked[d]->track_id);
        ++shared_[object << 32U | track];
      }
    }
  }

  Result<std::int64_t> Best() const {
    const std::size_t rows = objects_.size();
    const std::size_t cols = tracks_.size();
    if (cols != 0 && rows > kMostIdentityPairs / cols) {
      return Err(
          ResourceExhaustedError(std::to_string(rows) + " objects and " + std::to_string(cols) +
                                 " tracks are too many to match exactly; evaluate fewer frames"));
    }
    std::vector<float> cost(rows * cols, 0);
    for (const auto& [key, count] : shared_) {
      cost[(key >> 32U) * cols + (key & 0xFFFFFFFFU)] = -static_cast<float>(count);
    }
    Assignment assignment;
    const auto pairs = assignment.Solve(cost, static_cast<int>(rows), static_cast<int>(cols), 0);
    std::int64_t total = 0;
    for (std::size_t t = 0; t < rows; ++t) {
      if (pairs[t] >= 0) {
        total += shared_.at(t << 32U | static_cast<std::size_t>(pairs[t]));
      }
    }
    return total;
  }

 private:
  using Indices = std::unordered_map<std::int64_t, std::size_t>;
  static std::size_t Index(Indices* indices, std::int64_t id) {
    return indices->try_emplace(id, indices->size()).first->second;
  }

  float iou_;
  Indices objects_;
  Indices tracks_;
  std::unordered_map<std::size_t, std::int64_t> shared_;  // object << 32 | track: frames together
};

}  // namespace

double AveragePrecision(std::span<const EvaluatedFrame> frames, float iou) {
  const std::int64_t truth = CountTruth(frames);
  if (truth == 0) return 0;
  Claims claims(frames, iou);
  std::vector<double> precision;  // at each further true positive, that is, at each step of recall
  std::int64_t found = 0;
  std::int64_t wrong = 0;
  for (const Ranked& ranked : RankAll(frames, -std::numeric_limits<float>::infinity())) {
    const Verdict verdict = claims.Judge(ranked);
    if (verdict == Verdict::kFalse) ++wrong;
    if (verdict != Verdict::kTrue) continue;
    ++found;
    precision.push_back(Share(found, found + wrong));
  }
  double best_from_here = 0;
  double area = 0;
  for (const double at_step : std::views::reverse(precision)) {
    best_from_here = std::max(best_from_here, at_step);
    area += best_from_here;
  }
  return area / static_cast<double>(truth);
}

double MeanAveragePrecision(std::span<const EvaluatedFrame> frames) {
  constexpr int kSteps = 10;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) {
    sum += AveragePrecision(frames, static_cast<float>(50 + 5 * i) / 100);
  }
  return sum / kSteps;
}

double DetectionAccuracy::precision() const {
  return Share(true_positives, true_positives + false_positives);
}
double DetectionAccuracy::recall() const {
  return Share(true_positives, true_positives + misses);
}
double DetectionAccuracy::f1() const {
  return Share(2 * true_positives, 2 * true_positives + false_positives + misses);
}

DetectionAccuracy MeasureDetection(std::span<const EvaluatedFrame> frames, float iou, float score) {
  DetectionAccuracy out;
  Claims claims(frames, iou);
  for (const Ranked& ranked : RankAll(frames, score)) {
    switch (claims.Judge(ranked)) {
      case Verdict::kTrue: ++out.true_positives; break;
      case Verdict::kFalse: ++out.false_positives; break;
      case Verdict::kExcused: break;
    }
  }
  out.misses = CountTruth(frames) - out.true_positives;
  return out;
}

double TrackingAccuracy::mota() const {
  if (truth_boxes == 0) return 0;
  return 1 - Share(misses + false_positives + id_switches, truth_boxes);
}
double TrackingAccuracy::motp() const {
  return matches > 0 ? overlap_sum / static_cast<double>(matches) : 0;
}
double TrackingAccuracy::idf1() const {
  return Share(2 * identity_matches, truth_boxes + tracked_boxes);
}

Result<TrackingAccuracy> MeasureTracking(std::span<const EvaluatedFrame> frames, float iou) {
  TrackingAccuracy out;
  ClearMot clear(iou, &out);
  IdentityMatch identity(iou);
  Assignment assignment;
  for (const EvaluatedFrame& frame : frames) {
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckUnique(frame));
    const TrackedFrame prepared = Prepare(frame, iou, &assignment);
    clear.Add(prepared, &assignment);
    identity.Add(prepared);
  }
  SELVEDGE_ASSIGN_OR_RETURN(out.identity_matches, identity.Best());
  return out;
}

}  // namespace selvedge
