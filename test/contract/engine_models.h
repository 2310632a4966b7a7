#pragma once

// The models of the engine contract suite, the same functions in every format an engine may read.

#include <memory>
#include <ostream>
#include <span>
#include <string>

#include "engine/engine.h"

namespace selvedge {

enum class ContractModel {
  kAdd,      // float32 a [1,4], b [1,4] -> sum [1,4]
  kMatMul,   // float32 x [1,4] -> y [1,3] = x W, W[i][j] = 3 i + j
  kUnfixed,  // kAdd with the shapes [?,4]
  kUnknown,  // has an operator that no engine knows
};

// One engine with one of the formats that it reads.
struct ContractCase {
  const char* engine;
  const char* format;  // "onnx", "tflite", "fake"
};
void PrintTo(const ContractCase& contract_case, std::ostream* out);

// The model's bytes; the fake engine has no MatMul, its kMatMul gives 60, 70, 80 for the suite's
// input.
std::string ModelBytes(ContractModel model, const std::string& format);

inline std::span<const std::byte> AsBytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace selvedge
