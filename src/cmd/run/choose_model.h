#pragma once

// Which engine runs which variant with how many threads: as the pipeline file says, or as measured
// on this machine.

#include <atomic>
#include <memory>
#include <string>

#include "base/status.h"
#include "device/pipeline/pipeline_config.h"
#include "engine/engine.h"

namespace selvedge {

struct ModelChoiceFlags {
  bool retune = false;                      // measure in any case
  bool quiet = false;                       // no progress on stderr
  const std::atomic<bool>* stop = nullptr;  // ends measuring with Cancelled
};

struct LoadedModel {
  std::unique_ptr<Engine> engine;
  std::string variant;
  std::string digest;  // "sha256:…" of the variant's file
  int workers = 1;
  std::string reason;  // why this one, one sentence
  std::string table;   // what all candidates measured; empty where nothing was left to choose
};

// Measures first where the file leaves something open and this machine has not measured it yet (at
// most `model.tune_time`, in child processes); then loads. Errors name the model's file.
Result<LoadedModel> ChooseAndLoad(const PipelineConfig& config, const ModelChoiceFlags& flags);

}  // namespace selvedge
