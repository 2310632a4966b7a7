#include "optimizer/calibrate.h"

#include <algorithm>

#include "optimizer/graph.h"
#include "optimizer/graph_run.h"
#include "optimizer/tensor_data.h"

namespace selvedge {
namespace {

struct Slice {
  std::vector<std::string> made;    // by nodes
  std::vector<std::string> inputs;  // of the model
};

Status Observe(const TensorView& view, const std::string& name, Observation* observation) {
  if (view.type != DataType::kFloat32) {
    return InvalidArgumentError("the value " + Quoted(name) +
                                " is not float32 and cannot be calibrated");
  }
  const std::span<const float> values = view.As<float>();
  observation->histogram.Add(values);
  if (view.shape.rank() < 2) return OkStatus();
  const auto channels = static_cast<std::size_t>(view.shape[1]);
  const auto pictures = static_cast<std::size_t>(std::max<std::int64_t>(view.shape[0], 1));
  if (channels > 0) {
    observation->means.Add(values, channels, values.size() / (pictures * channels));
  }
  return OkStatus();
}

// Values in as many slices as the budget asks for, by the sizes that the engine tells beforehand.
std::vector<Slice> Split(const GraphRun& all, const std::vector<std::string>& made,
                         const std::vector<std::string>& inputs, std::size_t budget) {
  std::vector<Slice> slices(1);
  slices[0].inputs = inputs;
  std::size_t used = 0;
  for (const std::string& name : made) {
    std::size_t bytes = 0;
    for (const TensorSpec& spec : all.info().outputs) {
      if (spec.name != name) continue;
      bytes = static_cast<std::size_t>(spec.shape.ElementCount().value_or(0)) * SizeOf(spec.type);
    }
    if (!slices.back().made.empty() && used + bytes > budget) {
      slices.emplace_back();
      used = 0;
    }
    slices.back().made.push_back(name);
    used += bytes;
  }
  return slices;
}

Status ObserveSlice(const Slice& slice, GraphRun* run, CalibrationFeed* feed,
                    Calibration* calibration) {
  SELVEDGE_RETURN_IF_ERROR(feed->Rewind());
  std::int64_t pictures = 0;
  while (true) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const bool more, feed->Next(run->inputs()));
    if (!more) break;
    ++pictures;
    for (const std::string& name : slice.inputs) {
      const auto& specs = run->info().inputs;
      const auto found = std::ranges::find(specs, name, &TensorSpec::name);
      if (found == specs.end()) {
        return InvalidArgumentError("the model has no value " + Quoted(name));
      }
      SELVEDGE_RETURN_IF_ERROR(
          Observe(run->inputs()[static_cast<std::size_t>(found - specs.begin())], name,
                  &calibration->values[name]));
    }
    SELVEDGE_RETURN_IF_ERROR(run->Run());
    for (std::size_t i = 0; i < slice.made.size(); ++i) {
      SELVEDGE_RETURN_IF_ERROR(
          Observe(run->value(i), slice.made[i], &calibration->values[slice.made[i]]));
    }
  }
  if (pictures == 0) {
    return InvalidArgumentError(
        "there is no picture to calibrate with; give a folder or a video that has some");
  }
  calibration->pictures = pictures;
  return OkStatus();
}

}  // namespace

Result<Calibration> Calibrate(EngineBackend* backend, onnx::ModelProto* model,
                              const std::vector<std::string>& values, CalibrationFeed* feed,
                              const CalibrationOptions& options) {
  std::vector<std::string> made;
  std::vector<std::string> inputs;
  {
    const GraphIndex index(model->graph());
    for (const std::string& value : values) {
      (index.ProducerOf(value) >= 0 ? made : inputs).push_back(value);
    }
  }
  Calibration calibration;
  SELVEDGE_ASSIGN_OR_RETURN(GraphRun all, GraphRun::Load(backend, model, made));
  const std::vector<Slice> slices = Split(all, made, inputs, options.slice_bytes);
  calibration.slices = static_cast<int>(slices.size());
  if (slices.size() == 1) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ObserveSlice(slices[0], &all, feed, &calibration));
    return calibration;
  }
  {
    const GraphRun done = std::move(all);
  }  // its memory is for the slices
  for (const Slice& slice : slices) {
    SELVEDGE_ASSIGN_OR_RETURN(GraphRun run, GraphRun::Load(backend, model, slice.made));
    SELVEDGE_RETURN_ERR_IF_ERROR(ObserveSlice(slice, &run, feed, &calibration));
  }
  return calibration;
}

}  // namespace selvedge
