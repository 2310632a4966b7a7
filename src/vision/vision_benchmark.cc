// What a frame costs around the engine: preprocessing and decoding, one thread, CPU time.
//
//   build/.../bin/vision_benchmark --benchmark_repetitions=5
//
// Not a test; nothing depends on its numbers. Data are made up: a picture of noise, and SSD outputs
// with a given number of boxes above the threshold.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "vision/decoder.h"
#include "vision/preprocess.h"
#include "vision/preprocess_kernels.h"

namespace selvedge {
namespace {

ModelInput SsdInput() {
  ModelInput input;
  input.width = 300;
  input.height = 300;
  input.mean = {127.5F, 127.5F, 127.5F};
  input.std = {127.5F, 127.5F, 127.5F};
  return input;
}

struct Picture {
  Picture(PixelFormat format, int width, int height) : pixels(3 * width * height + 64) {
    std::mt19937 random(1);
    for (auto& p : pixels) p = static_cast<std::uint8_t>(random());
    view.format = format;
    view.width = width;
    view.height = height;
    view.planes = {pixels.data(), pixels.data() + width * height,
                   pixels.data() + width * height * 5 / 4};
    view.strides = {width, width / 2, width / 2};
    if (format == PixelFormat::kNv12) view.strides[1] = width;
    if (format == PixelFormat::kRgb24) view.strides[0] = 3 * width;
  }
  std::vector<std::uint8_t> pixels;
  ImageView view;
};

void RunPreprocess(benchmark::State& state, const Picture& picture, DataType type,
                   TensorLayout layout, int size, const kernels::RowKernels& kernels) {
  ModelInput input = SsdInput();
  input.layout = layout;
  input.width = size;
  input.height = size;
  TensorSpec spec;
  spec.type = type;
  spec.shape = layout == TensorLayout::kNhwc ? Shape{1, size, size, 3} : Shape{1, 3, size, size};
  auto preprocessor = Preprocessor::CreateWith(input, spec, kernels);
  std::vector<float> data(3 * size * size);
  const TensorView tensor = {type, spec.shape, data.data(), 3UL * size * size * SizeOf(type)};
  ImageTransform transform;
  for (auto _ : state) {
    if (!preprocessor->Run(picture.view, tensor, &transform).ok()) state.SkipWithError("failed");
    benchmark::DoNotOptimize(data.data());
    benchmark::ClobberMemory();
  }
  state.SetLabel(kernels.name);
}

void RunSsd(benchmark::State& state, int boxes) {
  ModelCard card;
  card.input = SsdInput();
  card.decoder.kind = DecoderKind::kSsd;
  card.decoder.boxes = "boxes";
  card.decoder.scores = "scores";
  card.decoder.anchors.grids = {19, 10, 5, 3, 2, 1};
  card.decoder.background_classes = 1;
  const std::vector<TensorSpec> specs = {
      {.name = "boxes", .shape = {1, 1917, 1, 4}},
      {.name = "scores", .shape = {1, 1917, 2}},
  };
  auto decoder = MakeDecoder(card, specs);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> deltas(std::size_t{1917} * 4);
  std::vector<float> logits(std::size_t{1917} * 2, -6.0F);
  for (float& v : deltas) v = normal(random);
  for (int i = 0; i < boxes; ++i) logits[2 * (random() % 1917) + 1] = std::abs(normal(random));
  const TensorView outputs[] = {
      {DataType::kFloat32, specs[0].shape, deltas.data(), deltas.size() * 4},
      {DataType::kFloat32, specs[1].shape, logits.data(), logits.size() * 4}};
  ImageTransform transform;
  transform.scale_x = 2.56F;
  transform.scale_y = 1.92F;
  transform.source_width = 768;
  transform.source_height = 576;
  Detections detections;
  for (auto _ : state) {
    if (!(*decoder)->Decode(outputs, transform, &detections).ok()) state.SkipWithError("failed");
    benchmark::DoNotOptimize(detections.data());
  }
  state.SetLabel(std::to_string(detections.size()) + " detections");
}

void RunYoloV8(benchmark::State& state) {
  ModelCard card;
  card.input.width = 640;
  card.input.height = 640;
  card.decoder.kind = DecoderKind::kYoloV8;
  card.decoder.activation = "none";
  const std::vector<TensorSpec> specs = {{.name = "output0", .shape = {1, 84, 8400}}};
  auto decoder = MakeDecoder(card, specs);
  std::vector<float> head(std::size_t{84} * 8400, 0.01F);
  std::mt19937 random(3);
  for (int i = 0; i < 4 * 8400; ++i) head[i] = static_cast<float>(random() % 600);
  for (int i = 0; i < 60; ++i) head[4 * 8400 + random() % (80 * 8400)] = 0.7F;
  const TensorView outputs[] = {{DataType::kFloat32, specs[0].shape, head.data(), head.size() * 4}};
  ImageTransform transform;
  transform.source_width = transform.source_height = 640;
  Detections detections;
  for (auto _ : state) {
    if (!(*decoder)->Decode(outputs, transform, &detections).ok()) state.SkipWithError("failed");
    benchmark::DoNotOptimize(detections.data());
  }
  state.SetLabel(std::to_string(detections.size()) + " detections");
}

void Register() {
  static const Picture small(PixelFormat::kI420, 768, 576);
  static const Picture nv12(PixelFormat::kNv12, 768, 576);
  static const Picture rgb(PixelFormat::kRgb24, 768, 576);
  static const Picture hd(PixelFormat::kI420, 1920, 1080);
  const auto add = [](const std::string& name, const Picture& picture, DataType type,
                      TensorLayout layout, int size) {
    for (const auto* const* k = kernels::UsableKernels(); *k != nullptr; ++k) {
      const kernels::RowKernels& set = **k;
      benchmark::RegisterBenchmark(("preprocess/" + name + "/" + set.name).c_str(),
                                   [=, &picture, &set](auto& state) {
                                     RunPreprocess(state, picture, type, layout, size, set);
                                   });
    }
  };
  const auto nhwc = TensorLayout::kNhwc;
  add("i420_768x576_to_300_float32", small, DataType::kFloat32, nhwc, 300);
  add("i420_768x576_to_300_float32_nchw", small, DataType::kFloat32, TensorLayout::kNchw, 300);
  add("i420_768x576_to_300_uint8", small, DataType::kUint8, nhwc, 300);
  add("i420_768x576_to_300_float16", small, DataType::kFloat16, nhwc, 300);
  add("nv12_768x576_to_300_float32", nv12, DataType::kFloat32, nhwc, 300);
  add("rgb_768x576_to_300_float32", rgb, DataType::kFloat32, nhwc, 300);
  add("i420_1920x1080_to_300_float32", hd, DataType::kFloat32, nhwc, 300);
  add("i420_1920x1080_to_640_float32", hd, DataType::kFloat32, nhwc, 640);
  for (const int boxes : {0, 20, 300}) {
    benchmark::RegisterBenchmark(("ssd/1917_anchors/" + std::to_string(boxes) + "_above").c_str(),
                                 [boxes](auto& state) { RunSsd(state, boxes); });
  }
  benchmark::RegisterBenchmark("yolov8/84x8400", RunYoloV8);
}

}  // namespace
}  // namespace selvedge

int main(int argc, char** argv) {
  selvedge::Register();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
