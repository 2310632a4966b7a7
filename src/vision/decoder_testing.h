#pragma once

// What the decoders' tests share: output tensors with their own memory, and cards. For tests only.

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/model_card.h"
#include "core/tensor.h"
#include "vision/preprocess.h"

namespace selvedge {

// Outputs of a model that was never run.
class FakeOutputs {
 public:
  template <typename T>
  void Add(std::string name, Shape shape, DataType type, const std::vector<T>& values,
           float scale = 0, int zero_point = 0) {
    TensorSpec spec;
    spec.name = std::move(name);
    spec.type = type;
    spec.shape = shape;
    spec.scale = scale;
    spec.zero_point = zero_point;
    specs.push_back(spec);
    std::vector<std::byte> bytes(values.size() * sizeof(T));
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    memory_.push_back(std::move(bytes));
    views.push_back({type, shape, memory_.back().data(), memory_.back().size()});
  }
  void Add(std::string name, Shape shape, const std::vector<float>& values) {
    Add(std::move(name), shape, DataType::kFloat32, values);
  }
  float* Floats(std::size_t index) { return reinterpret_cast<float*>(memory_[index].data()); }

  std::vector<TensorSpec> specs;
  std::vector<TensorView> views;

 private:
  std::vector<std::vector<std::byte>> memory_;
};

// Source pixels are model pixels.
inline ImageTransform Identity(int width, int height) {
  ImageTransform t;
  t.source_width = t.input_width = width;
  t.source_height = t.input_height = height;
  return t;
}

}  // namespace selvedge
