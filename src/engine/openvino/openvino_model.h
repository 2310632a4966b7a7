#pragma once

// A model compiled by OpenVINO behind an Engine, and its Executions. Internal to engine/openvino.

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "base/file.h"
#include "engine/engine.h"
#include "engine/openvino/openvino_runtime.h"

namespace selvedge {

// Shared by the Engine and its Executions, so that these may outlive it. Immutable once loaded.
struct OpenVinoModel {
  explicit OpenVinoModel(const OpenVinoRuntime& r) : runtime(r), compiled(r.api) {}

  const OpenVinoRuntime& runtime;  // lives as long as the process
  std::optional<MappedFile>
      kept;  // where the weights lie, if it was compiled before; outlives `compiled`
  OvOwnedCompiled compiled;
  EngineInfo info;
};

Result<std::unique_ptr<Engine>> LoadOpenVinoModel(const OpenVinoRuntime& runtime,
                                                  std::span<const std::byte> model,
                                                  const EngineOptions& options);
std::unique_ptr<Engine> MakeOpenVinoEngine(std::shared_ptr<const OpenVinoModel> model);

}  // namespace selvedge
