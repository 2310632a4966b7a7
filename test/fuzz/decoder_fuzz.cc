// Any bytes as a model's outputs, under any card: a decoder refuses the card in one sentence, or
// what it says lies inside the picture, is scored 0 to 1, sorted, and no more than allowed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "byte_reader.h"
#include "check.h"
#include "vision/decoder.h"

namespace selvedge {
namespace {

constexpr DataType kTypes[] = {DataType::kFloat32,  DataType::kFloat32, DataType::kFloat16,
                               DataType::kBfloat16, DataType::kUint8,   DataType::kInt8,
                               DataType::kInt32,    DataType::kInt64,   DataType::kBool};

ModelCard ReadCard(ByteReader& in) {
  ModelCard card;
  card.decoder.kind = static_cast<DecoderKind>(in.Between(0, 5));
  card.decoder.activation =
      std::vector<std::string>{"sigmoid", "softmax", "none"}[in.Between(0, 2)];
  card.decoder.boxes = "a";
  card.decoder.scores = in.Flag() ? "b" : "a";
  card.decoder.background_classes = in.Between(0, 2);
  card.decoder.score_threshold = static_cast<float>(in.Between(0, 100)) / 100;
  card.decoder.nms_iou = static_cast<float>(in.Between(0, 100)) / 100;
  card.decoder.max_detections = in.Between(1, 50);
  card.decoder.top_k = in.Between(1, 50);
  card.decoder.anchors.grids = {in.Between(1, 6), 1};
  card.decoder.anchors.reduce_lowest_layer = in.Flag();
  card.temperature = in.Flag() ? 1.0 : static_cast<double>(in.Between(1, 400)) / 100;
  card.labels.resize(in.Flag() ? 0 : in.Between(1, 5), "x");
  card.input.width = in.Between(1, 64);
  card.input.height = in.Between(1, 64);
  return card;
}

// Small enough that a thousand inputs a second go through.
Shape ReadShape(ByteReader& in) {
  switch (in.Between(0, 4)) {
    case 0: return {1, in.Between(0, 120), in.Between(0, 9)};
    case 1: return {1, in.Between(0, 9), in.Between(0, 120)};
    case 2: return {in.Between(0, 120), in.Between(0, 9)};
    case 3: return {1, in.Between(0, 120), 1, 4};
    default: return {in.Between(0, 200)};
  }
}

ImageTransform ReadTransform(ByteReader& in, const ModelCard& card) {
  ImageTransform t;
  t.source_width = in.Between(1, 4000);
  t.source_height = in.Between(1, 4000);
  t.input_width = card.input.width;
  t.input_height = card.input.height;
  t.scale_x = static_cast<float>(t.source_width) / static_cast<float>(card.input.width);
  t.scale_y = static_cast<float>(t.source_height) / static_cast<float>(card.input.height);
  t.offset_x = static_cast<float>(in.Between(0, 8));
  return t;
}

void CheckDetections(const Detections& detections, const ModelCard& card,
                     const ImageTransform& transform) {
  const int most = card.decoder.kind == DecoderKind::kClassification ? card.decoder.top_k
                                                                     : card.decoder.max_detections;
  SELVEDGE_FUZZ_CHECK(detections.size() <= static_cast<std::size_t>(most));
  for (const Detection& d : detections) {
    SELVEDGE_FUZZ_CHECK(d.score >= 0 && d.score <= 1);
    SELVEDGE_FUZZ_CHECK(d.score >= card.decoder.score_threshold - 1e-3F);
    SELVEDGE_FUZZ_CHECK(d.class_id >= 0 && d.track_id == -1);
    SELVEDGE_FUZZ_CHECK(card.labels.empty() ||
                        d.class_id < static_cast<std::int32_t>(card.labels.size()));
    SELVEDGE_FUZZ_CHECK(d.box.x1 >= 0 && d.box.x1 < d.box.x2 &&
                        d.box.x2 <= static_cast<float>(transform.source_width));
    SELVEDGE_FUZZ_CHECK(d.box.y1 >= 0 && d.box.y1 < d.box.y2 &&
                        d.box.y2 <= static_cast<float>(transform.source_height));
  }
  SELVEDGE_FUZZ_CHECK(
      std::ranges::is_sorted(detections, std::ranges::greater{}, &Detection::score));
}

void Fuzz(ByteReader& in) {
  const ModelCard card = ReadCard(in);
  std::vector<TensorSpec> specs(2);
  std::vector<TensorView> views(2);
  std::vector<std::vector<std::uint8_t>> memory(2);
  for (int i = 0; i < 2; ++i) {
    specs[i].name = i == 0 ? "a" : "b";
    specs[i].type = kTypes[in.Between(0, 8)];
    specs[i].shape = ReadShape(in);
    specs[i].scale = in.Flag() ? 0 : in.AnyFloat();
    specs[i].zero_point = in.Between(-200, 200);
    views[i].type = specs[i].type;
    views[i].shape = specs[i].shape;
    // Some dimensions are known only when the model has run.
    if (in.Flag()) specs[i].shape[specs[i].shape.rank() / 2] = -1;
  }
  const ImageTransform transform = ReadTransform(in, card);
  const bool too_short = in.Byte() == 255;
  for (int i = 0; i < 2; ++i) {
    memory[i].resize(*views[i].shape.ElementCount() * SizeOf(views[i].type));
    in.Fill(memory[i]);
    if (too_short) memory[i].resize(memory[i].size() / 2);
    views[i].data = memory[i].data();
    views[i].bytes = memory[i].size();
  }
  auto decoder = MakeDecoder(card, specs);
  if (!decoder) {
    SELVEDGE_FUZZ_CHECK(decoder.error().message().size() > 10);
    return;
  }
  Detections detections;
  for (int frame = 0; frame < 2; ++frame) {
    const Status status = (*decoder)->Decode(views, transform, &detections);
    SELVEDGE_FUZZ_CHECK(status.ok() || status.code() == StatusCode::kInvalidArgument);
    SELVEDGE_FUZZ_CHECK(status.ok() || detections.empty());
    CheckDetections(detections, card, transform);
  }
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  selvedge::ByteReader in(data, size);
  selvedge::Fuzz(in);
  return 0;
}
