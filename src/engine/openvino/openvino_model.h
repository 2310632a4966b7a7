#pragma once

// A model compiled by OpenVINO behind an Engine, and its Executions. Internal to engine/openvino.

#include <cstddef>
#include <memory>
#include <span>

#include "engine/engine.h"
#include "engine/openvino/openvino_runtime.h"

namespace selvedge {

// Shared by the Engine and its Executions, so that these may outlive it. Immutable once loaded.
struct OpenVinoModel {
  explicit OpenVinoModel(const OpenVinoRuntime& r) : runtime(r), compiled(r.api) {}

  const OpenVinoRuntime& runtime;  // lives as long as the process
  OvOwnedCompiled compiled;
  EngineInfo info;
};

Result<std::unique_ptr<Engine>> LoadOpenVinoModel(const OpenVinoRuntime& runtime,
                                                  std::span<const std::byte> model,
                                                  const EngineOptions& options);
std::unique_ptr<Engine> MakeOpenVinoEngine(std::shared_ptr<const OpenVinoModel> model);

}  // namespace selvedge
