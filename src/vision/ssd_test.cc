#include "vision/ssd.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "base/allocation_counter.h"
#include "vision/decoder_testing.h"

namespace selvedge {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SsdAnchors PersonAnchors() {
  SsdAnchors anchors;
  anchors.grids = {19, 10, 5, 3, 2, 1};
  return anchors;
}

// One map of 2x2 cells, one square anchor of half the picture in each.
ModelCard SmallCard() {
  ModelCard card;
  card.input.width = 100;
  card.input.height = 200;
  card.decoder.kind = DecoderKind::kSsd;
  card.decoder.boxes = "boxes";
  card.decoder.scores = "scores";
  card.decoder.anchors.grids = {2};
  card.decoder.anchors.min_scale = 0.5;
  card.decoder.anchors.aspect_ratios = {1.0};
  card.decoder.anchors.reduce_lowest_layer = false;
  card.decoder.anchors.interpolated_ratio = 0;
  card.decoder.background_classes = 1;
  card.decoder.score_threshold = 0.5F;
  return card;
}

// Boxes at their anchors; every logit far below zero.
FakeOutputs SmallOutputs(int columns = 2) {
  FakeOutputs outputs;
  outputs.Add("boxes", {1, 4, 1, 4}, std::vector<float>(16, 0.0F));
  outputs.Add("scores", {1, 4, columns}, std::vector<float>(4 * columns, -9.0F));
  return outputs;
}

Detections DecodeWith(const ModelCard& card, const FakeOutputs& outputs,
                      const ImageTransform& transform = Identity(100, 200)) {
  auto decoder = MakeDecoder(card, outputs.specs);
  EXPECT_TRUE(decoder.has_value()) << decoder.error().message();
  Detections detections;
  const Status status = (*decoder)->Decode(outputs.views, transform, &detections);
  EXPECT_TRUE(status.ok()) << status.message();
  return detections;
}

// The card's example: 1917 anchors, spot-checked by hand.
TEST(SsdAnchorsTest, LieWhereTheTensorFlowApiPutsThem) {
  const std::vector<Anchor> anchors = MakeSsdAnchors(PersonAnchors());
  ASSERT_EQ(anchors.size(), 1917U);
  EXPECT_NEAR(anchors[0].cx, 0.5 / 19, 1e-6);
  EXPECT_NEAR(anchors[0].width, 0.1, 1e-6);
  EXPECT_NEAR(anchors[1].width, 0.2 * std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(anchors[1].height, 0.2 / std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(anchors[2].width, 0.2 / std::sqrt(2.0), 1e-6);
  EXPECT_NEAR(anchors[3].cx, 1.5 / 19, 1e-6) << "x runs before y";
  EXPECT_NEAR(anchors[3].cy, 0.5 / 19, 1e-6);
  // First cell of the second map: s_2 = 0.35, s_3 = 0.5.
  const std::size_t second = 19 * 19 * 3;
  EXPECT_NEAR(anchors[second].width, 0.35, 1e-6);
  EXPECT_NEAR(anchors[second + 3].width, 0.35 * std::sqrt(3.0), 1e-6);
  EXPECT_NEAR(anchors[second + 5].width, std::sqrt(0.35 * 0.5), 1e-6);
  // The last anchor of all: between 0.95 and 1.
  EXPECT_NEAR(anchors[1916].width, std::sqrt(0.95), 1e-6);
  EXPECT_NEAR(anchors[1916].cy, 0.5, 1e-6);
}

TEST(SsdTest, ReadsABoxAtItsAnchor) {
  FakeOutputs outputs = SmallOutputs();
  outputs.Floats(1)[2 * 3 + 1] = 2.0F;  // the lower right cell
  const Detections d = DecodeWith(SmallCard(), outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_NEAR(d[0].score, 1 / (1 + std::exp(-2.0)), 1e-6);
  EXPECT_EQ(d[0].class_id, 0) << "the background column is no class";
  EXPECT_EQ(d[0].track_id, -1);
  EXPECT_FLOAT_EQ(d[0].box.x1, 50);
  EXPECT_FLOAT_EQ(d[0].box.y1, 100);
  EXPECT_FLOAT_EQ(d[0].box.x2, 100);
  EXPECT_FLOAT_EQ(d[0].box.y2, 200);
}

TEST(SsdTest, MovesAndStretchesByTheDeltas) {
  FakeOutputs outputs = SmallOutputs();
  outputs.Floats(1)[1] = 3.0F;
  const float deltas[] = {1.0F, 2.0F, 5 * std::log(0.5F), 5 * std::log(0.8F)};  // ty tx th tw
  std::copy(std::begin(deltas), std::end(deltas), outputs.Floats(0));
  const Detections d = DecodeWith(SmallCard(), outputs);
  ASSERT_EQ(d.size(), 1U);
  // cy = 0.1 * 0.5 + 0.25 = 0.30, h = 0.25; cx = 0.2 * 0.5 + 0.25 = 0.35, w = 0.4.
  EXPECT_NEAR(d[0].box.x1, 15, 1e-3);
  EXPECT_NEAR(d[0].box.x2, 55, 1e-3);
  EXPECT_NEAR(d[0].box.y1, 35, 1e-3);
  EXPECT_NEAR(d[0].box.y2, 85, 1e-3);
}

TEST(SsdTest, TheThresholdActsOnTheScoreNotTheLogit) {
  ModelCard card = SmallCard();
  card.decoder.score_threshold = 0.7F;
  FakeOutputs outputs = SmallOutputs();
  outputs.Floats(1)[1] = static_cast<float>(std::log(0.69 / 0.31));
  outputs.Floats(1)[3] = static_cast<float>(std::log(0.71 / 0.29));
  const Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_NEAR(d[0].score, 0.71, 1e-5);
}

TEST(SsdTest, TemperatureCalibratesBeforeTheThreshold) {
  ModelCard card = SmallCard();
  FakeOutputs outputs = SmallOutputs();
  outputs.Floats(1)[1] = 2.0F;
  card.temperature = 2.0;
  EXPECT_NEAR(DecodeWith(card, outputs)[0].score, 1 / (1 + std::exp(-1.0)), 1e-6);
  card.decoder.score_threshold = 0.75F;  // between sigmoid(1) and sigmoid(2)
  EXPECT_TRUE(DecodeWith(card, outputs).empty());
  card.temperature = 1.0;
  EXPECT_EQ(DecodeWith(card, outputs).size(), 1U);
  // Probabilities are calibrated through their logits.
  card.decoder.activation = "none";
  card.decoder.score_threshold = 0.6F;
  card.temperature = 2.0;
  outputs.Floats(1)[1] = 0.88079708F;  // sigmoid(2)
  const Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_NEAR(d[0].score, 1 / (1 + std::exp(-1.0)), 1e-5);
}

TEST(SsdTest, SoftmaxCountsTheBackground) {
  ModelCard card = SmallCard();
  card.decoder.activation = "softmax";
  card.labels = {"cat", "dog"};
  card.decoder.score_threshold = 0.3F;
  FakeOutputs outputs = SmallOutputs(3);
  float* logits = outputs.Floats(1);
  for (int i = 0; i < 4; ++i) logits[3 * i] = 5;  // background wins
  logits[3] = 1;
  logits[4] = 1;
  logits[5] = 2;  // 1 : 1 : e
  const Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_EQ(d[0].class_id, 1);
  EXPECT_NEAR(d[0].score, std::exp(1.0) / (2 + std::exp(1.0)), 1e-6);
  card.decoder.score_threshold = 0.2F;
  EXPECT_EQ(DecodeWith(card, outputs).size(), 2U);
}

TEST(SsdTest, BadNumbersGiveNoBox) {
  for (const float bad : {kNan, kInf, -kInf, 1e30F, -1e30F, 3e38F}) {
    for (int element = 0; element < 4; ++element) {
      FakeOutputs outputs = SmallOutputs();
      outputs.Floats(1)[1] = 3.0F;
      outputs.Floats(0)[element] = bad;
      EXPECT_TRUE(DecodeWith(SmallCard(), outputs).empty()) << bad << " at " << element;
    }
  }
  for (const float bad : {kNan, kInf, -kInf}) {
    FakeOutputs outputs = SmallOutputs();
    outputs.Floats(1)[1] = bad;
    EXPECT_TRUE(DecodeWith(SmallCard(), outputs).empty()) << bad;
  }
}

TEST(SsdTest, BoxesAreClippedToThePictureAndEmptyOnesDropped) {
  FakeOutputs outputs = SmallOutputs();
  outputs.Floats(1)[1] = 3.0F;
  outputs.Floats(0)[2] = 5 * std::log(100.0F);
  Detections d = DecodeWith(SmallCard(), outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_EQ(d[0].box.y1, 0);
  EXPECT_EQ(d[0].box.y2, 200);
  outputs.Floats(0)[2] = 0;
  outputs.Floats(0)[0] = 100;  // five pictures below
  EXPECT_TRUE(DecodeWith(SmallCard(), outputs).empty());
}

TEST(SsdTest, ReadsQuantisedAndHalfOutputs) {
  ModelCard card = SmallCard();
  card.decoder.activation = "none";
  FakeOutputs outputs;
  outputs.Add("boxes", {4, 4}, DataType::kInt8, std::vector<std::int8_t>(16, -3), 0.1F, -3);
  std::vector<std::uint8_t> scores(8, 10);
  scores[1] = 210;
  outputs.Add("scores", {4, 2}, DataType::kUint8, scores, 0.004F, 10);
  Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_NEAR(d[0].score, 0.8, 1e-5);
  EXPECT_FLOAT_EQ(d[0].box.x2, 50);

  FakeOutputs halves;
  halves.Add("boxes", {4, 4}, DataType::kFloat16, std::vector<std::uint16_t>(16, 0x8000));
  std::vector<std::uint16_t> half_scores(8, 0);
  half_scores[1] = 0x3A00;  // 0.75
  halves.Add("scores", {4, 2}, DataType::kFloat16, half_scores);
  d = DecodeWith(card, halves);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_EQ(d[0].score, 0.75F);
}

TEST(SsdTest, AllocatesNothingAfterTheFirstFrame) {
  ModelCard card;
  card.input.width = card.input.height = 300;
  card.decoder.kind = DecoderKind::kSsd;
  card.decoder.boxes = "b";
  card.decoder.scores = "s";
  card.decoder.anchors = PersonAnchors();
  card.decoder.score_threshold = 0.05F;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> boxes(std::size_t{1917} * 4);
  for (float& v : boxes) v = normal(random);
  FakeOutputs outputs;
  outputs.Add("b", {1, 1917, 4}, boxes);
  outputs.Add("s", {1, 1917, 5}, std::vector<float>(std::size_t{1917} * 5, -9.0F));
  auto decoder = MakeDecoder(card, outputs.specs);
  ASSERT_TRUE(decoder.has_value());
  Detections d;
  const ImageTransform transform = Identity(300, 300);
  ASSERT_TRUE((*decoder)->Decode(outputs.views, transform, &d).ok());
  // From a quiet frame to one where every score of every anchor is above the threshold.
  for (int i = 0; i < 1917 * 5; ++i) outputs.Floats(1)[i] = std::abs(normal(random));
  const auto before = AllocationsOfThisThread();
  ASSERT_TRUE((*decoder)->Decode(outputs.views, transform, &d).ok());
  EXPECT_EQ(AllocationsOfThisThread(), before);
  EXPECT_EQ(d.size(), 100U);
}

TEST(SsdTest, TheBestSurviveWhenThereAreTooManyCandidates) {
  ModelCard card = SmallCard();
  card.decoder.anchors.grids = {100};
  card.decoder.anchors.min_scale = 0.005;  // none overlaps another
  card.decoder.max_detections = 20;
  std::vector<float> logits(20000);
  for (int i = 0; i < 10000; ++i)
    logits[2 * i + 1] = 1.0F + static_cast<float>((i * 7919) % 10000) * 1e-4F;
  FakeOutputs outputs;
  outputs.Add("boxes", {10000, 4}, std::vector<float>(40000, 0.0F));
  outputs.Add("scores", {10000, 2}, logits);
  const Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 20U);
  for (int i = 0; i < 20; ++i) {
    EXPECT_NEAR(d[i].score, 1 / (1 + std::exp(-(1.0 + (9999 - i) * 1e-4))), 1e-6);
  }
}

TEST(SsdTest, SaysWhatIsWrongWithTheCard) {
  const auto message = [](const ModelCard& card, const FakeOutputs& outputs) {
    auto decoder = MakeDecoder(card, outputs.specs);
    EXPECT_FALSE(decoder.has_value());
    return decoder.has_value() ? "" : decoder.error().message();
  };
  ModelCard card = SmallCard();
  const FakeOutputs outputs = SmallOutputs();
  card.decoder.scores = "score";
  EXPECT_EQ(message(card, outputs),
            "the card's decoder.scores is \"score\", but the model has no such output; it has: "
            "boxes float32 [1,4,1,4], scores float32 [1,4,2]");
  card = SmallCard();
  card.decoder.anchors.grids = {3};
  EXPECT_EQ(message(card, outputs),
            "the card's decoder.boxes needs 4 numbers for each of the 9 anchors that "
            "decoder.anchors make, but the model's output is boxes float32 [1,4,1,4]");
  card = SmallCard();
  card.labels = {"person", "bicycle"};
  EXPECT_EQ(message(card, outputs),
            "the card lists 2 labels, but the model's output scores float32 [1,4,2] has 1 classes "
            "beside 1 of background; correct labels or decoder.background_classes");
  card = SmallCard();
  card.decoder.activation = "tanh";
  EXPECT_NE(message(card, outputs).find("tanh"), std::string::npos);
  card = SmallCard();
  card.decoder.anchors.grids = {};
  EXPECT_NE(message(card, outputs).find("grids"), std::string::npos);
  card.decoder.anchors.grids = {1 << 20};
  EXPECT_NE(message(card, outputs).find("1000000 anchors"), std::string::npos);
}

TEST(SsdTest, ATensorOfAnotherSizeIsAnError) {
  FakeOutputs outputs = SmallOutputs();
  auto decoder = MakeDecoder(SmallCard(), outputs.specs);
  ASSERT_TRUE(decoder.has_value());
  Detections d = {Detection{}};
  outputs.views[0].shape = {1, 5, 1, 4};
  EXPECT_EQ((*decoder)->Decode(outputs.views, Identity(100, 200), &d).code(),
            StatusCode::kInvalidArgument);
  EXPECT_TRUE(d.empty());
  outputs = SmallOutputs();
  outputs.views[1].bytes = 12;
  EXPECT_FALSE((*decoder)->Decode(outputs.views, Identity(100, 200), &d).ok());
  outputs.views.resize(1);
  EXPECT_FALSE((*decoder)->Decode(outputs.views, Identity(100, 200), &d).ok());
}

}  // namespace
}  // namespace selvedge
