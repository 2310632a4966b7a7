#pragma once

// The engines that this build knows. Which of them are on this machine, Probe tells.
//
// The backends live as long as the process and may be used from any thread.

#include <string_view>
#include <vector>

#include "engine/engine.h"

namespace selvedge {

// onnxruntime, openvino, tflite, fake: in the order in which equals are preferred.
const std::vector<EngineBackend*>& AllBackends();
// nullptr where no engine has this name.
EngineBackend* FindBackend(std::string_view name);

}  // namespace selvedge
