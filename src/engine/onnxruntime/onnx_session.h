#pragma once

// The ONNX Runtime session behind an Engine, and its Executions. Internal to engine/onnxruntime.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/onnxruntime/onnx_runtime.h"

namespace selvedge {

// A session and what its Executions need to know of it; shared, so that an Execution may outlive
// its Engine. Immutable once loaded: ONNX Runtime allows concurrent Run calls on one session.
struct OnnxSession {
  explicit OnnxSession(const OnnxRuntime& r) : runtime(r), session(r.api) {}

  const OnnxRuntime& runtime;  // lives as long as the process
  OrtOwnedSession session;
  EngineInfo info;
  std::vector<const char*> input_names;   // into info
  std::vector<const char*> output_names;  // into info
};

Result<std::unique_ptr<Engine>> LoadOnnxSession(const OnnxRuntime& runtime,
                                                std::span<const std::byte> model,
                                                const EngineOptions& options);
std::unique_ptr<Engine> MakeOnnxEngine(std::shared_ptr<const OnnxSession> session);

}  // namespace selvedge
