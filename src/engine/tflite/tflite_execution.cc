#include "engine/tflite/tflite_execution.h"

#include <cstdint>
#include <string>
#include <utility>

#include "engine/loading.h"
#include "engine/tensor_storage.h"

namespace selvedge {
namespace {

bool SaysUnknownOperator(std::string_view message) {
  return message.find("unresolved custom op") != std::string_view::npos ||
         message.find("Didn't find op for builtin opcode") != std::string_view::npos ||
         message.find("Op builtin_code out of range") != std::string_view::npos;
}

Result<TensorSpec> ReadSpec(const TfLiteApi& api, const TfLiteTensor* tensor) {
  TensorSpec spec;
  const char* name = api.TfLiteTensorName(tensor);
  spec.name = name != nullptr ? name : "";
  SELVEDGE_ASSIGN_OR_RETURN(spec.type, FromTfLiteType(api.TfLiteTensorType(tensor), spec.name));
  std::vector<std::int64_t> dims;
  for (int i = 0; i < api.TfLiteTensorNumDims(tensor); ++i) {
    dims.push_back(api.TfLiteTensorDim(tensor, i));
  }
  // Where the model leaves a dimension open the tensor says 1, and the signature says so.
  const TfLiteIntArray* signature =
      api.dims_signature != nullptr ? api.dims_signature(tensor) : nullptr;
  for (std::size_t i = 0; signature != nullptr && i < dims.size(); ++i) {
    if (static_cast<int>(i) < signature->size && signature->data[i] < 0) dims[i] = -1;
  }
  SELVEDGE_ASSIGN_OR_RETURN(spec.shape, Shape::From(dims));
  const TfLiteQuantizationParams quantisation = api.TfLiteTensorQuantizationParams(tensor);
  spec.scale = quantisation.scale;
  spec.zero_point = quantisation.zero_point;
  return spec;
}

TensorView ViewOf(const TfLiteApi& api, const TfLiteTensor* tensor, DataType type) {
  TensorView view = {.type = type,
                     .data = api.TfLiteTensorData(tensor),
                     .bytes = api.TfLiteTensorByteSize(tensor)};
  std::int64_t dims[Shape::kMaxRank] = {};
  const auto rank = static_cast<std::size_t>(api.TfLiteTensorNumDims(tensor));
  for (std::size_t i = 0; i < rank && i < Shape::kMaxRank; ++i) {
    dims[i] = api.TfLiteTensorDim(tensor, static_cast<std::int32_t>(i));
  }
  if (Result<Shape> shape = Shape::From({dims, rank}); shape) view.shape = *shape;
  return view;
}

}  // namespace

TfLiteExecution::~TfLiteExecution() {
  if (interpreter_ != nullptr) model_->runtime.api.TfLiteInterpreterDelete(interpreter_);
  if (delegate_ != nullptr) delete_delegate_(delegate_);
}

Status TfLiteExecution::Failure(std::string_view what) const {
  std::string message = messages_.text();
  if (message.empty()) message = model_->messages.text();
  if (message.empty()) message = "no reason given";
  const StatusCode code =
      SaysUnknownOperator(message) ? StatusCode::kUnimplemented : StatusCode::kInvalidArgument;
  return {code, std::string(what) + ": TensorFlow Lite says: " + message};
}

Status TfLiteExecution::MakeDelegate() {
  const TfLiteApi& api = model_->runtime.api;
  if (model_->external) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(delegate_, model_->external->Start());
    delete_delegate_ = model_->external->destroy;
    return OkStatus();
  }
  if (!model_->runtime.HasXnnpack()) return OkStatus();  // the library's reference kernels, slow
  OpaqueOptions options;
  XnnpackOptions(model_->runtime, model_->options.threads, model_->weights_cache, &options);
  delegate_ = api.xnnpack_create(&options);
  delete_delegate_ = api.xnnpack_delete;
  return delegate_ != nullptr ? OkStatus() : InternalError("XNNPACK did not start");
}

Status TfLiteExecution::ResizeInputs() {
  const TfLiteApi& api = model_->runtime.api;
  std::vector<TensorSpec> specs;
  const int count = api.TfLiteInterpreterGetInputTensorCount(interpreter_);
  std::vector<bool> open;
  for (int i = 0; i < count; ++i) {
    const TfLiteTensor* tensor = api.TfLiteInterpreterGetInputTensor(interpreter_, i);
    if (tensor == nullptr) return InvalidArgumentError("the model's inputs are broken");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorSpec spec, ReadSpec(api, tensor));
    open.push_back(!spec.shape.IsFixed());
    specs.push_back(std::move(spec));
  }
  SELVEDGE_RETURN_IF_ERROR(FixInputShapes(model_->options, &specs));
  for (int i = 0; i < count; ++i) {
    const auto index = static_cast<std::size_t>(i);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::size_t bytes, TensorBytes(specs[index]));
    if (!open[index] || bytes == 0) continue;
    const std::vector<int> dims(specs[index].shape.dims().begin(), specs[index].shape.dims().end());
    if (api.TfLiteInterpreterResizeInputTensor(
            interpreter_, i, dims.data(), static_cast<std::int32_t>(dims.size())) != kTfLiteOk) {
      return Failure("resizing input \"" + specs[index].name + "\"");
    }
  }
  return OkStatus();
}

Status TfLiteExecution::PrepareForCheck() {
  return MakeInterpreter();
}

Status TfLiteExecution::Prepare() {
  SELVEDGE_RETURN_IF_ERROR(MakeDelegate());
  SELVEDGE_RETURN_IF_ERROR(MakeInterpreter());
  return ReadTensors();
}

Status TfLiteExecution::MakeInterpreter() {
  const TfLiteApi& api = model_->runtime.api;
  TfLiteInterpreterOptions* options = api.TfLiteInterpreterOptionsCreate();
  api.TfLiteInterpreterOptionsSetNumThreads(options, model_->options.threads);
  api.TfLiteInterpreterOptionsSetErrorReporter(options, &TfLiteMessages::Report, &messages_);
  if (delegate_ != nullptr) api.TfLiteInterpreterOptionsAddDelegate(options, delegate_);
  interpreter_ = api.TfLiteInterpreterCreate(model_->model, options);
  api.TfLiteInterpreterOptionsDelete(options);
  if (interpreter_ == nullptr) return Failure("building the model");
  SELVEDGE_RETURN_IF_ERROR(ResizeInputs());
  if (api.TfLiteInterpreterAllocateTensors(interpreter_) != kTfLiteOk) {
    return Failure("allocating the model's tensors");
  }
  return OkStatus();
}

Status TfLiteExecution::ReadTensors() {
  const TfLiteApi& api = model_->runtime.api;
  for (int i = 0; i < api.TfLiteInterpreterGetInputTensorCount(interpreter_); ++i) {
    const TfLiteTensor* tensor = api.TfLiteInterpreterGetInputTensor(interpreter_, i);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorSpec spec, ReadSpec(api, tensor));
    inputs_.push_back(ViewOf(api, tensor, spec.type));
    const TensorView& view = inputs_.back();
    spec.shape = view.shape;
    if (view.data == nullptr || reinterpret_cast<std::uintptr_t>(view.data) % kTensorAlignment) {
      return InternalError("TensorFlow Lite put input \"" + spec.name +
                           "\" where it cannot be written");
    }
    input_specs_.push_back(std::move(spec));
  }
  for (int i = 0; i < api.TfLiteInterpreterGetOutputTensorCount(interpreter_); ++i) {
    const TfLiteTensor* tensor = api.TfLiteInterpreterGetOutputTensor(interpreter_, i);
    if (tensor == nullptr) return InvalidArgumentError("the model's outputs are broken");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorSpec spec, ReadSpec(api, tensor));
    outputs_.push_back(ViewOf(api, tensor, spec.type));
    // Once the inputs are fixed so are the outputs, but for those that depend on the data.
    if (outputs_.back().data != nullptr) spec.shape = outputs_.back().shape;
    output_specs_.push_back(std::move(spec));
  }
  return OkStatus();
}

Status TfLiteExecution::Run() {
  const TfLiteApi& api = model_->runtime.api;
  messages_.clear();
  if (api.TfLiteInterpreterInvoke(interpreter_) != kTfLiteOk) {
    return Failure("running the model");
  }
  // An output whose size depends on the data moves; asking costs nothing.
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    outputs_[i] = ViewOf(
        api, api.TfLiteInterpreterGetOutputTensor(interpreter_, static_cast<std::int32_t>(i)),
        outputs_[i].type);
  }
  return OkStatus();
}

}  // namespace selvedge
