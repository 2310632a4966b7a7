#include "vision/ssd.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "vision/decoder_output.h"

namespace selvedge {
namespace {

struct ShapeOfAnchor {
  double scale;
  double ratio;
};

std::vector<ShapeOfAnchor> ShapesOfMap(const SsdAnchors& anchors, std::size_t map, double scale,
                                       double next_scale) {
  if (map == 0 && anchors.reduce_lowest_layer) return {{0.1, 1.0}, {scale, 2.0}, {scale, 0.5}};
  std::vector<ShapeOfAnchor> shapes;
  shapes.reserve(anchors.aspect_ratios.size() + 1);
  for (double ratio : anchors.aspect_ratios) shapes.push_back({scale, ratio});
  if (anchors.interpolated_ratio > 0) {
    shapes.push_back({std::sqrt(scale * next_scale), anchors.interpolated_ratio});
  }
  return shapes;
}

class SsdDecoder : public Decoder {
 public:
  SsdDecoder(const ModelCard& card, OutputReader boxes, OutputReader scores, ScoreRule rule,
             std::vector<Anchor> anchors, std::int64_t classes)
      : boxes_(std::move(boxes)),
        scores_(std::move(scores)),
        rule_(rule),
        anchors_(std::move(anchors)),
        background_(card.decoder.background_classes),
        labels_(card.labels.size()),
        box_scale_(card.decoder.box_scale),
        input_width_(static_cast<float>(card.input.width)),
        input_height_(static_cast<float>(card.input.height)),
        collector_(card.decoder, anchors_.size() * static_cast<std::size_t>(classes)) {}

  Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                Detections* out) override {
    out->clear();
    Rows boxes;
    Rows scores;
    SELVEDGE_RETURN_IF_ERROR(boxes_.Read(outputs, &boxes));
    SELVEDGE_RETURN_IF_ERROR(scores_.Read(outputs, &scores));
    if (boxes.columns != 4 || boxes.rows != static_cast<std::int64_t>(anchors_.size()) ||
        scores.rows != boxes.rows || scores.columns <= background_ ||
        !FitsLabels(labels_, scores.columns - background_)) {
      return InvalidArgumentError("an SSD of " + std::to_string(anchors_.size()) +
                                  " anchors cannot read " + std::to_string(boxes.rows) +
                                  " boxes and " + std::to_string(scores.rows) + " rows of " +
                                  std::to_string(scores.columns) + " scores");
    }
    collector_.Clear();
    if (rule_.activation() == ScoreRule::Activation::kSoftmax) {
      CollectSoftmax(boxes, scores);
    } else {
      CollectSeparate(boxes, scores);
    }
    collector_.Finish(transform, out);
    return OkStatus();
  }

 private:
  Box BoxAt(const Rows& boxes, std::size_t index) const {
    const float* t = boxes.values.data() + 4 * index;
    const Anchor& a = anchors_[index];
    const float cy = t[0] / box_scale_[0] * a.height + a.cy;
    const float cx = t[1] / box_scale_[1] * a.width + a.cx;
    const float h = std::exp(t[2] / box_scale_[2]) * a.height;
    const float w = std::exp(t[3] / box_scale_[3]) * a.width;
    return {(cx - w / 2) * input_width_, (cy - h / 2) * input_height_, (cx + w / 2) * input_width_,
            (cy + h / 2) * input_height_};
  }

  // Each score stands for itself. Nearly all are below the threshold, so the raw values are
  // compared and exp is left to the few that pass.
  void CollectSeparate(const Rows& boxes, const Rows& scores) {
    const float threshold = rule_.raw_threshold();
    const auto columns = static_cast<std::size_t>(scores.columns);
    const auto first = static_cast<std::size_t>(background_);
    for (std::size_t i = 0; i < anchors_.size(); ++i) {
      const float* row = scores.values.data() + i * columns;
      for (std::size_t c = first; c < columns; ++c) {
        if (!(row[c] >= threshold) || !std::isfinite(row[c])) continue;
        collector_.Add(BoxAt(boxes, i), rule_.Score(row[c]), static_cast<std::int32_t>(c - first));
      }
    }
  }

  // p_c = exp(l_c / T) / sum, and no p_c is above exp((l_c - l_max) / T): an anchor whose best
  // class stays below the threshold by that bound needs no sum.
  void CollectSoftmax(const Rows& boxes, const Rows& scores) {
    const float t = rule_.temperature();
    const auto columns = static_cast<std::size_t>(scores.columns);
    const auto first = static_cast<std::size_t>(background_);
    const float bound = t * std::log(std::max(rule_.threshold(), 1e-30F));
    for (std::size_t i = 0; i < anchors_.size(); ++i) {
      const float* row = scores.values.data() + i * columns;
      const float best = *std::max_element(row + first, row + columns);
      const float most = first > 0 ? std::max(best, *std::max_element(row, row + first)) : best;
      if (!(best - most >= bound) || !std::isfinite(most)) continue;
      float sum = 0;
      for (std::size_t c = 0; c < columns; ++c) sum += std::exp((row[c] - most) / t);
      for (std::size_t c = first; c < columns; ++c) {
        const float score = std::exp((row[c] - most) / t) / sum;
        if (!(score >= rule_.threshold())) continue;
        collector_.Add(BoxAt(boxes, i), score, static_cast<std::int32_t>(c - first));
      }
    }
  }

  OutputReader boxes_;
  OutputReader scores_;
  const ScoreRule rule_;
  const std::vector<Anchor> anchors_;
  const int background_;
  const std::size_t labels_;
  const std::array<float, 4> box_scale_;
  const float input_width_;
  const float input_height_;
  BoxCollector collector_;
};

// Anchors a card may ask for: far above any real head, far below what hurts.
constexpr std::size_t kMostAnchors = 1'000'000;

Status CheckAnchors(const SsdAnchors& anchors) {
  if (anchors.grids.empty()) {
    return InvalidArgumentError("the card's decoder.anchors.grids is empty; an SSD needs them");
  }
  double count = 0;
  for (int grid : anchors.grids) {
    if (grid < 1) {
      return InvalidArgumentError(
          "the card's decoder.anchors.grids must be 1 or more cells a side");
    }
    count +=
        static_cast<double>(grid) * grid * static_cast<double>(anchors.aspect_ratios.size() + 4);
  }
  if (count > static_cast<double>(kMostAnchors)) {
    return InvalidArgumentError("the card's decoder.anchors ask for more than " +
                                std::to_string(kMostAnchors) + " anchors");
  }
  const auto positive = [](double v) { return v > 0 && std::isfinite(v); };
  if (!std::ranges::all_of(anchors.aspect_ratios, positive) || !positive(anchors.min_scale) ||
      !positive(anchors.max_scale)) {
    return InvalidArgumentError("the card's decoder.anchors need scales and aspect ratios above 0");
  }
  return OkStatus();
}

}  // namespace

std::vector<Anchor> MakeSsdAnchors(const SsdAnchors& anchors) {
  std::vector<Anchor> made;
  const std::size_t maps = anchors.grids.size();
  const auto scale_of = [&](std::size_t map) {
    if (map >= maps) return 1.0;
    if (maps == 1) return anchors.min_scale;
    return anchors.min_scale + (anchors.max_scale - anchors.min_scale) * static_cast<double>(map) /
                                   static_cast<double>(maps - 1);
  };
  for (std::size_t map = 0; map < maps; ++map) {
    const int grid = anchors.grids[map];
    const auto shapes = ShapesOfMap(anchors, map, scale_of(map), scale_of(map + 1));
    for (int y = 0; y < grid; ++y) {
      for (int x = 0; x < grid; ++x) {
        for (const ShapeOfAnchor& shape : shapes) {
          const double root = std::sqrt(shape.ratio);
          made.push_back({static_cast<float>((x + anchors.centre_offset) / grid),
                          static_cast<float>((y + anchors.centre_offset) / grid),
                          static_cast<float>(shape.scale * root),
                          static_cast<float>(shape.scale / root)});
        }
      }
    }
  }
  return made;
}

Result<std::unique_ptr<Decoder>> MakeSsdDecoder(const ModelCard& card,
                                                std::span<const TensorSpec> outputs) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckAnchors(card.decoder.anchors));
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, ScoreRule::FromCard(card));
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader boxes,
                            OutputReader::Create(outputs, card.decoder.boxes, "decoder.boxes"));
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader scores,
                            OutputReader::Create(outputs, card.decoder.scores, "decoder.scores"));
  if (!std::ranges::all_of(card.decoder.box_scale,
                           [](float s) { return s != 0 && std::isfinite(s); })) {
    return Err(InvalidArgumentError("the card's decoder.box_scale must not hold 0"));
  }
  std::vector<Anchor> anchors = MakeSsdAnchors(card.decoder.anchors);
  const auto count = static_cast<std::int64_t>(anchors.size());
  const auto fits = [&](std::int64_t rows) { return rows == -1 || rows == count; };
  if ((boxes.Columns() != 4 && boxes.Columns() != -1) || !fits(boxes.RowCount())) {
    return Err(boxes.Mismatch("4 numbers for each of the " + std::to_string(count) +
                              " anchors that decoder.anchors make"));
  }
  const std::int64_t classes = scores.Columns() - card.decoder.background_classes;
  if (card.decoder.background_classes < 0 || !fits(scores.RowCount()) ||
      (scores.Columns() != -1 && classes < 1)) {
    return Err(scores.Mismatch("a score per class, behind " +
                               std::to_string(card.decoder.background_classes) +
                               " of background, for each of the " + std::to_string(count) +
                               " anchors that decoder.anchors make"));
  }
  if (scores.Columns() != -1) SELVEDGE_RETURN_ERR_IF_ERROR(CheckLabels(card, classes, scores));
  return std::make_unique<SsdDecoder>(card, std::move(boxes), std::move(scores), rule,
                                      std::move(anchors), std::max<std::int64_t>(classes, 0));
}

}  // namespace selvedge
