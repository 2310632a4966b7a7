// CenterNet, YOLO, classification and raw. SSD has a file of its own.

#include "vision/decoder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "base/allocation_counter.h"
#include "vision/decoder_testing.h"

namespace selvedge {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ModelCard CardOf(DecoderKind kind) {
  ModelCard card;
  card.input.width = card.input.height = 100;
  card.decoder.kind = kind;
  card.decoder.activation = "none";
  card.decoder.score_threshold = 0.25F;
  return card;
}

Detections DecodeWith(const ModelCard& card, const FakeOutputs& outputs,
                      const ImageTransform& transform = Identity(100, 100)) {
  auto decoder = MakeDecoder(card, outputs.specs);
  EXPECT_TRUE(decoder.has_value()) << decoder.error().message();
  if (!decoder) return {};
  Detections detections;
  const Status status = (*decoder)->Decode(outputs.views, transform, &detections);
  EXPECT_TRUE(status.ok()) << status.message();
  return detections;
}

std::string ErrorOf(const ModelCard& card, const FakeOutputs& outputs) {
  auto decoder = MakeDecoder(card, outputs.specs);
  EXPECT_FALSE(decoder.has_value());
  return decoder ? "" : decoder.error().message();
}

TEST(CenterNetTest, ReadsRowsAndDropsWhatCannotBe) {
  ModelCard card = CardOf(DecoderKind::kCenterNet);
  card.labels = {"a", "b", "c"};
  FakeOutputs outputs;
  outputs.Add("d", {1, 8, 6},
              {10,  20, 30, 40,   0.9F, 1, 10, 20, 30,   40, 0.2F, 1,     // below the threshold
               50,  50, 60, 60,   0.5F, 7, 50, 50, 60,   60, kNan, 0,     // no such class; no score
               10,  20, 10, 40,   0.9F, 0, 0,  0,  10,   10, 0.5F, kNan,  // no width; no class
               -20, 70, 20, 2000, 0.4F, 2, 5,  5,  kInf, 9,  0.5F, 0});
  const Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 2U);
  EXPECT_EQ(d[0].class_id, 1);
  EXPECT_FLOAT_EQ(d[0].box.y2, 40);
  EXPECT_EQ(d[1].class_id, 2);
  EXPECT_FLOAT_EQ(d[1].box.x1, 0) << "clipped";
  EXPECT_FLOAT_EQ(d[1].box.y2, 100);
}

TEST(CenterNetTest, NeedsRowsOfSix) {
  FakeOutputs outputs;
  outputs.Add("wh", {1, 128, 128, 4}, std::vector<float>(128 * 128 * 4));
  EXPECT_EQ(ErrorOf(CardOf(DecoderKind::kCenterNet), outputs),
            "the card's decoder.boxes needs rows of 6: x1, y1, x2, y2, score, class, but the "
            "model's output is wh float32 [1,128,128,4]");
  outputs.Add("detections", {1, 1, 6}, std::vector<float>(6));
  EXPECT_EQ(ErrorOf(CardOf(DecoderKind::kCenterNet), outputs),
            "the card's decoder.boxes is empty and the model has 2 outputs; set it to one of: "
            "wh float32 [1,128,128,4], detections float32 [1,1,6]");
}

// Three boxes, two classes, in both families' layouts.
struct YoloCase {
  FakeOutputs v5;
  FakeOutputs v8;
};

YoloCase MakeYolo() {
  YoloCase c;
  //            cx  cy  w   h   obj   k0    k1
  c.v5.Add("o", {1, 3, 7}, {20, 30, 10, 20, 0.8F, 0.1F, 0.9F,  //
                            70, 60, 20, 20, 0.5F, 0.4F, 0.1F,  // 0.2: below the threshold
                            70, 60, 20, 20, 0.9F, 0.6F, 0.2F});
  c.v8.Add("o", {1, 6, 3},
           {20, 70, 70,         // cx
            30, 60, 60,         // cy
            10, 20, 20,         // w
            20, 20, 20,         // h
            0.1F, 0.2F, 0.54F,  // k0
            0.72F, 0.05F, 0.18F});
  return c;
}

TEST(YoloTest, BothHeadsTellTheSame) {
  const YoloCase c = MakeYolo();
  for (const bool v8 : {false, true}) {
    const Detections d =
        DecodeWith(CardOf(v8 ? DecoderKind::kYoloV8 : DecoderKind::kYoloV5), v8 ? c.v8 : c.v5);
    ASSERT_EQ(d.size(), 2U) << v8;
    EXPECT_NEAR(d[0].score, 0.72, 1e-6);
    EXPECT_EQ(d[0].class_id, 1);
    EXPECT_FLOAT_EQ(d[0].box.x1, 15);
    EXPECT_FLOAT_EQ(d[0].box.y1, 20);
    EXPECT_FLOAT_EQ(d[0].box.x2, 25);
    EXPECT_FLOAT_EQ(d[0].box.y2, 40);
    EXPECT_NEAR(d[1].score, 0.54, 1e-6);
    EXPECT_EQ(d[1].class_id, 0);
  }
}

TEST(YoloTest, LogitsAndTemperature) {
  ModelCard card = CardOf(DecoderKind::kYoloV5);
  card.decoder.activation = "sigmoid";
  FakeOutputs outputs;
  outputs.Add("o", {1, 1, 6}, {50, 50, 10, 10, 2.0F, 1.0F});
  const double product = 1 / (1 + std::exp(-2.0)) / (1 + std::exp(-1.0));
  EXPECT_NEAR(DecodeWith(card, outputs).at(0).score, product, 1e-6);
  card.temperature = 1.5;
  const double calibrated = 1 / (1 + std::exp(-std::log(product / (1 - product)) / 1.5));
  EXPECT_NEAR(DecodeWith(card, outputs).at(0).score, calibrated, 1e-6);
  card.decoder.score_threshold = static_cast<float>(calibrated) + 0.01F;
  EXPECT_TRUE(DecodeWith(card, outputs).empty());
}

TEST(YoloTest, BadNumbersGiveNoBox) {
  for (const float bad : {kNan, kInf, -kInf, 1e30F}) {
    for (int i = 0; i < 7; ++i) {
      YoloCase c = MakeYolo();
      c.v5.Floats(0)[i] = bad;
      c.v8.Floats(0)[3 * std::min(i, 5)] = bad;
      for (const Detection& d : DecodeWith(CardOf(DecoderKind::kYoloV5), c.v5)) {
        EXPECT_TRUE(d.score >= 0 && d.score <= 1 && d.box.area() > 0) << bad << " at " << i;
      }
      for (const Detection& d : DecodeWith(CardOf(DecoderKind::kYoloV8), c.v8)) {
        EXPECT_TRUE(d.score >= 0 && d.score <= 1 && d.box.area() > 0) << bad << " at " << i;
      }
    }
  }
}

TEST(YoloTest, UnfixedNumberOfBoxes) {
  YoloCase c = MakeYolo();
  c.v8.specs[0].shape = {1, 6, -1};
  c.v5.specs[0].shape = {1, -1, 7};
  EXPECT_EQ(DecodeWith(CardOf(DecoderKind::kYoloV8), c.v8).size(), 2U);
  EXPECT_EQ(DecodeWith(CardOf(DecoderKind::kYoloV5), c.v5).size(), 2U);
}

TEST(YoloTest, ClassesThatOnlyTheFrameTellsMustFitTheLabels) {
  for (const bool v8 : {false, true}) {
    YoloCase c = MakeYolo();
    FakeOutputs& outputs = v8 ? c.v8 : c.v5;
    outputs.specs[0].shape = {1, -1, -1};
    ModelCard card = CardOf(v8 ? DecoderKind::kYoloV8 : DecoderKind::kYoloV5);
    card.labels = {"a"};
    auto decoder = MakeDecoder(card, outputs.specs);
    ASSERT_TRUE(decoder.has_value());
    Detections d;
    EXPECT_EQ((*decoder)->Decode(outputs.views, Identity(100, 100), &d).code(),
              StatusCode::kInvalidArgument);
    EXPECT_TRUE(d.empty());
  }
}

TEST(YoloTest, SaysWhatIsWrongWithTheCard) {
  const YoloCase c = MakeYolo();
  ModelCard card = CardOf(DecoderKind::kYoloV8);
  card.labels = {"a", "b", "c"};
  EXPECT_EQ(ErrorOf(card, c.v8),
            "the card lists 3 labels, but the model's output o float32 [1,6,3] has 2 classes; "
            "correct labels or decoder.background_classes");
  card.labels.clear();
  card.decoder.activation = "softmax";
  EXPECT_NE(ErrorOf(card, c.v8).find("softmax"), std::string::npos);
  FakeOutputs narrow;
  narrow.Add("o", {1, 3, 5}, std::vector<float>(15));
  EXPECT_NE(ErrorOf(CardOf(DecoderKind::kYoloV5), narrow).find("[1,N,5+classes]"),
            std::string::npos);
}

TEST(DecoderTest, NoneAllocatesAfterTheFirstFrame) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(0, 1);
  for (const DecoderKind kind :
       {DecoderKind::kCenterNet, DecoderKind::kYoloV5, DecoderKind::kYoloV8,
        DecoderKind::kClassification, DecoderKind::kRaw}) {
    ModelCard card = CardOf(kind);
    Shape shape{1, 900, 6};
    if (kind == DecoderKind::kYoloV8) shape = Shape{1, 6, 900};
    FakeOutputs outputs;
    outputs.Add("o", shape, std::vector<float>(5400, 0.0F));
    auto decoder = MakeDecoder(card, outputs.specs);
    ASSERT_TRUE(decoder.has_value());
    Detections d;
    ASSERT_TRUE((*decoder)->Decode(outputs.views, Identity(100, 100), &d).ok());
    for (int i = 0; i < 5400; ++i) outputs.Floats(0)[i] = uniform(random);
    const auto before = AllocationsOfThisThread();
    ASSERT_TRUE((*decoder)->Decode(outputs.views, Identity(100, 100), &d).ok());
    EXPECT_EQ(AllocationsOfThisThread(), before) << static_cast<int>(kind);
    EXPECT_EQ(d.empty(), kind == DecoderKind::kRaw);
  }
}

TEST(ClassificationTest, TheBestKCoverThePicture) {
  ModelCard card = CardOf(DecoderKind::kClassification);
  card.decoder.top_k = 2;
  card.decoder.score_threshold = 0;
  FakeOutputs outputs;
  outputs.Add("prob", {1, 4}, {0.1F, 0.4F, 0.2F, 0.3F});
  const Detections d = DecodeWith(card, outputs, Identity(768, 576));
  ASSERT_EQ(d.size(), 2U);
  EXPECT_EQ(d[0].class_id, 1);
  EXPECT_FLOAT_EQ(d[0].score, 0.4F);
  EXPECT_EQ(d[1].class_id, 3);
  EXPECT_EQ(d[0].box.x2, 768);
  EXPECT_EQ(d[0].box.y2, 576);
}

TEST(ClassificationTest, SoftmaxTemperatureBackgroundAndThreshold) {
  ModelCard card = CardOf(DecoderKind::kClassification);
  card.decoder.activation = "softmax";
  card.decoder.background_classes = 1;
  card.decoder.score_threshold = 0.3F;
  card.labels = {"x", "y"};
  FakeOutputs outputs;
  outputs.Add("logits", {3}, {0.0F, 0.0F, 2.0F});
  Detections d = DecodeWith(card, outputs);
  ASSERT_EQ(d.size(), 1U);
  EXPECT_EQ(d[0].class_id, 1);
  EXPECT_NEAR(d[0].score, std::exp(2.0) / (2 + std::exp(2.0)), 1e-6);
  card.temperature = 2;
  const double warm = std::exp(1.0) / (2 + std::exp(1.0));
  EXPECT_NEAR(DecodeWith(card, outputs).at(0).score, warm, 1e-6);
  // The same from probabilities.
  const double sum = 2 + std::exp(2.0);
  FakeOutputs probabilities;
  probabilities.Add("p", {3},
                    {static_cast<float>(1 / sum), static_cast<float>(1 / sum),
                     static_cast<float>(std::exp(2.0) / sum)});
  card.decoder.activation = "none";
  EXPECT_NEAR(DecodeWith(card, probabilities).at(0).score, warm, 1e-6);
}

TEST(ClassificationTest, BadNumbersAreNoClass) {
  for (const std::string activation : {"none", "sigmoid", "softmax"}) {
    ModelCard card = CardOf(DecoderKind::kClassification);
    card.decoder.activation = activation;
    card.decoder.score_threshold = 0;
    FakeOutputs outputs;
    outputs.Add("p", {1, 5}, {kNan, 0.5F, kInf, 0.25F, 3e38F});
    const Detections d = DecodeWith(card, outputs);
    for (const Detection& detection : d) {
      EXPECT_NE(detection.class_id, 0);
      EXPECT_NE(detection.class_id, 2);
      EXPECT_TRUE(detection.score >= 0 && detection.score <= 1) << activation;
    }
    EXPECT_EQ(d.size(), 3U) << activation;
  }
}

TEST(ClassificationTest, LabelsMustFit) {
  ModelCard card = CardOf(DecoderKind::kClassification);
  card.labels = {"a", "b"};
  FakeOutputs outputs;
  outputs.Add("prob", {1, 4}, std::vector<float>(4));
  EXPECT_EQ(ErrorOf(card, outputs),
            "the card lists 2 labels, but the model's output prob float32 [1,4] has 4 classes; "
            "correct labels or decoder.background_classes");
}

}  // namespace
}  // namespace selvedge
