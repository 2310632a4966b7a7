#include "engine/engine.h"

#include <cstring>
#include <string>

namespace selvedge {

std::string EngineBackend::Identity() {
  const Result<std::string> version = Probe();
  return version ? *version : std::string();
}

Status CopyInput(const Execution& execution, const EngineInfo& info, std::size_t index,
                 const TensorView& values) {
  if (index >= execution.inputs().size() || index >= info.inputs.size()) {
    return InvalidArgumentError("input " + std::to_string(index) +
                                " does not exist: the model has " +
                                std::to_string(info.inputs.size()));
  }
  const TensorView& input = execution.inputs()[index];
  const auto describe = [](const TensorView& view) {
    return std::string(DataTypeName(view.type)) + ' ' + view.shape.ToString();
  };
  if (values.type != input.type || values.shape != input.shape) {
    return InvalidArgumentError("input \"" + info.inputs[index].name + "\" was given " +
                                describe(values) + " but expects " + describe(input));
  }
  if (values.bytes != input.bytes) {
    return InvalidArgumentError("input \"" + info.inputs[index].name + "\" was given " +
                                std::to_string(values.bytes) + " bytes but " + describe(input) +
                                " has " + std::to_string(input.bytes));
  }
  if (input.bytes > 0) std::memcpy(input.data, values.data, input.bytes);
  return OkStatus();
}

}  // namespace selvedge
