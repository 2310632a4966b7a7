#include "contract/engine_models.h"

#include <cstdlib>
#include <iostream>

#include "base/file.h"
#include "contract/onnx_writer.h"

namespace selvedge {
namespace {

std::string OnnxModel(ContractModel model) {
  OnnxWriter writer;
  switch (model) {
    case ContractModel::kAdd:
    case ContractModel::kUnfixed: {
      const std::int64_t rows = model == ContractModel::kAdd ? 1 : -1;
      writer.AddInput("a", {rows, 4});
      writer.AddInput("b", {rows, 4});
      writer.AddNode("Add", {"a", "b"}, {"sum"});
      writer.AddOutput("sum", {rows, 4});
      break;
    }
    case ContractModel::kMatMul:
      writer.AddInput("x", {1, 4});
      writer.AddFloats("w", {4, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
      writer.AddNode("MatMul", {"x", "w"}, {"y"});
      writer.AddOutput("y", {1, 3});
      break;
    case ContractModel::kUnknown:
      writer.AddInput("a", {1, 4});
      writer.AddNode("Nobody", {"a"}, {"b"});
      writer.AddOutput("b", {1, 4});
      break;
  }
  return writer.Finish();
}

std::string FakeText(ContractModel model) {
  const std::string head = "selvedge-fake-model 1\n";
  switch (model) {
    case ContractModel::kAdd:
      return head +
             "input a float32 [1,4]\ninput b float32 [1,4]\n"
             "output sum float32 [1,4] add a b\n";
    case ContractModel::kUnfixed:
      return head +
             "input a float32 [?,4]\ninput b float32 [?,4]\n"
             "output sum float32 [?,4] add a b\n";
    case ContractModel::kMatMul:
      return head +
             "input x float32 [1,4]\noutput y float32 [1,3] rows\nrows 0 y 60 70 80\n"
             "repeat\n";
    case ContractModel::kUnknown:
      return head + "input a float32 [1,4]\noutput b float32 [1,4] nobody a\n";
  }
  return {};
}

std::string TfLiteFile(ContractModel model) {
  const char* name = "add";
  if (model == ContractModel::kMatMul) name = "matmul";
  if (model == ContractModel::kUnfixed) name = "unfixed";
  if (model == ContractModel::kUnknown) name = "unknown";
  const std::string path =
      std::string(SELVEDGE_SOURCE_DIR) + "/test/data/tflite/" + name + ".tflite";
  Result<std::string> bytes = ReadFile(path, 1 << 20);
  if (!bytes) {
    std::cerr << bytes.error().ToString() << '\n';
    std::abort();
  }
  return *std::move(bytes);
}

}  // namespace

void PrintTo(const ContractCase& contract_case, std::ostream* out) {
  *out << contract_case.engine << " reading " << contract_case.format;
}

std::string ModelBytes(ContractModel model, const std::string& format) {
  if (format == "onnx") return OnnxModel(model);
  if (format == "tflite") return TfLiteFile(model);
  return FakeText(model);
}

}  // namespace selvedge
