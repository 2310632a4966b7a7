#pragma once

// MeteredEngine: another engine with the processor time of its callers' threads counted: what a
// benchmark takes off the whole to see what we add. Meaningful with one thread per inference (then
// the engine has no others). Two system calls per run, so only on request.

#include <atomic>
#include <memory>

#include "base/clock.h"
#include "engine/engine.h"

namespace selvedge {

class MeteredEngine : public Engine {
 public:
  explicit MeteredEngine(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}
  const EngineInfo& Describe() const override { return engine_->Describe(); }
  Result<std::unique_ptr<Execution>> NewExecution() override;

  // Since the last Reset, all executions together.
  Nanos cpu_time() const { return cpu_time_.load(); }
  void Reset() { cpu_time_.store(0); }

 private:
  class MeteredExecution;
  std::unique_ptr<Engine> engine_;
  std::atomic<Nanos> cpu_time_{0};
};

}  // namespace selvedge
