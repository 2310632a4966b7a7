#include "engine/backends/backends.h"

#include <algorithm>

#include "engine/fake/fake_backend.h"
#include "engine/onnxruntime/onnx_backend.h"
#include "engine/openvino/openvino_backend.h"
#include "engine/tflite/tflite_backend.h"

namespace selvedge {

const std::vector<EngineBackend*>& AllBackends() {
  // Never destroyed: engines keep threads that must not outlive what they use.
  static const auto& backends =
      *new std::vector<EngineBackend*>{MakeOnnxBackend().release(), MakeOpenVinoBackend().release(),
                                       MakeTfLiteBackend().release(), MakeFakeBackend().release()};
  return backends;
}

EngineBackend* FindBackend(std::string_view name) {
  const auto found = std::ranges::find(AllBackends(), name, &EngineBackend::name);
  return found == AllBackends().end() ? nullptr : *found;
}

}  // namespace selvedge
