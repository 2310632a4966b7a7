// The Preprocessor against a slow reference in double precision that shares nothing with it, on
// random pictures of random geometry, with every instruction set this processor has.

#include "vision/preprocess.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/allocation_counter.h"
#include "vision/preprocess_kernels.h"

namespace selvedge {
namespace {

using Random = std::mt19937;

int Pick(Random& random, int low, int high) {
  return std::uniform_int_distribution<int>(low, high)(random);
}

// A picture with its own pixels, rows longer than needed, and noise in between.
struct Picture {
  Picture(PixelFormat format, int width, int height, Random& random, int extra_stride = 0) {
    view.format = format;
    view.width = width;
    view.height = height;
    const int cw = (width + 1) / 2;
    const int ch = (height + 1) / 2;
    std::vector<std::pair<int, int>> sizes;  // row bytes, rows
    switch (format) {
      case PixelFormat::kI420: sizes = {{width, height}, {cw, ch}, {cw, ch}}; break;
      case PixelFormat::kNv12: sizes = {{width, height}, {2 * cw, ch}}; break;
      case PixelFormat::kRgb24:
      case PixelFormat::kBgr24: sizes = {{3 * width, height}}; break;
      case PixelFormat::kGray8: sizes = {{width, height}}; break;
    }
    pixels.resize(sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      view.strides[i] = sizes[i].first + extra_stride;
      // The last row ends with its last pixel: reading beyond it is what ASan must see.
      pixels[i].resize(view.strides[i] * (sizes[i].second - 1) + sizes[i].first);
      for (auto& p : pixels[i]) p = static_cast<std::uint8_t>(random());
      view.planes[i] = pixels[i].data();
    }
  }
  std::vector<std::vector<std::uint8_t>> pixels;
  ImageView view;
};

double Bilinear(const std::function<int(int, int)>& at, double x, double y, int width, int height) {
  x = std::clamp(x, 0.0, width - 1.0);
  y = std::clamp(y, 0.0, height - 1.0);
  const int x0 = static_cast<int>(std::floor(x));
  const int y0 = static_cast<int>(std::floor(y));
  const int x1 = std::min(x0 + 1, width - 1);
  const int y1 = std::min(y0 + 1, height - 1);
  const double fx = x - x0;
  const double fy = y - y0;
  return (at(x0, y0) * (1 - fx) + at(x1, y0) * fx) * (1 - fy) +
         (at(x0, y1) * (1 - fx) + at(x1, y1) * fx) * fy;
}

// R, G, B (0..255) of the picture at continuous position (x, y), pixel centres at whole numbers.
std::array<double, 3> ReferencePixel(const ImageView& v, double x, double y) {
  const auto byte = [&](int plane, int column, int row) -> int {
    return v.planes[plane][row * v.strides[plane] + column];
  };
  const int w = v.width;
  const int h = v.height;
  if (v.format == PixelFormat::kGray8) {
    const double g = Bilinear([&](int c, int r) { return byte(0, c, r); }, x, y, w, h);
    return {g, g, g};
  }
  if (v.format == PixelFormat::kRgb24 || v.format == PixelFormat::kBgr24) {
    std::array<double, 3> rgb;
    for (int k = 0; k < 3; ++k) {
      const int stored = v.format == PixelFormat::kRgb24 ? k : 2 - k;
      rgb[k] = Bilinear([&](int c, int r) { return byte(0, 3 * c + stored, r); }, x, y, w, h);
    }
    return rgb;
  }
  const bool nv12 = v.format == PixelFormat::kNv12;
  const auto cb = [&](int c, int r) { return nv12 ? byte(1, 2 * c, r) : byte(1, c, r); };
  const auto cr = [&](int c, int r) { return nv12 ? byte(1, 2 * c + 1, r) : byte(2, c, r); };
  double luma = Bilinear([&](int c, int r) { return byte(0, c, r); }, x, y, w, h);
  // A chroma sample stands for the 2x2 pixels that it covers.
  double u = Bilinear([&](int c, int r) { return cb(c / 2, r / 2); }, x, y, w, h) - 128;
  double t = Bilinear([&](int c, int r) { return cr(c / 2, r / 2); }, x, y, w, h) - 128;
  if (!v.full_range) {
    luma = (luma - 16) * 255 / 219;
    u *= 255.0 / 224;
    t *= 255.0 / 224;
  }
  // The published four-digit coefficients of the two standards.
  const bool hd = v.matrix == ColorMatrix::kBt709;
  const double r = luma + (hd ? 1.5748 : 1.402) * t;
  const double g = luma - (hd ? 0.1873 : 0.344136) * u - (hd ? 0.4681 : 0.714136) * t;
  const double b = luma + (hd ? 1.8556 : 1.772) * u;
  return {std::clamp(r, 0.0, 255.0), std::clamp(g, 0.0, 255.0), std::clamp(b, 0.0, 255.0)};
}

// What element (y, x, channel) of the tensor should be, as a pixel value 0..255 before
// normalisation.
double ReferenceValue(const ModelInput& input, const ImageView& v, int x, int y, int channel) {
  int left = 0;
  int top = 0;
  int width = input.width;
  int height = input.height;
  if (input.resize == ResizeMode::kLetterbox) {
    const double scale = std::min(static_cast<double>(input.width) / v.width,
                                  static_cast<double>(input.height) / v.height);
    width = std::max(1, static_cast<int>(std::round(v.width * scale)));
    height = std::max(1, static_cast<int>(std::round(v.height * scale)));
    left = (input.width - width) / 2;
    top = (input.height - height) / 2;
  }
  if (x < left || y < top || x >= left + width || y >= top + height) return input.pad;
  const double sx = (x - left + 0.5) * v.width / width - 0.5;
  const double sy = (y - top + 0.5) * v.height / height - 0.5;
  const auto rgb = ReferencePixel(v, sx, sy);
  return rgb[input.color == ColorOrder::kRgb ? channel : 2 - channel];
}

double HalfToDouble(std::uint16_t h) {
  const int exponent = (h >> 10) & 31;
  const double fraction = h & 1023;
  const double value =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return (h & 0x8000) != 0 ? -value : value;
}

double BfloatToDouble(std::uint16_t half) {
  const std::uint32_t bits = static_cast<std::uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

double ElementAt(const std::vector<std::byte>& data, DataType type, std::size_t i) {
  const auto load = [&]<typename T>(T value) {
    std::memcpy(&value, data.data() + i * sizeof(T), sizeof(T));
    return value;
  };
  switch (type) {
    case DataType::kFloat16: return HalfToDouble(load(std::uint16_t{}));
    case DataType::kBfloat16: return BfloatToDouble(load(std::uint16_t{}));
    case DataType::kUint8: return load(std::uint8_t{});
    case DataType::kInt8: return load(std::int8_t{});
    case DataType::kInt32: return load(std::int32_t{});
    default: return load(float{});
  }
}

struct Case {
  ModelInput input;
  TensorSpec spec;
};

TensorSpec SpecFor(const ModelInput& input, DataType type) {
  TensorSpec spec;
  spec.name = "images";
  spec.type = type;
  spec.shape = input.layout == TensorLayout::kNhwc ? Shape{1, input.height, input.width, 3}
                                                   : Shape{1, 3, input.height, input.width};
  return spec;
}

Case RandomCase(Random& random) {
  Case c;
  c.input.layout = Pick(random, 0, 1) == 0 ? TensorLayout::kNhwc : TensorLayout::kNchw;
  c.input.color = Pick(random, 0, 1) == 0 ? ColorOrder::kRgb : ColorOrder::kBgr;
  c.input.resize = Pick(random, 0, 1) == 0 ? ResizeMode::kSquash : ResizeMode::kLetterbox;
  c.input.width = Pick(random, 1, 70);
  c.input.height = Pick(random, 1, 50);
  c.input.pad = Pick(random, 0, 255);
  constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat16, DataType::kBfloat16,
                                 DataType::kUint8,   DataType::kInt8,    DataType::kInt32};
  const DataType type = kTypes[Pick(random, 0, 5)];
  c.spec = SpecFor(c.input, type);
  const bool real = type == DataType::kFloat32 || SizeOf(type) == 2;
  if (real) {
    c.input.mean = {123.7F, 116.3F, 103.5F};
    c.input.std = {58.4F, 57.1F, 57.4F};
  } else if (type == DataType::kInt8) {
    c.input.mean = {127.5F, 127.5F, 127.5F};
    c.input.std = {127.5F, 127.5F, 127.5F};
    c.spec.scale = 1.0F / 127;
    c.spec.zero_point = -1;
  }
  return c;
}

// Runs once and compares every element.
void Check(Preprocessor& preprocessor, const Case& c, const ImageView& view) {
  const std::size_t elements = 3UL * c.input.width * c.input.height;
  std::vector<std::byte> data(elements * SizeOf(c.spec.type), std::byte{0xAA});
  const TensorView tensor = {c.spec.type, c.spec.shape, data.data(), data.size()};
  ImageTransform transform;
  ASSERT_TRUE(preprocessor.Run(view, tensor, &transform).ok());
  const bool quantised = c.spec.scale > 0;
  double worst = 0;
  for (int y = 0; y < c.input.height; ++y) {
    for (int x = 0; x < c.input.width; ++x) {
      for (int k = 0; k < 3; ++k) {
        const std::size_t index =
            c.input.layout == TensorLayout::kNhwc
                ? (static_cast<std::size_t>(y) * c.input.width + x) * 3 + k
                : (static_cast<std::size_t>(k) * c.input.height + y) * c.input.width + x;
        double value = ElementAt(data, c.spec.type, index);
        if (quantised) value = (value - c.spec.zero_point) * c.spec.scale;
        const double pixel = value * c.input.std[k] + c.input.mean[k];
        worst = std::max(worst, std::abs(pixel - ReferenceValue(c.input, view, x, y, k)));
      }
    }
  }
  // Of 255 levels. Blending keeps 7 bits of fraction; the rest is what the type itself can hold.
  double tolerance = 0.08;
  if (c.spec.type == DataType::kFloat16) tolerance = 0.25;
  if (c.spec.type == DataType::kBfloat16) tolerance = 1.2;
  if (c.spec.type == DataType::kUint8 || c.spec.type == DataType::kInt32) tolerance = 0.58;
  if (c.spec.type == DataType::kInt8) tolerance = 0.61;
  EXPECT_LE(worst, tolerance) << DataTypeName(c.spec.type) << " from " << view.width << "x"
                              << view.height << " format " << static_cast<int>(view.format)
                              << " to " << c.input.width << "x" << c.input.height;
}

constexpr PixelFormat kFormats[] = {PixelFormat::kI420, PixelFormat::kNv12, PixelFormat::kRgb24,
                                    PixelFormat::kBgr24, PixelFormat::kGray8};

class PreprocessTest : public testing::TestWithParam<const kernels::RowKernels*> {
 protected:
  Preprocessor Make(const Case& c) {
    auto made = Preprocessor::CreateWith(c.input, c.spec, *GetParam());
    EXPECT_TRUE(made.has_value()) << made.error().message();
    return *std::move(made);
  }
};

std::vector<const kernels::RowKernels*> AllKernels() {
  std::vector<const kernels::RowKernels*> all;
  for (const auto* const* k = kernels::UsableKernels(); *k != nullptr; ++k) all.push_back(*k);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kernels, PreprocessTest, testing::ValuesIn(AllKernels()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST_P(PreprocessTest, AgreesWithTheReferenceOnRandomPictures) {
  for (unsigned seed = 0; seed < 250; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const Case c = RandomCase(random);
    const bool large = Pick(random, 0, 9) == 0;
    Picture picture(kFormats[Pick(random, 0, 4)], Pick(random, 1, large ? 700 : 90),
                    Pick(random, 1, large ? 300 : 90), random, Pick(random, 0, 20));
    picture.view.matrix = Pick(random, 0, 1) == 0 ? ColorMatrix::kBt601 : ColorMatrix::kBt709;
    picture.view.full_range = Pick(random, 0, 1) == 0;
    Preprocessor preprocessor = Make(c);
    Check(preprocessor, c, picture.view);
    if (HasFailure()) return;
  }
}

TEST_P(PreprocessTest, TheGeometryMayChangeFromFrameToFrame) {
  Random random(7);
  Case c;
  c.input.width = 33;
  c.input.height = 21;
  c.input.resize = ResizeMode::kLetterbox;
  c.spec = SpecFor(c.input, DataType::kFloat32);
  Preprocessor preprocessor = Make(c);
  for (int i = 0; i < 40; ++i) {
    const Picture picture(kFormats[Pick(random, 0, 4)], Pick(random, 1, 200), Pick(random, 1, 200),
                          random, Pick(random, 0, 3));
    Check(preprocessor, c, picture.view);
    Check(preprocessor, c, picture.view);
  }
}

TEST_P(PreprocessTest, OnePixelFillsEverything) {
  Random random(3);
  Case c;
  c.input.width = 17;
  c.input.height = 5;
  c.spec = SpecFor(c.input, DataType::kFloat32);
  Preprocessor preprocessor = Make(c);
  for (const PixelFormat format : kFormats) {
    const Picture picture(format, 1, 1, random);
    Check(preprocessor, c, picture.view);
  }
}

TEST_P(PreprocessTest, BlackAndWhiteAreExact) {
  Random random(1);
  Case c;
  c.input.width = 40;
  c.input.height = 30;
  c.spec = SpecFor(c.input, DataType::kFloat32);
  Preprocessor preprocessor = Make(c);
  Picture picture(PixelFormat::kI420, 64, 48, random);
  std::vector<float> data(3UL * 40 * 30);
  const TensorView tensor = {DataType::kFloat32, c.spec.shape, data.data(), data.size() * 4};
  ImageTransform transform;
  std::ranges::fill(picture.pixels[1], 128);
  std::ranges::fill(picture.pixels[2], 128);
  for (const auto& [luma, expected] : {std::pair{235, 255.0F}, std::pair{16, 0.0F}}) {
    std::ranges::fill(picture.pixels[0], static_cast<std::uint8_t>(luma));
    ASSERT_TRUE(preprocessor.Run(picture.view, tensor, &transform).ok());
    for (const float v : data) ASSERT_NEAR(v, expected, 1e-3);
  }
}

TEST_P(PreprocessTest, AllocatesNothingOnceItKnowsTheGeometry) {
  Random random(5);
  for (const ResizeMode resize : {ResizeMode::kSquash, ResizeMode::kLetterbox}) {
    for (const DataType type : {DataType::kFloat32, DataType::kUint8, DataType::kFloat16}) {
      for (const PixelFormat format : kFormats) {
        Case c;
        c.input.width = 60;
        c.input.height = 40;
        c.input.resize = resize;
        c.spec = SpecFor(c.input, type);
        Preprocessor preprocessor = Make(c);
        const Picture picture(format, 129, 77, random);
        std::vector<std::byte> data(3UL * 60 * 40 * SizeOf(type));
        const TensorView tensor = {type, c.spec.shape, data.data(), data.size()};
        ImageTransform transform;
        ASSERT_TRUE(preprocessor.Run(picture.view, tensor, &transform).ok());
        const auto before = AllocationsOfThisThread();
        for (int i = 0; i < 3; ++i) {
          ASSERT_TRUE(preprocessor.Run(picture.view, tensor, &transform).ok());
        }
        EXPECT_EQ(AllocationsOfThisThread(), before);
      }
    }
  }
}

TEST(AllocationCounterTest, Counts) {
  const auto before = AllocationsOfThisThread();
  std::vector<int> v(1000);
  EXPECT_EQ(AllocationsOfThisThread(), before + 1) << v.size();
}

TEST_P(PreprocessTest, ReadsRowsUpwards) {
  Random random(9);
  Case c;
  c.input.width = 20;
  c.input.height = 10;
  c.spec = SpecFor(c.input, DataType::kFloat32);
  Preprocessor preprocessor = Make(c);
  Picture picture(PixelFormat::kRgb24, 31, 17, random);
  picture.view.planes[0] += picture.view.strides[0] * 16;
  picture.view.strides[0] = -picture.view.strides[0];
  Check(preprocessor, c, picture.view);
}

// No other 16-bit value is nearer, and of two equally near ones the even one is taken.
void CheckNearest(std::uint16_t got, double value, double (*decode)(std::uint16_t)) {
  const double error = std::abs(decode(got) - value);
  for (const int step : {-1, 1}) {
    const auto next = static_cast<std::uint16_t>(got + step);
    if (((next ^ got) & 0x8000) != 0) continue;  // past zero
    const double other = std::abs(decode(next) - value);
    ASSERT_TRUE(error < other || (error == other && (got & 1) == 0))
        << value << " became " << decode(got) << " and not " << decode(next);
  }
}

TEST_P(PreprocessTest, HalvesAreTheNearest) {
  Random random(6);
  std::vector<float> values = {0.0F,           -0.0F,          1.0F,     65504.0F,
                               65519.9F,       6e-8F,          2.9e-8F,  6.1e-5F,
                               1.00048828125F, 1.00146484375F, -2049.0F, -2051.0F};
  while (values.size() < 4000) {
    const float magnitude =
        std::ldexp(1.0F + static_cast<float>(random() % 65536) / 65536.0F, Pick(random, -26, 14));
    values.push_back(Pick(random, 0, 1) == 0 ? magnitude : -magnitude);
  }
  std::vector<std::uint16_t> halves(values.size());
  const int n = static_cast<int>(values.size());
  GetParam()->to_float16(values.data(), n, halves.data());
  for (int i = 0; i < n; ++i) CheckNearest(halves[i], values[i], HalfToDouble);
  GetParam()->to_bfloat16(values.data(), n, halves.data());
  for (int i = 0; i < n; ++i) CheckNearest(halves[i], values[i], BfloatToDouble);
}

TEST(ImageTransformTest, CarriesBoxesBackThroughTheLetterbox) {
  Random random(2);
  ModelInput input;
  input.width = 640;
  input.height = 640;
  input.resize = ResizeMode::kLetterbox;
  const TensorSpec spec = SpecFor(input, DataType::kUint8);
  auto preprocessor = Preprocessor::Create(input, spec);
  ASSERT_TRUE(preprocessor.has_value());
  const Picture picture(PixelFormat::kI420, 768, 576, random);
  std::vector<std::byte> data(3UL * 640 * 640);
  ImageTransform transform;
  ASSERT_TRUE(
      preprocessor
          ->Run(picture.view, {DataType::kUint8, spec.shape, data.data(), data.size()}, &transform)
          .ok());
  // 768x576 becomes 640x480 with margins of 80 above and below.
  EXPECT_EQ(transform.offset_x, 0);
  EXPECT_EQ(transform.offset_y, 80);
  const Box box = transform.ToSource({64, 80, 320, 320});
  EXPECT_FLOAT_EQ(box.x1, 76.8F);
  EXPECT_FLOAT_EQ(box.y1, 0);
  EXPECT_FLOAT_EQ(box.x2, 384);
  EXPECT_FLOAT_EQ(box.y2, 288);
  const Box outside = transform.ToSource({-100, -100, 1000, 1000});
  EXPECT_EQ(outside.x1, 0);
  EXPECT_EQ(outside.y1, 0);
  EXPECT_EQ(outside.x2, 768);
  EXPECT_EQ(outside.y2, 576);
  EXPECT_EQ(transform.ToSource({0, 0, 640, 79}).area(), 0) << "a box in the margin";
}

TEST(PreprocessorTest, RefusesPicturesThatCannotBe) {
  Random random(4);
  ModelInput input;
  input.width = 8;
  input.height = 8;
  const TensorSpec spec = SpecFor(input, DataType::kFloat32);
  auto preprocessor = Preprocessor::Create(input, spec);
  ASSERT_TRUE(preprocessor.has_value());
  std::vector<float> data(192, 5.0F);
  const TensorView tensor = {DataType::kFloat32, spec.shape, data.data(), 768};
  const Picture picture(PixelFormat::kI420, 10, 10, random);
  ImageTransform transform;
  const auto message = [&](const std::function<void(ImageView&)>& spoil) {
    ImageView view = picture.view;
    spoil(view);
    const Status status = preprocessor->Run(view, tensor, &transform);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    return status.message();
  };
  EXPECT_NE(message([](ImageView& v) { v.width = 0; }).find("0x10"), std::string::npos);
  EXPECT_NE(message([](ImageView& v) { v.height = 20000; }).find("16384"), std::string::npos);
  EXPECT_NE(message([](ImageView& v) { v.planes[2] = nullptr; }).find("plane 2"),
            std::string::npos);
  EXPECT_NE(message([](ImageView& v) { v.strides[1] = 4; }).find("at least 5"), std::string::npos);
  TensorView small = tensor;
  small.bytes = 764;
  EXPECT_FALSE(preprocessor->Run(picture.view, small, &transform).ok());
  EXPECT_EQ(data, std::vector<float>(192, 5.0F)) << "a refused picture leaves the tensor alone";
}

}  // namespace
}  // namespace selvedge
