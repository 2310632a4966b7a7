#pragma once

// OnnxBackend: models in ONNX form (.onnx, .ort) run by ONNX Runtime.
//
// Devices: "cpu"; "cuda" and "tensorrt" where the library found was built with them. One session is
// shared by all Executions of an Engine; with one thread a Run stays on its caller's thread.
// Threads never spin. See engine.h for threads, memory and failure.

#include <memory>

#include "engine/engine.h"

namespace selvedge {

std::unique_ptr<EngineBackend> MakeOnnxBackend();

}  // namespace selvedge
