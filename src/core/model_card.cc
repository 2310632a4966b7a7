#include "core/model_card.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "base/config.h"
#include "base/file.h"
#include "base/utf8.h"

namespace selvedge {
namespace {

constexpr std::size_t kFileLimit = 1U << 20;
constexpr std::int64_t kAnchorLimit = 1'000'000;

constexpr std::string_view kKindNames[] = {"ssd",    "centernet",      "yolov5",
                                           "yolov8", "classification", "raw"};
constexpr std::string_view kTaskNames[] = {"detection", "classification", "raw"};
constexpr std::string_view kPrecisionNames[] = {"fp32", "fp16", "bf16", "int8"};
constexpr std::string_view kActivationNames[] = {"sigmoid", "softmax", "none"};

// Names end up in file names, labels of metrics and events.
bool IsPlainName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '+';
         });
}

void RequiredName(ConfigMap* map, std::string_view key, std::string* out) {
  map->Required(key, out);
  if (!out->empty() && !IsPlainName(*out)) {
    map->Error(key,
               "use at most 128 letters, digits, '.', '_', '-' and '+', not beginning with '.'");
  }
}

// A card comes from somebody else, so its files lie beside it or below, never elsewhere on the
// disk.
bool IsContainedPath(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/' ||
      path.find('\0') != std::string_view::npos)
    return false;
  while (true) {
    const std::size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

constexpr std::string_view kPathRule =
    "must be a path relative to the card's folder, without \"..\"";

void ReadVariant(const ConfigValue& value, ModelVariant* variant) {
  auto map = value.Map();
  if (!map) return;
  RequiredName(&*map, "name", &variant->name);
  map->Required("path", &variant->path);
  if (!variant->path.empty() && !IsContainedPath(variant->path)) map->Error("path", kPathRule);
  int precision = 0;
  map->RequiredChoice("precision", kPrecisionNames, &precision);
  variant->precision = kPrecisionNames[precision];
  map->Optional("accuracy", &variant->accuracy, Range{0, 1});
  map->Optional("engines", &variant->engines);
  if (std::ranges::any_of(variant->engines, [](const auto& e) { return !IsPlainName(e); })) {
    map->Error("engines", "an engine's name is a word such as onnxruntime");
  }
}

void ReadVariants(ConfigMap* map, ModelCard* card) {
  std::set<std::string> names;
  const std::vector<ConfigValue> values = map->RequiredSequence("variants");
  if (values.empty()) map->Error("variants", "at least one variant is needed");
  for (const ConfigValue& value : values) {
    ModelVariant& variant = card->variants.emplace_back();
    ReadVariant(value, &variant);
    if (!names.insert(variant.name).second) {
      value.Error("there is a variant \"" + variant.name + "\" already; each needs its own name");
    }
    if (variant.accuracy >= 0 && card->accuracy_metric.empty()) {
      value.Error("accuracy is given, so the card must name its accuracy_metric");
    }
  }
}

// One number for all channels, or a list of three.
void ReadChannels(ConfigMap* map, std::string_view key, std::array<float, 3>* out) {
  const auto value = map->Value(key);
  if (!value) return;
  std::vector<double> numbers;
  if (value->IsScalar()) {
    numbers.assign(3, value->Number().value_or(0));
  } else {
    map->Optional(key, &numbers);
  }
  if (numbers.size() != 3) {
    map->Error(key, "expected one number, or three: one for each channel");
    return;
  }
  for (std::size_t i = 0; i < 3; ++i) {
    if (std::fabs(numbers[i]) > 1e6) map->Error(key, "must be between -1000000 and 1000000");
    (*out)[i] = static_cast<float>(numbers[i]);
  }
}

void ReadInput(ConfigMap* map, ModelInput* input) {
  map->Optional("name", &input->name);
  int layout = 0;
  map->RequiredChoice("layout", {"nhwc", "nchw"}, &layout);
  input->layout = layout == 0 ? TensorLayout::kNhwc : TensorLayout::kNchw;
  int color = 0;
  map->OptionalChoice("color", {"rgb", "bgr"}, &color);
  input->color = color == 0 ? ColorOrder::kRgb : ColorOrder::kBgr;
  map->Required("width", &input->width, Range{1, 8192});
  map->Required("height", &input->height, Range{1, 8192});
  int resize = 0;
  map->OptionalChoice("resize", {"squash", "letterbox"}, &resize);
  input->resize = resize == 0 ? ResizeMode::kSquash : ResizeMode::kLetterbox;
  map->Optional("pad", &input->pad, Range{0, 255});
  if (map->Has("pad") && input->resize != ResizeMode::kLetterbox) {
    map->Error("pad",
               "only a letterbox has borders to fill; set resize to letterbox or remove pad");
  }
  ReadChannels(map, "mean", &input->mean);
  ReadChannels(map, "std", &input->std);
  if (std::ranges::any_of(input->std, [](float s) { return std::fabs(s) < 1e-6F; })) {
    map->Error("std", "must not be 0: pixels are divided by it");
  }
}

void ReadAnchors(ConfigMap* map, SsdAnchors* anchors) {
  std::vector<double> grids;
  map->Optional("grids", &grids);
  if (grids.empty() || grids.size() > 16) {
    map->Error("grids", "expected 1 to 16 grid sizes, cells per side, finest first");
  }
  map->Optional("aspect_ratios", &anchors->aspect_ratios);
  if (anchors->aspect_ratios.empty() || anchors->aspect_ratios.size() > 16 ||
      std::ranges::any_of(anchors->aspect_ratios, [](double r) { return r < 0.01 || r > 100; })) {
    map->Error("aspect_ratios", "expected 1 to 16 numbers between 0.01 and 100");
  }
  map->Optional("interpolated_ratio", &anchors->interpolated_ratio, Range{0, 100});
  std::int64_t count = 0;
  for (const double grid : grids) {
    if (!(grid >= 1 && grid <= 1024) || grid != std::floor(grid)) {
      map->Error("grids", "each must be a whole number between 1 and 1024");
      return;
    }
    anchors->grids.push_back(static_cast<int>(grid));
    count += static_cast<std::int64_t>(grid * grid) *
             static_cast<std::int64_t>(anchors->aspect_ratios.size() + 1);
  }
  if (count > kAnchorLimit) map->Error("grids", "more than 1000000 anchors");
  map->Optional("min_scale", &anchors->min_scale, Range{0.001, 10});
  map->Optional("max_scale", &anchors->max_scale, Range{0.001, 10});
  if (anchors->max_scale < anchors->min_scale) {
    map->Error("max_scale", "must not be below min_scale");
  }
  map->Optional("reduce_lowest_layer", &anchors->reduce_lowest_layer);
  map->Optional("centre_offset", &anchors->centre_offset, Range{0, 1});
}

void ReadSsd(ConfigMap* map, ModelDecoder* decoder) {
  map->Required("boxes", &decoder->boxes);
  map->Required("scores", &decoder->scores);
  if (auto anchors = map->RequiredMap("anchors")) ReadAnchors(&*anchors, &decoder->anchors);
  const auto scale = map->Value("box_scale");
  if (!scale) return;
  std::vector<double> numbers;
  map->Optional("box_scale", &numbers);
  if (numbers.size() != 4 ||
      std::ranges::any_of(numbers, [](double v) { return v < 1e-3 || v > 1e6; })) {
    map->Error("box_scale", "expected four numbers above 0: for y, x, height and width");
    return;
  }
  std::ranges::transform(numbers, decoder->box_scale.begin(),
                         [](double v) { return static_cast<float>(v); });
}

struct Applicable {
  bool boxes, ssd, activation, background, threshold, nms, max_detections, top_k;
};

// Which keys mean something to which kind.
Applicable KeysOf(DecoderKind kind) {
  const bool ssd = kind == DecoderKind::kSsd;
  const bool raw = kind == DecoderKind::kRaw;
  const bool classification = kind == DecoderKind::kClassification;
  const bool detection = !raw && !classification;
  return {.boxes = !raw,
          .ssd = ssd,
          .activation = detection || classification,
          .background = ssd || classification,
          .threshold = !raw,
          .nms = detection,
          .max_detections = detection,
          .top_k = classification};
}

void RefuseOthers(ConfigMap* map, const Applicable& keys, std::string_view kind) {
  const std::pair<std::string_view, bool> all[] = {{"boxes", keys.boxes},
                                                   {"scores", keys.ssd},
                                                   {"anchors", keys.ssd},
                                                   {"box_scale", keys.ssd},
                                                   {"activation", keys.activation},
                                                   {"background_classes", keys.background},
                                                   {"score_threshold", keys.threshold},
                                                   {"nms_iou", keys.nms},
                                                   {"max_detections", keys.max_detections},
                                                   {"top_k", keys.top_k}};
  for (const auto& [key, applies] : all) {
    if (!applies && map->Has(key)) {
      map->Error(key, "means nothing to a decoder of kind " + std::string(kind) + "; remove it");
    }
  }
}

void ReadDecoder(ConfigMap* map, ModelDecoder* decoder) {
  int kind = static_cast<int>(DecoderKind::kRaw);
  map->RequiredChoice("kind", kKindNames, &kind);
  decoder->kind = static_cast<DecoderKind>(kind);
  const Applicable keys = KeysOf(decoder->kind);
  RefuseOthers(map, keys, kKindNames[kind]);
  if (keys.ssd) {
    ReadSsd(map, decoder);
  } else if (keys.boxes) {
    map->Optional("boxes", &decoder->boxes);
  }
  int activation = keys.ssd ? 0 : 2;
  if (decoder->kind == DecoderKind::kClassification) {
    // No default: a wrong guess would give scores that look right.
    map->RequiredChoice("activation", kActivationNames, &activation);
  } else if (keys.activation) {
    map->OptionalChoice("activation", kActivationNames, &activation);
  }
  decoder->activation = kActivationNames[activation];
  if (keys.background)
    map->Optional("background_classes", &decoder->background_classes, Range{0, 16});
  if (keys.threshold) map->Optional("score_threshold", &decoder->score_threshold, Range{0, 1});
  if (keys.nms) map->Optional("nms_iou", &decoder->nms_iou, Range{0, 1});
  if (keys.max_detections)
    map->Optional("max_detections", &decoder->max_detections, Range{1, 10000});
  if (keys.top_k) map->Optional("top_k", &decoder->top_k, Range{1, 1000});
}

std::string_view TaskOf(DecoderKind kind) {
  switch (kind) {
    case DecoderKind::kClassification: return "classification";
    case DecoderKind::kRaw: return "raw";
    default: return "detection";
  }
}

// One label a line; the line number is the class, so a blank line in between is a mistake.
Result<std::vector<std::string>> ReadLabelFile(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileLimit));
  if (FindInvalidUtf8(text) != std::string_view::npos || text.find('\0') != std::string::npos) {
    return Err(InvalidArgumentError(path + ": not UTF-8 text; expected one label per line"));
  }
  std::vector<std::string> labels;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string label = text.substr(at, end - at);
    if (label.ends_with('\r')) label.pop_back();
    labels.push_back(std::move(label));
    at = end + 1;
  }
  while (!labels.empty() && labels.back().empty()) labels.pop_back();
  const auto blank = std::ranges::find(labels, "");
  if (blank != labels.end()) {
    return Err(InvalidArgumentError(path + ':' + std::to_string(blank - labels.begin() + 1) +
                                    ": an empty line; expected one label per line"));
  }
  return labels;
}

void ReadLabels(ConfigMap* map, const std::string& file, ModelCard* card) {
  const auto value = card->task == "raw" ? map->Value("labels") : map->RequiredValue("labels");
  if (!value) return;
  if (value->IsScalar()) {
    const std::string path = value->String().value_or("");
    if (!IsContainedPath(path)) {
      value->Error(kPathRule);
      return;
    }
    auto labels = ReadLabelFile(ResolvePath(path, file));
    if (!labels) {
      value->Error(labels.error().message());
      return;
    }
    card->labels = *std::move(labels);
  } else {
    map->Optional("labels", &card->labels);
  }
  if (card->labels.empty()) value->Error("there is no label; name at least one class");
  if (std::ranges::find(card->labels, "") != card->labels.end()) value->Error("a label is empty");
}

}  // namespace

Result<ModelCard> ModelCard::Parse(std::string_view yaml, const std::string& file) {
  SELVEDGE_ASSIGN_OR_RETURN(const ConfigDocument document, ConfigDocument::Parse(yaml, file));
  ConfigMap map = document.Root();
  ModelCard card;
  RequiredName(&map, "name", &card.name);
  RequiredName(&map, "version", &card.version);
  int task = 0;
  map.RequiredChoice("task", kTaskNames, &task);
  card.task = kTaskNames[task];
  map.Optional("license", &card.license);
  map.Optional("source", &card.source);
  map.Optional("accuracy_metric", &card.accuracy_metric);
  ReadVariants(&map, &card);
  if (auto input = map.RequiredMap("input")) ReadInput(&*input, &card.input);
  if (auto decoder = map.RequiredMap("decoder")) {
    ReadDecoder(&*decoder, &card.decoder);
    if (TaskOf(card.decoder.kind) != card.task) {
      decoder->Error("kind", "reads the task " + std::string(TaskOf(card.decoder.kind)) +
                                 ", but the card's task is " + card.task);
    }
  }
  ReadLabels(&map, file, &card);
  map.Optional("temperature", &card.temperature, Range{0.01, 100});
  SELVEDGE_RETURN_ERR_IF_ERROR(document.status());
  return card;
}

Result<ModelCard> ModelCard::Load(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kFileLimit));
  return Parse(text, path);
}

}  // namespace selvedge
