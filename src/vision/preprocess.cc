#include "vision/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "vision/model_check.h"
#include "vision/preprocess_internal.h"
#include "vision/preprocess_kernels.h"

namespace selvedge {
namespace {

using kernels::ChannelMix;
using kernels::kBlock;
using kernels::kRowPadding;
using kernels::kSampleScale;

int RoundUp(int n, int to) {
  return (n + to - 1) / to * to;
}
int HalfUp(int n) {
  return (n + 1) / 2;
}

std::string Size(int width, int height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

// Where output `index` samples an axis: two neighbours and the weight of the second, 0..1.
struct Tap {
  int first;
  int second;
  double weight;
};

// `shift` 1 samples a plane of half size (chroma) as if every sample stood for two pixels: what
// converting the whole picture first would do. A second neighbour that is the first again has no
// weight.
Tap TapAt(int index, double ratio, int limit, int shift) {
  const double position = (index + 0.5) * ratio - 0.5;
  if (position <= 0) return {0, 0, 0};
  if (position >= limit - 1) return {(limit - 1) >> shift, (limit - 1) >> shift, 0};
  const int first = static_cast<int>(position);
  const Tap tap = {first >> shift, (first + 1) >> shift, position - first};
  return tap.first == tap.second ? Tap{tap.first, tap.first, 0} : tap;
}

// Taps of one axis across a row, as the kernels want them.
class HorizontalTaps {
 public:
  // `count` outputs over `limit` source pixels, `ratio` source pixels apart.
  void Build(int count, double ratio, int limit, int shift) {
    const int padded = RoundUp(count, kBlock);
    first_.resize(padded);
    weights_.resize(2 * padded);
    offsets_.resize(2 * padded);
    base_.resize(padded / kBlock);
    narrow_ = true;
    count_ = count;
    for (int i = 0; i < padded; ++i) {
      const Tap tap = TapAt(std::min(i, count - 1), ratio, limit, shift);
      const int right = static_cast<int>(std::lround(tap.weight * (1 << kernels::kWeightBits)));
      first_[i] = tap.first;
      weights_[2 * i] = static_cast<std::int16_t>((1 << kernels::kWeightBits) - right);
      weights_[2 * i + 1] = static_cast<std::int16_t>(right);
      const int base = first_[i / kBlock * kBlock];
      const int offset = tap.first - base;
      base_[i / kBlock] = base;
      narrow_ = narrow_ && offset + 1 < 64;
      offsets_[2 * i] = static_cast<std::int16_t>(std::min(offset, 62));
      offsets_[2 * i + 1] = static_cast<std::int16_t>(std::min(offset, 62) + 1);
    }
  }

  kernels::TapsView view() const {
    return {first_.data(),   weights_.data(), base_.data(),
            offsets_.data(), narrow_,         static_cast<int>(base_.size()),
            count_};
  }

 private:
  std::vector<std::int32_t> first_;
  std::vector<std::int16_t> weights_;
  std::vector<std::int32_t> base_;
  std::vector<std::int16_t> offsets_;
  bool narrow_ = true;
  int count_ = 0;
};

struct RowTap {
  std::int32_t first;
  std::int32_t second;
  std::int16_t weight;  // of the second, in 2^-15
};

void BuildRows(int count, double ratio, int limit, int shift, std::vector<RowTap>* rows) {
  rows->resize(count);
  for (int i = 0; i < count; ++i) {
    const Tap tap = TapAt(i, ratio, limit, shift);
    // 1 itself has no place in 16 bits; the error of 2^-15 is far below a level.
    const int weight = std::min(static_cast<int>(std::lround(tap.weight * 32768.0)), 32767);
    (*rows)[i] = {tap.first, tap.second, static_cast<std::int16_t>(weight)};
  }
}

// Offsets and slopes of R'G'B' = M (Y'CbCr - offset), R'G'B' in 0..255: ITU-R BT.601-7
// section 2.5.1 and BT.709-6 section 3 (luma coefficients kr, kb), with 8-bit quantisation of
// section 3.5 (limited) or the whole 0..255 as JFIF has it (full).
struct ColorConversion {
  float matrix[3][3];  // rows R, G, B; columns Y, Cb, Cr
  float bias[3];
};

ColorConversion YuvToRgb(ColorMatrix matrix, bool full_range) {
  const double kr = matrix == ColorMatrix::kBt601 ? 0.299 : 0.2126;
  const double kb = matrix == ColorMatrix::kBt601 ? 0.114 : 0.0722;
  const double kg = 1 - kr - kb;
  const double luma = full_range ? 1.0 : 255.0 / 219.0;
  const double chroma = full_range ? 1.0 : 255.0 / 224.0;
  const double luma_offset = full_range ? 0 : 16;
  const double m[3][3] = {
      {luma, 0, chroma * 2 * (1 - kr)},
      {luma, -chroma * 2 * (1 - kb) * kb / kg, -chroma * 2 * (1 - kr) * kr / kg},
      {luma, chroma * 2 * (1 - kb), 0},
  };
  ColorConversion conversion{};
  for (int c = 0; c < 3; ++c) {
    for (int k = 0; k < 3; ++k) conversion.matrix[c][k] = static_cast<float>(m[c][k]);
    conversion.bias[c] = static_cast<float>(-m[c][0] * luma_offset - (m[c][1] + m[c][2]) * 128.0);
  }
  return conversion;
}

ColorConversion Pick(int red, int green, int blue) {
  ColorConversion conversion{};
  conversion.matrix[0][red] = 1;
  conversion.matrix[1][green] = 1;
  conversion.matrix[2][blue] = 1;
  return conversion;
}

ColorConversion ConversionOf(const ImageView& image) {
  switch (image.format) {
    case PixelFormat::kI420:
    case PixelFormat::kNv12: return YuvToRgb(image.matrix, image.full_range);
    case PixelFormat::kRgb24: return Pick(0, 1, 2);
    case PixelFormat::kBgr24: return Pick(2, 1, 0);
    case PixelFormat::kGray8: break;
  }
  return Pick(0, 0, 0);
}

struct PlaneLayout {
  int planes;
  int row_bytes[3];
};

PlaneLayout LayoutOf(const ImageView& image) {
  const int w = image.width;
  switch (image.format) {
    case PixelFormat::kI420: return {3, {w, HalfUp(w), HalfUp(w)}};
    case PixelFormat::kNv12: return {2, {w, 2 * HalfUp(w), 0}};
    case PixelFormat::kRgb24:
    case PixelFormat::kBgr24: return {1, {3 * w, 0, 0}};
    case PixelFormat::kGray8: break;
  }
  return {1, {w, 0, 0}};
}

}  // namespace

Status CheckImage(const ImageView& image) {
  if (image.width < 1 || image.height < 1 || image.width > Preprocessor::kMaxSide ||
      image.height > Preprocessor::kMaxSide) {
    return InvalidArgumentError("picture of " + Size(image.width, image.height) +
                                " pixels: each side must be 1 to " +
                                std::to_string(Preprocessor::kMaxSide));
  }
  const PlaneLayout layout = LayoutOf(image);
  for (int i = 0; i < layout.planes; ++i) {
    const std::ptrdiff_t stride = image.strides[i] < 0 ? -image.strides[i] : image.strides[i];
    if (image.planes[i] == nullptr) {
      return InvalidArgumentError("picture has no pixels in plane " + std::to_string(i));
    }
    if (stride < layout.row_bytes[i]) {
      return InvalidArgumentError("plane " + std::to_string(i) + " of a " +
                                  Size(image.width, image.height) + " picture has rows of " +
                                  std::to_string(stride) + " bytes, at least " +
                                  std::to_string(layout.row_bytes[i]) + " are needed");
    }
  }
  return OkStatus();
}

Box ImageTransform::ToSource(const Box& model_pixels) const {
  const auto clip = [](float v, float limit) { return std::min(std::max(v, 0.0F), limit); };
  const auto w = static_cast<float>(source_width);
  const auto h = static_cast<float>(source_height);
  return {clip((model_pixels.x1 - offset_x) * scale_x, w),
          clip((model_pixels.y1 - offset_y) * scale_y, h),
          clip((model_pixels.x2 - offset_x) * scale_x, w),
          clip((model_pixels.y2 - offset_y) * scale_y, h)};
}

ImageTransform MakeTransform(ResizeMode resize, int source_width, int source_height,
                             int input_width, int input_height, Placement* placement) {
  *placement = {0, 0, input_width, input_height};
  if (resize == ResizeMode::kLetterbox) {
    const double scale = std::min(static_cast<double>(input_width) / source_width,
                                  static_cast<double>(input_height) / source_height);
    const int width =
        std::clamp(static_cast<int>(std::lround(source_width * scale)), 1, input_width);
    const int height =
        std::clamp(static_cast<int>(std::lround(source_height * scale)), 1, input_height);
    *placement = {(input_width - width) / 2, (input_height - height) / 2, width, height};
  }
  ImageTransform t;
  t.scale_x = static_cast<float>(source_width) / static_cast<float>(placement->width);
  t.scale_y = static_cast<float>(source_height) / static_cast<float>(placement->height);
  t.offset_x = static_cast<float>(placement->x);
  t.offset_y = static_cast<float>(placement->y);
  t.source_width = source_width;
  t.source_height = source_height;
  t.input_width = input_width;
  t.input_height = input_height;
  return t;
}

struct Preprocessor::State {
  // Fixed at Create.
  const kernels::RowKernels* kernels = nullptr;
  ModelInput input;
  TensorSpec tensor;
  float gain[3] = {};  // per output channel: value = pixel * gain + offset
  float offset[3] = {};
  std::size_t tensor_bytes = 0;

  // Of the last source geometry.
  int width = 0;
  int height = 0;
  PixelFormat format = PixelFormat::kGray8;
  Placement placement;
  ImageTransform transform;
  HorizontalTaps taps[2];  // luma (or all), chroma
  std::vector<RowTap> row_taps[2];
  std::vector<std::int16_t> blended[4];  // three planes, and an interleaved row
  std::vector<float> sampled[3];
  std::vector<float> row;  // a finished row, for tensors that are not float32
  std::vector<float> pad_row;

  void Prepare(const ImageView& image);
  void SampleRow(const ImageView& image, int y);
  void WriteRow(const ChannelMix mix[3], int y, std::byte* data);
  void WriteFloats(const float* values, int count, std::size_t element, std::byte* data) const;
  void FillPadding(std::byte* data) const;
  void FillSpan(int y, int x, int count, std::byte* data) const;
  bool Nhwc() const { return input.layout == TensorLayout::kNhwc; }
};

void Preprocessor::State::Prepare(const ImageView& image) {
  if (image.width == width && image.height == height && image.format == format) return;
  transform =
      MakeTransform(input.resize, image.width, image.height, input.width, input.height, &placement);
  const double ratio_x = static_cast<double>(image.width) / placement.width;
  const double ratio_y = static_cast<double>(image.height) / placement.height;
  const bool subsampled = image.format == PixelFormat::kI420 || image.format == PixelFormat::kNv12;
  taps[0].Build(placement.width, ratio_x, image.width, 0);
  BuildRows(placement.height, ratio_y, image.height, 0, &row_taps[0]);
  if (subsampled) {
    taps[1].Build(placement.width, ratio_x, image.width, 1);
    BuildRows(placement.height, ratio_y, image.height, 1, &row_taps[1]);
  }
  // The padding is read by wide loads but never used, so its content is only kept defined.
  for (int i = 0; i < 3; ++i) blended[i].assign(image.width + kRowPadding, 0);
  blended[3].assign(3 * image.width + kRowPadding, 0);
  for (auto& samples : sampled) samples.assign(RoundUp(placement.width, kBlock), 0);
  row.assign(3 * static_cast<std::size_t>(input.width), 0);
  width = image.width;
  height = image.height;
  format = image.format;
}

// Fills sampled[0..2] with output row y of the picture: Y, U, V or the stored colour channels.
void Preprocessor::State::SampleRow(const ImageView& image, int y) {
  const auto blend = [&](int plane, const RowTap& tap, int bytes, std::int16_t* out) {
    const std::uint8_t* pixels = image.planes[plane];
    kernels->blend(pixels + tap.first * image.strides[plane],
                   pixels + tap.second * image.strides[plane], tap.weight, bytes, out);
  };
  const auto sample = [&](int taps_index, int channel) {
    kernels->sample(taps[taps_index].view(), blended[channel].data(), sampled[channel].data());
  };
  const RowTap& luma = row_taps[0][y];
  switch (image.format) {
    case PixelFormat::kI420:
      blend(0, luma, image.width, blended[0].data());
      blend(1, row_taps[1][y], HalfUp(image.width), blended[1].data());
      blend(2, row_taps[1][y], HalfUp(image.width), blended[2].data());
      sample(0, 0);
      sample(1, 1);
      sample(1, 2);
      return;
    case PixelFormat::kNv12:
      blend(0, luma, image.width, blended[0].data());
      blend(1, row_taps[1][y], 2 * HalfUp(image.width), blended[3].data());
      kernels->split2(blended[3].data(), HalfUp(image.width), blended[1].data(), blended[2].data());
      sample(0, 0);
      sample(1, 1);
      sample(1, 2);
      return;
    case PixelFormat::kRgb24:
    case PixelFormat::kBgr24:
      blend(0, luma, 3 * image.width, blended[3].data());
      kernels->split3(blended[3].data(), image.width, blended[0].data(), blended[1].data(),
                      blended[2].data());
      for (int c = 0; c < 3; ++c) sample(0, c);
      return;
    case PixelFormat::kGray8:
      blend(0, luma, image.width, blended[0].data());
      sample(0, 0);
      return;
  }
}

// Converts `count` finished values to the tensor's type, starting at element `element`.
void Preprocessor::State::WriteFloats(const float* values, int count, std::size_t element,
                                      std::byte* data) const {
  std::byte* out = data + element * SizeOf(tensor.type);
  switch (tensor.type) {
    case DataType::kUint8:
      return kernels->to_uint8(values, count, reinterpret_cast<std::uint8_t*>(out));
    case DataType::kInt8:
      return kernels->to_int8(values, count, reinterpret_cast<std::int8_t*>(out));
    case DataType::kInt32:
      return kernels->to_int32(values, count, reinterpret_cast<std::int32_t*>(out));
    case DataType::kFloat16:
      return kernels->to_float16(values, count, reinterpret_cast<std::uint16_t*>(out));
    case DataType::kBfloat16:
      return kernels->to_bfloat16(values, count, reinterpret_cast<std::uint16_t*>(out));
    default: std::memcpy(out, values, static_cast<std::size_t>(count) * sizeof(float));
  }
}

// Turns sampled[0..2] into row y of the picture's place in the tensor.
void Preprocessor::State::WriteRow(const ChannelMix mix[3], int y, std::byte* data) {
  const float* p0 = sampled[0].data();
  const float* p1 = sampled[1].data();
  const float* p2 = sampled[2].data();
  const int n = placement.width;
  const std::size_t pixel = static_cast<std::size_t>(placement.y + y) * input.width + placement.x;
  const std::size_t plane = static_cast<std::size_t>(input.width) * input.height;
  const bool direct = tensor.type == DataType::kFloat32;
  auto* floats = reinterpret_cast<float*>(data);
  if (Nhwc()) {
    float* out = direct ? floats + 3 * pixel : row.data();
    kernels->mix_interleaved(p0, p1, p2, n, mix, out);
    if (!direct) WriteFloats(out, 3 * n, 3 * pixel, data);
    return;
  }
  float* out = direct ? floats + pixel : row.data();
  const std::size_t step = direct ? plane : static_cast<std::size_t>(n);
  kernels->mix_planar(p0, p1, p2, n, mix, out, out + step, out + 2 * step);
  if (direct) return;
  for (int c = 0; c < 3; ++c) WriteFloats(out + c * step, n, c * plane + pixel, data);
}

// `count` padding pixels from (x, y).
void Preprocessor::State::FillSpan(int y, int x, int count, std::byte* data) const {
  if (count <= 0) return;
  const std::size_t pixel = static_cast<std::size_t>(y) * input.width + x;
  if (Nhwc()) return WriteFloats(pad_row.data(), 3 * count, 3 * pixel, data);
  const std::size_t plane = static_cast<std::size_t>(input.width) * input.height;
  for (int c = 0; c < 3; ++c) {
    WriteFloats(pad_row.data() + c * input.width, count, c * plane + pixel, data);
  }
}

void Preprocessor::State::FillPadding(std::byte* data) const {
  const int right = placement.x + placement.width;
  const int bottom = placement.y + placement.height;
  for (int y = 0; y < input.height; ++y) {
    if (y < placement.y || y >= bottom) {
      FillSpan(y, 0, input.width, data);
    } else {
      FillSpan(y, 0, placement.x, data);
      FillSpan(y, right, input.width - right, data);
    }
  }
}

Preprocessor::Preprocessor(std::unique_ptr<State> state) : state_(std::move(state)) {}
Preprocessor::Preprocessor(Preprocessor&&) noexcept = default;
Preprocessor& Preprocessor::operator=(Preprocessor&&) noexcept = default;
Preprocessor::~Preprocessor() = default;

Result<Preprocessor> Preprocessor::Create(const ModelInput& input, const TensorSpec& tensor) {
  return CreateWith(input, tensor, kernels::BestKernels());
}

Result<Preprocessor> Preprocessor::CreateWith(const ModelInput& input, const TensorSpec& tensor,
                                              const kernels::RowKernels& kernels) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckImageInput(input, tensor));
  auto state = std::make_unique<State>();
  state->kernels = &kernels;
  state->input = input;
  state->tensor = tensor;
  const std::size_t elements = 3 * static_cast<std::size_t>(input.width) * input.height;
  state->tensor_bytes = elements * SizeOf(tensor.type);
  const bool quantised = IsQuantised(tensor);
  const float scale = quantised ? tensor.scale : 1.0F;
  const float zero_point = quantised ? static_cast<float>(tensor.zero_point) : 0.0F;
  state->pad_row.resize(3 * static_cast<std::size_t>(input.width));
  for (int c = 0; c < 3; ++c) {
    state->gain[c] = 1.0F / (input.std[c] * scale);
    state->offset[c] = -input.mean[c] * state->gain[c] + zero_point;
    const float pad = static_cast<float>(input.pad) * state->gain[c] + state->offset[c];
    for (int x = 0; x < input.width; ++x) {
      state->pad_row[state->Nhwc() ? 3 * x + c : c * input.width + x] = pad;
    }
  }
  return Preprocessor(std::move(state));
}

Status Preprocessor::Run(const ImageView& image, const TensorView& tensor,
                         ImageTransform* transform) {
  State& s = *state_;
  SELVEDGE_RETURN_IF_ERROR(CheckImage(image));
  if (tensor.type != s.tensor.type || tensor.bytes != s.tensor_bytes || tensor.data == nullptr) {
    return InvalidArgumentError(
        "input tensor is " + std::string(DataTypeName(tensor.type)) + " of " +
        std::to_string(tensor.bytes) + " bytes, the preprocessor was made for " +
        std::string(DataTypeName(s.tensor.type)) + " of " + std::to_string(s.tensor_bytes));
  }
  s.Prepare(image);
  const ColorConversion conversion = ConversionOf(image);
  ChannelMix mix[3];
  for (int c = 0; c < 3; ++c) {
    const int color = s.input.color == ColorOrder::kRgb ? c : 2 - c;
    for (int k = 0; k < 3; ++k) mix[c].k[k] = conversion.matrix[color][k] * kSampleScale;
    mix[c].bias = conversion.bias[color];
    mix[c].gain = s.gain[c];
    mix[c].offset = s.offset[c];
  }
  auto* data = static_cast<std::byte*>(tensor.data);
  for (int y = 0; y < s.placement.height; ++y) {
    s.SampleRow(image, y);
    s.WriteRow(mix, y, data);
  }
  if (s.placement.width != s.input.width || s.placement.height != s.input.height) {
    s.FillPadding(data);
  }
  *transform = s.transform;
  return OkStatus();
}

}  // namespace selvedge
