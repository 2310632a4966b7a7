#pragma once

// TfLiteBackend: models in TensorFlow Lite form (.tflite) run by TensorFlow Lite with XNNPACK.
//
// Devices: "cpu"; "edgetpu" (Coral) where libedgetpu.so.1 is found, through the external delegate
// interface. An Execution is an interpreter; they share the model's bytes and XNNPACK's packed
// weights. See engine.h for threads, memory and failure.

#include <memory>

#include "engine/engine.h"

namespace selvedge {

std::unique_ptr<EngineBackend> MakeTfLiteBackend();

}  // namespace selvedge
