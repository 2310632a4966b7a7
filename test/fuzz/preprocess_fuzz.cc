// Any geometry, stride, format and card: the Preprocessor refuses, or fills the whole tensor with
// finite values and reads not one byte beyond the picture, whatever the instruction set.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "byte_reader.h"
#include "check.h"
#include "vision/preprocess.h"
#include "vision/preprocess_kernels.h"

namespace selvedge {
namespace {

constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBfloat16,
                               DataType::kUint8,   DataType::kInt8,    DataType::kInt32,
                               DataType::kInt64};

// Each plane ends with its last pixel, so that a sanitizer sees a read beyond it.
struct Picture {
  std::array<std::vector<std::uint8_t>, 3> planes;
  ImageView view;
};

Picture ReadPicture(ByteReader& in) {
  Picture p;
  p.view.format = static_cast<PixelFormat>(in.Between(0, 4));
  p.view.width = in.Between(0, 150);
  p.view.height = in.Between(0, 100);
  p.view.matrix = in.Flag() ? ColorMatrix::kBt601 : ColorMatrix::kBt709;
  p.view.full_range = in.Flag();
  const int gap = in.Between(0, 9) - 1;  // -1: rows that overlap are refused
  const int cw = (p.view.width + 1) / 2;
  const bool yuv = p.view.format == PixelFormat::kI420 || p.view.format == PixelFormat::kNv12;
  const bool rgb = p.view.format == PixelFormat::kRgb24 || p.view.format == PixelFormat::kBgr24;
  const int planes = p.view.format == PixelFormat::kI420 ? 3 : (yuv ? 2 : 1);
  for (int i = 0; i < planes; ++i) {
    const int rows = i == 0 ? p.view.height : (p.view.height + 1) / 2;
    int bytes = rgb ? 3 * p.view.width : p.view.width;
    if (i > 0) bytes = p.view.format == PixelFormat::kNv12 ? 2 * cw : cw;
    p.view.strides[i] = bytes + gap;
    p.planes[i].resize(rows > 0 ? (bytes + std::max(gap, 0)) * (rows - 1) + bytes : 0);
    in.Fill(p.planes[i]);
    p.view.planes[i] = p.planes[i].data();
  }
  return p;
}

void CheckFinite(const std::vector<std::uint8_t>& data, DataType type) {
  if (type != DataType::kFloat32) return;
  for (std::size_t i = 0; i < data.size(); i += 4) {
    float value;
    std::memcpy(&value, data.data() + i, 4);
    SELVEDGE_FUZZ_CHECK(std::abs(value) <= 256.0F / 0.01F);  // also false for what no number is
  }
}

void Fuzz(ByteReader& in) {
  ModelInput input;
  input.layout = in.Flag() ? TensorLayout::kNhwc : TensorLayout::kNchw;
  input.color = in.Flag() ? ColorOrder::kRgb : ColorOrder::kBgr;
  input.resize = in.Flag() ? ResizeMode::kSquash : ResizeMode::kLetterbox;
  input.width = in.Between(0, 120);
  input.height = in.Between(0, 80);
  input.pad = in.Between(0, 255);
  input.mean.fill(static_cast<float>(in.Byte()));
  input.std.fill(static_cast<float>(in.Byte()) / 100);
  TensorSpec spec;
  spec.type = kTypes[in.Between(0, 6)];
  spec.shape = input.layout == TensorLayout::kNhwc ? Shape{1, input.height, input.width, 3}
                                                   : Shape{1, 3, input.height, input.width};
  spec.scale = in.Flag() ? 0.0F : std::abs(in.AnyFloat());
  spec.zero_point = in.Between(-200, 300);
  const Picture pictures[] = {ReadPicture(in), ReadPicture(in)};
  for (const auto* const* k = kernels::UsableKernels(); *k != nullptr; ++k) {
    auto preprocessor = Preprocessor::CreateWith(input, spec, **k);
    if (!preprocessor) return;
    std::vector<std::uint8_t> data(3UL * input.width * input.height * SizeOf(spec.type), 0xFF);
    const TensorView tensor = {spec.type, spec.shape, data.data(), data.size()};
    for (const int which : {0, 1, 0}) {
      ImageTransform transform;
      const Status status = preprocessor->Run(pictures[which].view, tensor, &transform);
      if (!status.ok()) continue;
      CheckFinite(data, spec.type);
      SELVEDGE_FUZZ_CHECK(transform.scale_x > 0 && transform.scale_y > 0);
    }
  }
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  selvedge::ByteReader in(data, size);
  selvedge::Fuzz(in);
  return 0;
}
