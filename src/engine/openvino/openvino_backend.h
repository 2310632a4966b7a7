#pragma once

// OpenVinoBackend: models in ONNX and TensorFlow Lite form (.onnx, .tflite) run by OpenVINO.
//
// Devices: "cpu", and "gpu" and "npu" where their plugins lie beside the library and find hardware.
// Each caller is one of OpenVINO's streams with `threads` of its threads; threads are not pinned,
// so that other stages of a pipeline can share the processors. Precision is f32 unless the options
// allow less, because OpenVINO would otherwise silently compute in bf16 where the processor has it.
// See engine.h for threads, memory and failure.

#include <memory>

#include "engine/engine.h"

namespace selvedge {

std::unique_ptr<EngineBackend> MakeOpenVinoBackend();

}  // namespace selvedge
