#include "optimizer/import.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "optimizer/graph.h"
#include "optimizer/graph_testing.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

Result<onnx::ModelProto> Import(const onnx::ModelProto& model, const ImportOptions& options = {}) {
  const std::string bytes = Serialize(model);
  return ImportOnnx(std::as_bytes(std::span(bytes)), options);
}

// x -> Relu -> a -> Neg -> y
onnx::ModelProto Chain() {
  GraphMaker maker;
  maker.Input("x", {1, 4});
  maker.Node("Relu", {"x"}, "a");
  maker.Node("Neg", {"a"}, "y");
  maker.Output("y");
  return maker.model();
}

void ExpectError(const onnx::ModelProto& model, StatusCode code, const std::string& words) {
  const Result<onnx::ModelProto> imported = Import(model);
  ASSERT_FALSE(imported.has_value());
  EXPECT_EQ(imported.error().code(), code) << imported.error().message();
  EXPECT_THAT(imported.error().message(), HasSubstr(words));
}

TEST(Import, TakesASoundModelAsItIs) {
  const onnx::ModelProto model = Chain();
  const auto imported = Import(model);
  ASSERT_TRUE(imported.has_value()) << imported.error().message();
  EXPECT_EQ(Serialize(*imported), Serialize(model));
}

TEST(Import, SortsNodesThatComeInAnotherOrder) {
  onnx::ModelProto model = Chain();
  model.mutable_graph()->mutable_node()->SwapElements(0, 1);
  const auto imported = Import(model);
  ASSERT_TRUE(imported.has_value()) << imported.error().message();
  EXPECT_EQ(Serialize(*imported), Serialize(Chain()));
}

TEST(Import, RefusesACycle) {
  onnx::ModelProto model = Chain();
  model.mutable_graph()->mutable_node(0)->set_input(0, "y");
  ExpectError(model, StatusCode::kInvalidArgument, "cycle");
}

TEST(Import, RefusesValuesMissingOrMadeTwice) {
  onnx::ModelProto model = Chain();
  model.mutable_graph()->mutable_node(1)->set_input(0, "nowhere");
  ExpectError(model, StatusCode::kInvalidArgument,
              "the node \"Neg\" that makes \"y\" reads \"nowhere\"");
  model = Chain();
  model.mutable_graph()->mutable_node(1)->set_output(0, "a");
  ExpectError(model, StatusCode::kInvalidArgument, "\"a\" is made twice");
}

TEST(Import, RefusesADisconnectedGraph) {
  onnx::ModelProto model = Chain();
  *model.mutable_graph()->add_initializer() =
      MakeFloats("c", std::vector<std::int64_t>{1}, std::vector<float>{2});
  model.mutable_graph()->mutable_node(1)->set_input(0, "c");
  ExpectError(model, StatusCode::kInvalidArgument, "depends on no input");
  model = Chain();
  model.mutable_graph()->mutable_output(0)->set_name("z");
  ExpectError(model, StatusCode::kInvalidArgument, "nothing in the graph makes the output \"z\"");
  model = Chain();
  model.mutable_graph()->clear_output();
  ExpectError(model, StatusCode::kInvalidArgument, "no output");
}

TEST(Import, RefusesWeightsThatAreNotNumbers) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    onnx::ModelProto model = Chain();
    *model.mutable_graph()->add_initializer() =
        MakeFloats("w", std::vector<std::int64_t>{3}, std::vector<float>{1, bad, 2});
    ExpectError(model, StatusCode::kInvalidArgument, "at element 1");
  }
}

TEST(Import, AnInfiniteBoundIsNoWeight) {
  onnx::ModelProto model = Chain();
  *model.mutable_graph()->add_initializer() =
      MakeFloats("top", {}, std::vector<float>{std::numeric_limits<float>::infinity()});
  EXPECT_TRUE(Import(model).has_value());
}

TEST(Import, RefusesExternalDataAndConstantsOfTheWrongSize) {
  onnx::ModelProto model = Chain();
  onnx::TensorProto* weights = model.mutable_graph()->add_initializer();
  *weights = MakeFloats("w", std::vector<std::int64_t>{2}, std::vector<float>{1, 2});
  weights->set_data_location(onnx::TensorProto::EXTERNAL);
  ExpectError(model, StatusCode::kUnimplemented, "external data");
  weights->clear_data_location();
  weights->set_dims(0, 3);
  ExpectError(model, StatusCode::kInvalidArgument, "8 bytes where 12 belong");
  weights->set_dims(0, -1);
  ExpectError(model, StatusCode::kInvalidArgument, "impossible dimensions");
  weights->set_dims(0, std::int64_t{1} << 40);
  ExpectError(model, StatusCode::kInvalidArgument, "impossible dimensions");
}

TEST(Import, OpenSizesMustBeGiven) {
  GraphMaker maker;
  maker.Input("x", {-1, 4});
  maker.Node("Relu", {"x"}, "y");
  maker.Output("y");
  ExpectError(maker.model(), StatusCode::kInvalidArgument, "--shape");
  const auto fixed = Import(maker.model(), {.input_shapes = {{"x", {2, 4}}}});
  ASSERT_TRUE(fixed.has_value()) << fixed.error().message();
  EXPECT_EQ(fixed->graph().input(0).type().tensor_type().shape().dim(0).dim_value(), 2);
  const auto contradicts = Import(maker.model(), {.input_shapes = {{"x", {2, 5}}}});
  ASSERT_FALSE(contradicts.has_value());
  EXPECT_THAT(contradicts.error().message(), HasSubstr("contradict"));
  const auto unknown = Import(maker.model(), {.input_shapes = {{"z", {1}}}});
  ASSERT_FALSE(unknown.has_value());
  EXPECT_THAT(unknown.error().message(), HasSubstr("no input of the model"));
}

TEST(Import, RefusesWhatIsNoModel) {
  for (const std::string& bytes : {std::string(), std::string("not a model at all"),
                                   std::string(100, '\0'), Serialize(Chain()).substr(0, 30)}) {
    const auto imported = ImportOnnx(std::as_bytes(std::span(bytes)));
    ASSERT_FALSE(imported.has_value());
    EXPECT_EQ(imported.error().code(), StatusCode::kInvalidArgument);
  }
  const std::string bytes = Serialize(Chain());
  const auto large = ImportOnnx(std::as_bytes(std::span(bytes)), {.max_bytes = 10});
  ASSERT_FALSE(large.has_value());
  EXPECT_EQ(large.error().code(), StatusCode::kResourceExhausted);
}

TEST(Import, OpsetsNineToTwentySix) {
  for (const int opset : {9, 13, 17, 22, 26}) {
    onnx::ModelProto model = Chain();
    model.mutable_opset_import(0)->set_version(opset);
    EXPECT_TRUE(Import(model).has_value()) << opset;
  }
  for (const int opset : {0, 8, 27}) {
    onnx::ModelProto model = Chain();
    model.mutable_opset_import(0)->set_version(opset);
    ExpectError(model, StatusCode::kUnimplemented, "opset");
  }
}

TEST(Import, FilesAreNamedInMessages) {
  const auto missing = LoadOnnx("/nonexistent/model.onnx");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("/nonexistent/model.onnx"));
  const auto shipped =
      LoadOnnx(SELVEDGE_SOURCE_DIR "/assets/models/person-ssdlite-mobilenetv2.onnx");
  ASSERT_TRUE(shipped.has_value()) << shipped.error().message();
  EXPECT_EQ(shipped->graph().node_size(), 242);
}

}  // namespace
}  // namespace selvedge
