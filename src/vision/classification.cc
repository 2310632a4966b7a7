#include "vision/classification.h"

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

class ClassificationDecoder : public Decoder {
 public:
  ClassificationDecoder(const ModelCard& card, OutputReader output, ScoreRule rule,
                        std::size_t expected)
      : output_(std::move(output)),
        rule_(rule),
        background_(static_cast<std::size_t>(card.decoder.background_classes)),
        labels_(card.labels.size()),
        top_k_(static_cast<std::size_t>(std::max(card.decoder.top_k, 0))) {
    scores_.reserve(expected);
    order_.reserve(expected);
  }

  Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                Detections* out) override {
    out->clear();
    Rows rows;
    SELVEDGE_RETURN_IF_ERROR(output_.Read(outputs, &rows));
    if (rows.values.size() <= background_ ||
        !FitsLabels(labels_, static_cast<std::int64_t>(rows.values.size() - background_))) {
      return output_.Mismatch("a score per class");
    }
    scores_.assign(rows.values.begin(), rows.values.end());
    Activate();
    order_.clear();
    for (std::size_t i = background_; i < scores_.size(); ++i) {
      if (scores_[i] >= rule_.threshold()) order_.push_back(static_cast<std::int32_t>(i));
    }
    const std::size_t count = std::min(top_k_, order_.size());
    const auto end = order_.begin() + static_cast<std::ptrdiff_t>(count);
    std::partial_sort(order_.begin(), end, order_.end(), [&](std::int32_t a, std::int32_t b) {
      return scores_[a] != scores_[b] ? scores_[a] > scores_[b] : a < b;
    });
    const Box whole = {0, 0, static_cast<float>(transform.source_width),
                       static_cast<float>(transform.source_height)};
    out->reserve(top_k_);
    for (auto it = order_.begin(); it != end; ++it) {
      const auto class_id = *it - static_cast<std::int32_t>(background_);
      out->push_back({whole, std::min(scores_[*it], 1.0F), class_id, -1});
    }
    return OkStatus();
  }

 private:
  // Raw values become probabilities in place; what is not finite becomes NaN, which no comparison
  // lets pass.
  void Activate() {
    const float t = rule_.temperature();
    const auto finite = [](float v) { return std::isfinite(v); };
    if (rule_.activation() == ScoreRule::Activation::kSigmoid) {
      for (float& v : scores_) v = finite(v) ? rule_.Score(v) : kNone;
      return;
    }
    if (rule_.activation() == ScoreRule::Activation::kNone) {
      for (float& v : scores_) v = finite(v) ? std::clamp(v, 0.0F, 1.0F) : kNone;
      if (t == 1.0F) return;
      for (float& v : scores_) v = std::log(v);  // 0 becomes -infinity, and 0 again below
    }
    float most = -std::numeric_limits<float>::infinity();
    for (float v : scores_) {
      if (finite(v)) most = std::max(most, v);
    }
    float sum = 0;
    for (float& v : scores_) {
      const bool zero = v == -std::numeric_limits<float>::infinity();
      v = finite(v) ? std::exp((v - most) / t) : (zero ? 0.0F : kNone);
      if (finite(v)) sum += v;
    }
    for (float& v : scores_) v /= sum;
  }

  static constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

  OutputReader output_;
  const ScoreRule rule_;
  const std::size_t background_;
  const std::size_t labels_;
  const std::size_t top_k_;
  std::vector<float> scores_;
  std::vector<std::int32_t> order_;
};

}  // namespace

Result<std::unique_ptr<Decoder>> MakeClassificationDecoder(const ModelCard& card,
                                                           std::span<const TensorSpec> outputs) {
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, ScoreRule::FromCard(card));
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader output,
                            OutputReader::Create(outputs, card.decoder.boxes, "decoder.boxes"));
  Shape one_batch = output.spec().shape;
  if (one_batch.rank() > 1 && one_batch[0] == -1) one_batch[0] = 1;
  const auto count = one_batch.ElementCount();
  if (card.decoder.background_classes < 0 || (count && *count <= card.decoder.background_classes)) {
    return Err(output.Mismatch("a score per class behind " +
                               std::to_string(card.decoder.background_classes) + " of background"));
  }
  if (count) {
    SELVEDGE_RETURN_ERR_IF_ERROR(
        CheckLabels(card, *count - card.decoder.background_classes, output));
  }
  const std::size_t expected =
      count ? static_cast<std::size_t>(std::min<std::int64_t>(*count, 1 << 20)) : 0;
  return std::make_unique<ClassificationDecoder>(card, std::move(output), rule, expected);
}

}  // namespace selvedge
