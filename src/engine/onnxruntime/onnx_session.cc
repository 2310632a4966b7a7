#include "engine/onnxruntime/onnx_session.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "engine/tensor_storage.h"

namespace selvedge {
namespace {

class OnnxExecution : public Execution {
 public:
  explicit OnnxExecution(std::shared_ptr<const OnnxSession> session)
      : session_(std::move(session)) {}

  ~OnnxExecution() override {
    for (OrtValue* value : input_values_) session_->runtime.api->ReleaseValue(value);
    for (OrtValue* value : output_values_) {
      if (value != nullptr) session_->runtime.api->ReleaseValue(value);
    }
  }

  Status Prepare() {
    for (const TensorSpec& spec : session_->info.inputs) {
      SELVEDGE_RETURN_IF_ERROR(AddTensor(spec, &inputs_, &input_values_));
    }
    for (const TensorSpec& spec : session_->info.outputs) {
      if (spec.shape.IsFixed()) {
        SELVEDGE_RETURN_IF_ERROR(AddTensor(spec, &outputs_, &output_values_));
      } else {
        outputs_.push_back({.type = spec.type, .shape = spec.shape});
        output_values_.push_back(nullptr);
      }
    }
    return OkStatus();
  }

  std::span<const TensorView> inputs() const override { return inputs_; }
  std::span<const TensorView> outputs() const override { return outputs_; }

  Status Run() override {
    const OrtApi& api = *session_->runtime.api;
    // The engine fills in what is null and writes into what is not.
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (session_->info.outputs[i].shape.IsFixed() || output_values_[i] == nullptr) continue;
      api.ReleaseValue(output_values_[i]);
      output_values_[i] = nullptr;
    }
    if (OrtStatus* status =
            api.Run(session_->session.get(), nullptr, session_->input_names.data(),
                    input_values_.data(), input_values_.size(), session_->output_names.data(),
                    output_values_.size(), output_values_.data());
        status != nullptr) {
      return FromOrt(api, status, "running the model");
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (session_->info.outputs[i].shape.IsFixed()) continue;
      SELVEDGE_RETURN_IF_ERROR(
          ReadOutput(session_->info.outputs[i], output_values_[i], &outputs_[i]));
    }
    return OkStatus();
  }

 private:
  Status AddTensor(const TensorSpec& spec, std::vector<TensorView>* views,
                   std::vector<OrtValue*>* values) {
    const OnnxRuntime& runtime = session_->runtime;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const TensorView view, storage_.Add(spec));
    OrtValue* value = nullptr;
    SELVEDGE_RETURN_IF_ERROR(FromOrt(
        *runtime.api,
        runtime.api->CreateTensorWithDataAsOrtValue(runtime.memory, view.data, view.bytes,
                                                    view.shape.dims().data(), view.shape.rank(),
                                                    ToOrtType(view.type), &value),
        "making tensor \"" + spec.name + "\""));
    views->push_back(view);
    values->push_back(value);
    return OkStatus();
  }

  // The view of an output that the engine allocated, with the shape that it has this time.
  Status ReadOutput(const TensorSpec& spec, OrtValue* value, TensorView* view) const {
    const OrtApi& api = *session_->runtime.api;
    OrtOwnedShapeInfo shape_info(&api);
    std::size_t rank = 0;
    std::array<std::int64_t, Shape::kMaxRank> dims = {};
    OrtStatus* status = api.GetTensorTypeAndShape(value, shape_info.out());
    if (status == nullptr) status = api.GetDimensionsCount(shape_info.get(), &rank);
    rank = std::min(rank, dims.size());
    if (status == nullptr) status = api.GetDimensions(shape_info.get(), dims.data(), rank);
    if (status == nullptr) status = api.GetTensorMutableData(value, &view->data);
    if (status != nullptr) return FromOrt(api, status, "reading output \"" + spec.name + "\"");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(view->shape, Shape::From({dims.data(), rank}));
    view->bytes =
        static_cast<std::size_t>(view->shape.ElementCount().value_or(0)) * SizeOf(view->type);
    return OkStatus();
  }

  std::shared_ptr<const OnnxSession> session_;
  TensorStorage storage_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
  std::vector<OrtValue*> input_values_;
  std::vector<OrtValue*> output_values_;
};

class OnnxEngine : public Engine {
 public:
  explicit OnnxEngine(std::shared_ptr<const OnnxSession> session) : session_(std::move(session)) {}
  const EngineInfo& Describe() const override { return session_->info; }
  Result<std::unique_ptr<Execution>> NewExecution() override {
    auto execution = std::make_unique<OnnxExecution>(session_);
    SELVEDGE_RETURN_ERR_IF_ERROR(execution->Prepare());
    return execution;
  }

 private:
  std::shared_ptr<const OnnxSession> session_;
};

}  // namespace

std::unique_ptr<Engine> MakeOnnxEngine(std::shared_ptr<const OnnxSession> session) {
  return std::make_unique<OnnxEngine>(std::move(session));
}

}  // namespace selvedge
