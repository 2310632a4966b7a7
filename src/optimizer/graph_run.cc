#include "optimizer/graph_run.h"

#include <algorithm>
#include <cstring>

#include "optimizer/graph.h"
#include "optimizer/tensor_data.h"

namespace selvedge {

Result<GraphRun> GraphRun::Load(EngineBackend* backend, onnx::ModelProto* model,
                                const std::vector<std::string>& values) {
  onnx::GraphProto* graph = model->mutable_graph();
  const GraphIndex index(*graph);
  const int own_outputs = graph->output_size();
  for (const std::string& value : values) {
    if (index.ProducerOf(value) < 0) {
      return Err(InvalidArgumentError("no node makes the value " + Quoted(value)));
    }
  }
  for (const std::string& value : values) {
    if (!index.IsOutput(value)) graph->add_output()->set_name(value);
  }
  std::string bytes = Serialize(*model);
  graph->mutable_output()->DeleteSubrange(own_outputs, graph->output_size() - own_outputs);

  GraphRun run;
  SELVEDGE_ASSIGN_OR_RETURN(run.engine_, backend->Load(std::as_bytes(std::span(bytes)), {}));
  bytes = std::string();  // as large as the model
  SELVEDGE_ASSIGN_OR_RETURN(run.execution_, run.engine_->NewExecution());
  const std::vector<TensorSpec>& outputs = run.engine_->Describe().outputs;
  for (const std::string& value : values) {
    const auto found = std::ranges::find(outputs, value, &TensorSpec::name);
    if (found == outputs.end()) {
      return Err(InternalError("the engine does not give the value " + Quoted(value)));
    }
    run.positions_.push_back(static_cast<std::size_t>(found - outputs.begin()));
  }
  return run;
}

Status RunOnZeros(GraphRun* run) {
  for (const TensorView& input : run->inputs()) std::memset(input.data, 0, input.bytes);
  return run->Run();
}

}  // namespace selvedge
