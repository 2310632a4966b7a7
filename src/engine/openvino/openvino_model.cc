#include "engine/openvino/openvino_model.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/tensor_storage.h"

namespace selvedge {
namespace {

class OpenVinoExecution : public Execution {
 public:
  explicit OpenVinoExecution(std::shared_ptr<const OpenVinoModel> model)
      : model_(std::move(model)), request_(model_->runtime.api) {}

  Status Prepare() {
    const OpenVinoApi& api = model_->runtime.api;
    SELVEDGE_RETURN_IF_ERROR(FromOv(
        api, api.ov_compiled_model_create_infer_request(model_->compiled.get(), request_.out()),
        "making an inference request"));
    for (const TensorSpec& spec : model_->info.inputs) {
      SELVEDGE_RETURN_IF_ERROR(
          Bind(spec, api.ov_infer_request_set_input_tensor_by_index, &inputs_));
    }
    for (const TensorSpec& spec : model_->info.outputs) {
      if (spec.shape.IsFixed()) {
        SELVEDGE_RETURN_IF_ERROR(
            Bind(spec, api.ov_infer_request_set_output_tensor_by_index, &outputs_));
      } else {
        outputs_.push_back({.type = spec.type, .shape = spec.shape});
      }
    }
    return OkStatus();
  }

  std::span<const TensorView> inputs() const override { return inputs_; }
  std::span<const TensorView> outputs() const override { return outputs_; }

  Status Run() override {
    const OpenVinoApi& api = model_->runtime.api;
    if (const ov_status_e status = api.ov_infer_request_infer(request_.get());
        status != ov_status_e::OK) {
      return FromOv(api, status, "running the model");
    }
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      if (!model_->info.outputs[i].shape.IsFixed()) SELVEDGE_RETURN_IF_ERROR(ReadOutput(i));
    }
    return OkStatus();
  }

 private:
  using SetTensor = ov_status_e (*)(ov_infer_request_t*, std::size_t, const ov_tensor_t*);

  // Lets the request read or write memory of ours at the index that `views` has reached.
  Status Bind(const TensorSpec& spec, SetTensor set, std::vector<TensorView>* views) {
    const OpenVinoApi& api = model_->runtime.api;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorView view, storage_.Add(spec));
    std::vector<std::int64_t> dims(view.shape.dims().begin(), view.shape.dims().end());
    const ov_shape_t shape = {.rank = static_cast<std::int64_t>(dims.size()), .dims = dims.data()};
    OvOwnedTensor tensor(api);
    ov_status_e status =
        api.ov_tensor_create_from_host_ptr(ToOvType(view.type), shape, view.data, tensor.out());
    if (status == ov_status_e::OK) status = set(request_.get(), views->size(), tensor.get());
    views->push_back(view);
    return FromOv(api, status, "binding tensor \"" + spec.name + "\"");
  }

  // The view of an output that the engine allocated, with the shape that it has this time.
  Status ReadOutput(std::size_t index) {
    const OpenVinoApi& api = model_->runtime.api;
    OvOwnedTensor tensor(api);
    TensorView& view = outputs_[index];
    ov_shape_t shape = {};
    ov_status_e status =
        api.ov_infer_request_get_output_tensor_by_index(request_.get(), index, tensor.out());
    if (status == ov_status_e::OK) status = api.ov_tensor_data(tensor.get(), &view.data);
    if (status == ov_status_e::OK) status = api.ov_tensor_get_byte_size(tensor.get(), &view.bytes);
    if (status == ov_status_e::OK) status = api.ov_tensor_get_shape(tensor.get(), &shape);
    SELVEDGE_RETURN_IF_ERROR(FromOv(api, status, "reading an output"));
    Result<Shape> read = Shape::From({shape.dims, static_cast<std::size_t>(shape.rank)});
    api.ov_shape_free(&shape);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(view.shape, std::move(read));
    return OkStatus();
  }

  std::shared_ptr<const OpenVinoModel> model_;
  TensorStorage storage_;  // outlives the request, which points into it
  OvOwnedRequest request_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
};

class OpenVinoEngine : public Engine {
 public:
  explicit OpenVinoEngine(std::shared_ptr<const OpenVinoModel> model) : model_(std::move(model)) {}
  const EngineInfo& Describe() const override { return model_->info; }
  Result<std::unique_ptr<Execution>> NewExecution() override {
    auto execution = std::make_unique<OpenVinoExecution>(model_);
    SELVEDGE_RETURN_ERR_IF_ERROR(execution->Prepare());
    return execution;
  }

 private:
  std::shared_ptr<const OpenVinoModel> model_;
};

}  // namespace

std::unique_ptr<Engine> MakeOpenVinoEngine(std::shared_ptr<const OpenVinoModel> model) {
  return std::make_unique<OpenVinoEngine>(std::move(model));
}

}  // namespace selvedge
