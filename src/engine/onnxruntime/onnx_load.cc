#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/loading.h"
#include "engine/onnxruntime/onnx_session.h"

namespace selvedge {
namespace {

Result<TensorSpec> ReadSpec(const OrtApi& api, OrtTypeInfo* type_info, std::string name) {
  const OrtTensorTypeAndShapeInfo* shape_info = nullptr;  // owned by type_info
  SELVEDGE_RETURN_ERR_IF_ERROR(FromOrt(api, api.CastTypeInfoToTensorInfo(type_info, &shape_info),
                                       "reading \"" + name + "\""));
  if (shape_info == nullptr) {
    return Err(UnimplementedError("\"" + name +
                                  "\" is not a tensor but a sequence or a map, "
                                  "which models may not take or give here"));
  }
  ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t rank = 0;
  OrtStatus* status = api.GetTensorElementType(shape_info, &type);
  if (status == nullptr) status = api.GetDimensionsCount(shape_info, &rank);
  std::vector<std::int64_t> dims(rank);
  if (status == nullptr) status = api.GetDimensions(shape_info, dims.data(), rank);
  SELVEDGE_RETURN_ERR_IF_ERROR(FromOrt(api, status, "reading the shape of \"" + name + "\""));
  TensorSpec spec;
  SELVEDGE_ASSIGN_OR_RETURN(spec.type, FromOrtType(type, name));
  SELVEDGE_ASSIGN_OR_RETURN(spec.shape, Shape::From(dims));
  spec.name = std::move(name);
  return spec;
}

Result<std::vector<TensorSpec>> ReadSpecs(const OrtApi& api, const OrtSession* session,
                                          bool inputs) {
  std::size_t count = 0;
  OrtAllocator* allocator = nullptr;  // the library's own, never freed
  OrtStatus* status =
      (inputs ? api.SessionGetInputCount : api.SessionGetOutputCount)(session, &count);
  if (status == nullptr) status = api.GetAllocatorWithDefaultOptions(&allocator);
  SELVEDGE_RETURN_ERR_IF_ERROR(FromOrt(api, status, "counting the model's tensors"));
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < count; ++i) {
    char* c_name = nullptr;
    status = (inputs ? api.SessionGetInputName : api.SessionGetOutputName)(session, i, allocator,
                                                                           &c_name);
    SELVEDGE_RETURN_ERR_IF_ERROR(FromOrt(api, status, "reading a tensor's name"));
    std::string name = c_name;
    SELVEDGE_RETURN_ERR_IF_ERROR(
        FromOrt(api, api.AllocatorFree(allocator, c_name), "freeing a tensor's name"));
    OrtOwnedTypeInfo info(&api);
    status = (inputs ? api.SessionGetInputTypeInfo : api.SessionGetOutputTypeInfo)(session, i,
                                                                                   info.out());
    SELVEDGE_RETURN_ERR_IF_ERROR(FromOrt(api, status, "reading the type of \"" + name + "\""));
    SELVEDGE_ASSIGN_OR_RETURN(TensorSpec spec, ReadSpec(api, info.get(), std::move(name)));
    specs.push_back(std::move(spec));
  }
  return specs;
}

// Frees provider options however AddProvider ends.
template <typename T>
using Released = std::unique_ptr<T, void (*)(T*)>;

Status AddCuda(const OrtApi& api, OrtSessionOptions* session_options) {
  OrtCUDAProviderOptionsV2* made = nullptr;
  SELVEDGE_RETURN_IF_ERROR(FromOrt(api, api.CreateCUDAProviderOptions(&made), "using CUDA"));
  const Released<OrtCUDAProviderOptionsV2> cuda(made, api.ReleaseCUDAProviderOptions);
  return FromOrt(api,
                 api.SessionOptionsAppendExecutionProvider_CUDA_V2(session_options, cuda.get()),
                 "using CUDA");
}

Status AddTensorRt(const OrtApi& api, const EngineOptions& options,
                   OrtSessionOptions* session_options) {
  OrtTensorRTProviderOptionsV2* made = nullptr;
  SELVEDGE_RETURN_IF_ERROR(
      FromOrt(api, api.CreateTensorRTProviderOptions(&made), "using TensorRT"));
  const Released<OrtTensorRTProviderOptionsV2> tensorrt(made, api.ReleaseTensorRTProviderOptions);
  std::vector<const char*> keys = {"trt_fp16_enable"};
  std::vector<const char*> values = {options.precision == "fp16" ? "1" : "0"};
  if (!options.cache_folder.empty()) {
    keys.insert(keys.end(), {"trt_engine_cache_enable", "trt_engine_cache_path"});
    values.insert(values.end(), {"1", options.cache_folder.c_str()});
  }
  SELVEDGE_RETURN_IF_ERROR(FromOrt(
      api,
      api.UpdateTensorRTProviderOptions(tensorrt.get(), keys.data(), values.data(), keys.size()),
      "using TensorRT"));
  return FromOrt(
      api, api.SessionOptionsAppendExecutionProvider_TensorRT_V2(session_options, tensorrt.get()),
      "using TensorRT");
}

// Adds the execution provider for `options.device`; nothing to add for "cpu".
Status AddProvider(const OnnxRuntime& runtime, const EngineOptions& options,
                   OrtSessionOptions* session_options) {
  if (options.device == "cpu") return OkStatus();
  const bool tensorrt = options.device == "tensorrt";
  if (!tensorrt && options.device != "cuda") {
    return NotFoundError("ONNX Runtime has no device \"" + options.device +
                         "\"; it knows cpu, cuda and tensorrt");
  }
  const std::string provider = tensorrt ? "TensorrtExecutionProvider" : "CUDAExecutionProvider";
  const std::vector<std::string> providers = runtime.Providers();
  if (std::ranges::find(providers, provider) == providers.end()) {
    return NotFoundError("the ONNX Runtime on this machine was built without " + provider +
                         "; put a build that has it into SELVEDGE_ENGINE_PATH");
  }
  return tensorrt ? AddTensorRt(*runtime.api, options, session_options)
                  : AddCuda(*runtime.api, session_options);
}

Status Configure(const OnnxRuntime& runtime, const EngineOptions& options,
                 OrtSessionOptions* session_options) {
  const OrtApi& api = *runtime.api;
  // With one thread the session makes no pool: a Run is its caller's thread and no other.
  OrtStatus* status = api.SetIntraOpNumThreads(session_options, options.threads);
  if (status == nullptr) status = api.SetInterOpNumThreads(session_options, 1);
  if (status == nullptr) {
    status = api.SetSessionExecutionMode(session_options, ORT_SEQUENTIAL);
  }
  if (status == nullptr) {
    status = api.SetSessionGraphOptimizationLevel(session_options, ORT_ENABLE_ALL);
  }
  // A pool that spins between frames triples the processor time at 10 frames a second.
  for (const char* key : {"session.intra_op.allow_spinning", "session.inter_op.allow_spinning"}) {
    if (status == nullptr) status = api.AddSessionConfigEntry(session_options, key, "0");
  }
  SELVEDGE_RETURN_IF_ERROR(FromOrt(api, status, "setting the engine's options"));
  return AddProvider(runtime, options, session_options);
}

// What the session says about itself, with `options.input_shapes` put in place of unfixed ones.
Status Describe(const EngineOptions& options, OnnxSession* session) {
  const OrtApi& api = *session->runtime.api;
  EngineInfo& info = session->info;
  info.name = "onnxruntime";
  info.version = session->runtime.version;
  info.device = options.device;
  // The float type of what is computed: the CPU provider casts half floats up.
  info.precision = options.device == "tensorrt" && options.precision == "fp16" ? "fp16" : "fp32";
  info.threads = options.threads;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(info.inputs, ReadSpecs(api, session->session.get(), true));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(info.outputs, ReadSpecs(api, session->session.get(), false));
  SELVEDGE_RETURN_IF_ERROR(FixInputShapes(options, &info.inputs));
  for (const TensorSpec& spec : info.inputs) session->input_names.push_back(spec.name.c_str());
  for (const TensorSpec& spec : info.outputs) session->output_names.push_back(spec.name.c_str());
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Engine>> LoadOnnxSession(const OnnxRuntime& runtime,
                                                std::span<const std::byte> model,
                                                const EngineOptions& options) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(model, options));
  const OrtApi& api = *runtime.api;
  OrtOwnedOptions session_options(&api);
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOrt(api, api.CreateSessionOptions(session_options.out()), "making session options"));
  SELVEDGE_RETURN_ERR_IF_ERROR(Configure(runtime, options, session_options.get()));
  auto session = std::make_shared<OnnxSession>(runtime);
  Status loaded = FromOrt(api,
                          api.CreateSessionFromArray(runtime.env, model.data(), model.size(),
                                                     session_options.get(), session->session.out()),
                          "loading the model");
  // To the engine a file that it cannot make sense of is a failure like any other; to us it is bad
  // input.
  if (loaded.code() == StatusCode::kInternal) {
    loaded = InvalidArgumentError(loaded.message());
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(std::move(loaded));
  ReturnFreedMemory();
  SELVEDGE_RETURN_ERR_IF_ERROR(Describe(options, session.get()));
  return MakeOnnxEngine(std::move(session));
}

}  // namespace selvedge
