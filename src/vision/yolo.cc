#include "vision/yolo.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "vision/decoder_output.h"

namespace selvedge {
namespace {

Box FromCentre(float cx, float cy, float w, float h) {
  return {cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2};
}

std::size_t Expected(std::int64_t boxes) {
  return static_cast<std::size_t>(std::max<std::int64_t>(boxes, 0));
}

class YoloV5Decoder : public Decoder {
 public:
  YoloV5Decoder(const ModelCard& card, OutputReader output, ScoreRule rule)
      : output_(std::move(output)),
        rule_(rule),
        labels_(card.labels.size()),
        // The product is a probability whatever the activation of its factors.
        product_(ScoreRule::Activation::kNone, rule.temperature(), rule.threshold()),
        // As no class score is above 1, a box whose objectness is below the product's threshold is
        // out.
        least_objectness_(
            ScoreRule(rule.activation(), 1.0, product_.raw_threshold()).raw_threshold()),
        collector_(card.decoder, Expected(output_.RowCount())) {}

  Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                Detections* out) override {
    out->clear();
    Rows rows;
    SELVEDGE_RETURN_IF_ERROR(output_.Read(outputs, &rows));
    if (rows.columns < 6 || !FitsLabels(labels_, rows.columns - 5)) {
      return output_.Mismatch("5 numbers and the class scores in each row");
    }
    collector_.Clear();
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      const float* r = rows.values.data() + rows.columns * i;
      if (!(r[4] >= least_objectness_)) continue;
      const float* best = std::max_element(r + 5, r + rows.columns);
      const float product = Probability(r[4]) * Probability(*best);
      if (!(product >= product_.raw_threshold())) continue;
      collector_.Add(FromCentre(r[0], r[1], r[2], r[3]), product_.Score(product),
                     static_cast<std::int32_t>(best - (r + 5)));
    }
    collector_.Finish(transform, out);
    return OkStatus();
  }

 private:
  // NaN where the value is not finite, which no comparison lets pass.
  float Probability(float raw) const {
    if (!std::isfinite(raw)) return std::numeric_limits<float>::quiet_NaN();
    return rule_.activation() == ScoreRule::Activation::kSigmoid ? Sigmoid(raw)
                                                                 : std::clamp(raw, 0.0F, 1.0F);
  }

  OutputReader output_;
  const ScoreRule rule_;
  const std::size_t labels_;
  const ScoreRule product_;
  const float least_objectness_;
  BoxCollector collector_;
};

class YoloV8Decoder : public Decoder {
 public:
  YoloV8Decoder(const ModelCard& card, OutputReader output, ScoreRule rule)
      : output_(std::move(output)),
        rule_(rule),
        labels_(card.labels.size()),
        best_(Expected(output_.Columns())),
        collector_(card.decoder, Expected(output_.Columns())) {}

  Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                Detections* out) override {
    out->clear();
    Rows rows;
    SELVEDGE_RETURN_IF_ERROR(output_.Read(outputs, &rows));
    if (rows.rows < 5 || !FitsLabels(labels_, rows.rows - 4)) {
      return output_.Mismatch("4 numbers and the class scores of each box");
    }
    const auto boxes = static_cast<std::size_t>(rows.columns);
    const float* values = rows.values.data();
    FindBest(values, boxes, rows.rows - 4);
    collector_.Clear();
    for (std::size_t i = 0; i < boxes; ++i) {
      if (!(best_[i] >= rule_.raw_threshold()) || !std::isfinite(best_[i])) continue;
      std::int32_t class_id = 0;
      while (values[(4 + static_cast<std::size_t>(class_id)) * boxes + i] != best_[i]) ++class_id;
      collector_.Add(
          FromCentre(values[i], values[boxes + i], values[2 * boxes + i], values[3 * boxes + i]),
          rule_.Score(best_[i]), class_id);
    }
    collector_.Finish(transform, out);
    return OkStatus();
  }

 private:
  // best_[i] = the highest class score of box i. Class by class, as they lie in memory, so that the
  // compiler works on many boxes at once. A score that is not a number loses every comparison.
  void FindBest(const float* values, std::size_t boxes, std::int64_t classes) {
    best_.assign(boxes, -std::numeric_limits<float>::infinity());
    float* best = best_.data();
    for (std::int64_t c = 0; c < classes; ++c) {
      const float* scores = values + (4 + static_cast<std::size_t>(c)) * boxes;
      for (std::size_t i = 0; i < boxes; ++i) best[i] = scores[i] > best[i] ? scores[i] : best[i];
    }
  }

  OutputReader output_;
  const ScoreRule rule_;
  const std::size_t labels_;
  std::vector<float> best_;
  BoxCollector collector_;
};

// What both heads ask of the card.
Result<ScoreRule> YoloRule(const ModelCard& card) {
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, ScoreRule::FromCard(card));
  if (rule.activation() == ScoreRule::Activation::kSoftmax ||
      card.decoder.background_classes != 0) {
    return Err(InvalidArgumentError(
        "a yolo head has no softmax and no background class: set decoder.activation to none (or "
        "sigmoid for logits) and decoder.background_classes to 0"));
  }
  return rule;
}

}  // namespace

Result<std::unique_ptr<Decoder>> MakeYoloV5Decoder(const ModelCard& card,
                                                   std::span<const TensorSpec> outputs) {
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, YoloRule(card));
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader output,
                            OutputReader::Create(outputs, card.decoder.boxes, "decoder.boxes"));
  const std::int64_t columns = output.Columns();
  if (columns != -1) {
    if (columns < 6) {
      return Err(output.Mismatch("[1,N,5+classes] (a v8 or v11 head is decoder.kind yolov8)"));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckLabels(card, columns - 5, output));
  }
  return std::make_unique<YoloV5Decoder>(card, std::move(output), rule);
}

Result<std::unique_ptr<Decoder>> MakeYoloV8Decoder(const ModelCard& card,
                                                   std::span<const TensorSpec> outputs) {
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, YoloRule(card));
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader output,
                            OutputReader::Create(outputs, card.decoder.boxes, "decoder.boxes"));
  const std::int64_t rows = output.RowCount();
  if (rows != -1) {
    if (rows < 5) {
      return Err(output.Mismatch("[1,4+classes,N] (a v5 head is decoder.kind yolov5)"));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckLabels(card, rows - 4, output));
  }
  return std::make_unique<YoloV8Decoder>(card, std::move(output), rule);
}

}  // namespace selvedge
