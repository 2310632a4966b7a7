#pragma once

// The parsed form of a fake model; the format is described in fake_backend.h. Pure.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "core/tensor.h"

namespace selvedge {

enum class FakeFunction { kFill, kCopy, kAdd, kSum, kRows };

struct FakeOutput {
  TensorSpec spec;
  FakeFunction function = FakeFunction::kFill;
  double value = 0;                                   // kFill
  std::vector<std::size_t> operands;                  // indices of inputs
  std::map<std::int64_t, std::vector<float>> script;  // kRows
};

struct FakeModel {
  std::vector<TensorSpec> inputs;
  std::vector<FakeOutput> outputs;
  int key_input = -1;  // index of the input whose first element is the key; -1: the number of Runs
  bool repeat = false;
  std::int64_t last_key = -1;  // of the script
  std::map<std::int64_t, std::string> failures;
  Nanos sleep = 0;
  Nanos busy = 0;

  static Result<FakeModel> Parse(std::string_view text);
};

}  // namespace selvedge
