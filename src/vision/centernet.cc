#include "vision/centernet.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "vision/decoder_output.h"

namespace selvedge {
namespace {

// Where the card lists no labels, a class above this is noise.
constexpr int kMostClasses = 1'000'000;

class CenterNetDecoder : public Decoder {
 public:
  CenterNetDecoder(const ModelCard& card, OutputReader output, ScoreRule rule)
      : output_(std::move(output)),
        rule_(rule),
        background_(static_cast<float>(card.decoder.background_classes)),
        classes_(card.labels.empty() ? static_cast<float>(kMostClasses)
                                     : static_cast<float>(card.labels.size())),
        collector_(card.decoder,
                   static_cast<std::size_t>(std::max<std::int64_t>(output_.RowCount(), 0))) {}

  Status Decode(std::span<const TensorView> outputs, const ImageTransform& transform,
                Detections* out) override {
    out->clear();
    Rows rows;
    SELVEDGE_RETURN_IF_ERROR(output_.Read(outputs, &rows));
    if (rows.columns != 6) return output_.Mismatch("x1, y1, x2, y2, score, class in each row");
    collector_.Clear();
    for (std::int64_t i = 0; i < rows.rows; ++i) {
      const float* r = rows.values.data() + 6 * i;
      if (!(r[4] >= rule_.raw_threshold()) || !std::isfinite(r[4])) continue;
      const float class_id = std::round(r[5]) - background_;
      if (!(class_id >= 0 && class_id < classes_)) continue;
      collector_.Add({r[0], r[1], r[2], r[3]}, rule_.Score(r[4]),
                     static_cast<std::int32_t>(class_id));
    }
    collector_.Finish(transform, out);
    return OkStatus();
  }

 private:
  OutputReader output_;
  const ScoreRule rule_;
  const float background_;
  const float classes_;
  BoxCollector collector_;
};

}  // namespace

Result<std::unique_ptr<Decoder>> MakeCenterNetDecoder(const ModelCard& card,
                                                      std::span<const TensorSpec> outputs) {
  SELVEDGE_ASSIGN_OR_RETURN(ScoreRule rule, ScoreRule::FromCard(card));
  if (rule.activation() == ScoreRule::Activation::kSoftmax) {
    return Err(InvalidArgumentError(
        "the card's decoder.activation is softmax, but a centernet output has one score a box; "
        "use none or sigmoid"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(OutputReader output,
                            OutputReader::Create(outputs, card.decoder.boxes, "decoder.boxes"));
  if (output.Columns() != 6 && output.Columns() != -1) {
    return Err(output.Mismatch("rows of 6: x1, y1, x2, y2, score, class"));
  }
  return std::make_unique<CenterNetDecoder>(card, std::move(output), rule);
}

}  // namespace selvedge
