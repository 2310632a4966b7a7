#pragma once

// The model card: how a model is fed and read. Format: docs/formats/model-card.md.
//
// Parsed from YAML with every unknown key refused. Checked against the model by vision/ (shapes,
// layout, classes) when a pipeline opens.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

enum class TensorLayout { kNhwc, kNchw };
enum class ColorOrder { kRgb, kBgr };
enum class ResizeMode {
  kSquash,     // both sides scaled to fit, aspect ratio lost
  kLetterbox,  // aspect ratio kept, centred, the rest filled with `pad`
};
enum class DecoderKind { kSsd, kCenterNet, kYoloV5, kYoloV8, kClassification, kRaw };

// One of a model's files: the same function in another precision.
struct ModelVariant {
  std::string name;       // "fp32", "int8"
  std::string path;       // as written; relative to the card
  std::string precision;  // "fp32", "fp16", "int8"
  double accuracy = -1;   // measured, in the unit of `accuracy_metric`; -1 where not measured
  // Engines allowed to run it ("onnxruntime", …); empty means any that loads it.
  std::vector<std::string> engines;
};

struct ModelInput {
  std::string name;  // tensor; empty where the model has one input
  TensorLayout layout = TensorLayout::kNhwc;
  ColorOrder color = ColorOrder::kRgb;
  int width = 0;   // pixels
  int height = 0;  // pixels
  ResizeMode resize = ResizeMode::kSquash;
  int pad = 114;  // 0..255, the letterbox's fill before normalisation
  // value = (pixel - mean) / std per channel, in the order of `color`, pixel 0..255.
  std::array<float, 3> mean = {0, 0, 0};
  std::array<float, 3> std = {1, 1, 1};
};

// Anchors of an SSD head (Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2), as
// the TensorFlow Object Detection API's multiple_grid_anchor_generator lays them out.
struct SsdAnchors {
  std::vector<int> grids;  // cells per side, one per feature map, finest first
  double min_scale = 0.2;
  double max_scale = 0.95;
  std::vector<double> aspect_ratios = {1.0, 2.0, 0.5, 3.0, 1.0 / 3.0};
  bool reduce_lowest_layer =
      true;  // three anchors on the first map: 0.1 x 1, scale x 2, scale x 1/2
  double interpolated_ratio =
      1.0;                     // one extra anchor at sqrt(s_k * s_k+1) of this ratio; 0 for none
  double centre_offset = 0.5;  // of a cell
};

struct ModelDecoder {
  DecoderKind kind = DecoderKind::kRaw;
  std::string
      boxes;  // output tensor: ssd boxes, centernet detections, yolo head, classification scores
  std::string scores;  // ssd only
  SsdAnchors anchors;  // ssd only
  // Variances: y and x are divided by box_scale[0..1], h and w by box_scale[2..3].
  std::array<float, 4> box_scale = {10, 10, 5, 5};
  std::string activation = "sigmoid";  // scores: "sigmoid", "softmax" or "none"
  int background_classes = 0;          // leading score columns that are no class
  float score_threshold = 0.3F;        // below it a box is not a detection at all
  float nms_iou = 0.6F;
  int max_detections = 100;
  int top_k = 5;  // classification
};

struct ModelCard {
  std::string name;
  std::string version;
  std::string task;  // "detection", "classification", "raw"
  std::string license;
  std::string source;                  // where the weights come from
  std::vector<ModelVariant> variants;  // the first is the reference; at least one
  ModelInput input;
  ModelDecoder decoder;
  std::vector<std::string> labels;
  double temperature = 1.0;  // confidence calibration: logits are divided by it (Guo et al. 2017)
  std::string accuracy_metric;  // "ap50", "top1"

  // `file` names the card in messages and is where relative paths start.
  static Result<ModelCard> Parse(std::string_view yaml, const std::string& file);
  static Result<ModelCard> Load(const std::string& path);
};

}  // namespace selvedge
