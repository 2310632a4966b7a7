#pragma once

// GraphRun: any values of a graph, as a real engine computes them.
//
//   auto run = GraphRun::Load(backend, &model, {"conv1", "relu1"});
//   ... write into run->inputs()[0] ..., run->Run(), read run->value(1)
//
// The wanted values become further outputs of what the engine loads; the model itself is as before
// when Load returns. Belongs to one caller at a time. Tensors stay valid until the next Run.
// Memory: what the engine needs, and every wanted value at once. Failure: the engine's own words
// from Load; InvalidArgument for a value that no node makes.

#include <onnx/onnx-ml.pb.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/engine.h"

namespace selvedge {

class GraphRun {
 public:
  static Result<GraphRun> Load(EngineBackend* backend, onnx::ModelProto* model,
                               const std::vector<std::string>& values);

  std::span<const TensorView> inputs() const { return execution_->inputs(); }
  const EngineInfo& info() const { return engine_->Describe(); }
  Status Run() { return execution_->Run(); }
  // In the order given to Load.
  const TensorView& value(std::size_t i) const { return execution_->outputs()[positions_[i]]; }

 private:
  GraphRun() = default;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Execution> execution_;  // goes before its engine
  std::vector<std::size_t> positions_;    // among the engine's outputs
};

// Puts zeros into every input and runs once: for what does not depend on the input's content.
Status RunOnZeros(GraphRun* run);

}  // namespace selvedge
