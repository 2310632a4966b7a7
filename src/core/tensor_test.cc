#include "core/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace selvedge {
namespace {

TEST(DataType, SizesAndNames) {
  const std::tuple<DataType, std::size_t, std::string_view> types[] = {
      {DataType::kFloat32, 4, "float32"},   {DataType::kFloat16, 2, "float16"},
      {DataType::kBfloat16, 2, "bfloat16"}, {DataType::kUint8, 1, "uint8"},
      {DataType::kInt8, 1, "int8"},         {DataType::kInt32, 4, "int32"},
      {DataType::kInt64, 8, "int64"},       {DataType::kBool, 1, "bool"}};
  for (const auto& [type, size, name] : types) {
    EXPECT_EQ(SizeOf(type), size) << name;
    EXPECT_EQ(DataTypeName(type), name);
  }
}

TEST(Shape, KnowsItsDimensions) {
  const Shape shape{1, 300, 300, 3};
  EXPECT_EQ(shape.rank(), 4U);
  EXPECT_EQ(shape[1], 300);
  EXPECT_TRUE(shape.IsFixed());
  EXPECT_EQ(shape.ElementCount(), 270'000);
  EXPECT_EQ(shape.ToString(), "[1,300,300,3]");
}

TEST(Shape, AScalarHasOneElement) {
  EXPECT_EQ(Shape().ElementCount(), 1);
  EXPECT_EQ(Shape().ToString(), "[]");
  EXPECT_TRUE(Shape().IsFixed());
}

TEST(Shape, UnfixedDimensions) {
  const Shape shape{-1, 3};
  EXPECT_FALSE(shape.IsFixed());
  EXPECT_EQ(shape.ElementCount(), std::nullopt);
  EXPECT_EQ(shape.ToString(), "[?,3]");
}

TEST(Shape, CountsDoNotOverflow) {
  const std::int64_t big = std::int64_t{1} << 40;
  EXPECT_EQ((Shape{big, big}).ElementCount(), std::nullopt);
  EXPECT_EQ((Shape{0, 5}).ElementCount(), 0);
  EXPECT_EQ((Shape{big, 1 << 20}).ElementCount(), std::int64_t{1} << 60);
}

TEST(Shape, MatchesWhereBothAreFixed) {
  EXPECT_TRUE((Shape{-1, 3}).Matches(Shape{7, 3}));
  EXPECT_TRUE((Shape{7, 3}).Matches(Shape{-1, -1}));
  EXPECT_FALSE((Shape{-1, 3}).Matches(Shape{7, 4}));
  EXPECT_FALSE((Shape{1, 3}).Matches(Shape{1, 3, 1}));
  EXPECT_TRUE(Shape().Matches(Shape()));
}

TEST(Shape, Equality) {
  EXPECT_EQ((Shape{1, -1}), (Shape{1, -1}));
  EXPECT_FALSE((Shape{1, -1}) == (Shape{1, 2}));
  EXPECT_FALSE((Shape{1}) == (Shape{1, 1}));
}

TEST(Shape, FromChecksWhatEnginesSay) {
  const std::vector<std::int64_t> eight(8, 2);
  EXPECT_EQ(Shape::From(eight)->ElementCount(), 256);
  const std::vector<std::int64_t> nine(9, 2);
  EXPECT_EQ(Shape::From(nine).error().code(), StatusCode::kInvalidArgument);
  const std::vector<std::int64_t> negative = {1, -2};
  EXPECT_EQ(Shape::From(negative).error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Shape::From({})->rank(), 0U);
}

TEST(TensorSpec, ReadsLikeASentence) {
  const TensorSpec spec{.name = "images", .type = DataType::kUint8, .shape = {1, 3, -1}};
  EXPECT_EQ(spec.ToString(), "images uint8 [1,3,?]");
}

TEST(TensorView, SpansItsElements) {
  std::vector<float> values = {1, 2, 3};
  const TensorView view{.shape = {3}, .data = values.data(), .bytes = 12};
  ASSERT_EQ(view.As<float>().size(), 3U);
  view.As<float>()[1] = 7;
  EXPECT_THAT(values, testing::ElementsAre(1, 7, 3));
}

}  // namespace
}  // namespace selvedge
