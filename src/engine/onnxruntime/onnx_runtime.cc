#include "engine/onnxruntime/onnx_runtime.h"

#include <string_view>
#include <utility>

#include "base/log.h"
#include "engine/library.h"

namespace selvedge {
namespace {

StatusCode CodeOf(OrtErrorCode code, std::string_view message) {
  // An operator nobody registered is reported as a broken graph; it is ours to tell the two apart.
  if (message.find("is not a registered function/op") != std::string_view::npos ||
      message.find("No Op registered for") != std::string_view::npos) {
    return StatusCode::kUnimplemented;
  }
  switch (code) {
    case ORT_INVALID_ARGUMENT:
    case ORT_INVALID_PROTOBUF:
    case ORT_INVALID_GRAPH:
    case ORT_NO_MODEL: return StatusCode::kInvalidArgument;
    case ORT_NOT_IMPLEMENTED: return StatusCode::kUnimplemented;
    case ORT_NO_SUCHFILE: return StatusCode::kNotFound;
    default: return StatusCode::kInternal;
  }
}

void ORT_API_CALL Log(void*, OrtLoggingLevel, const char* category, const char*, const char*,
                      const char* message) {
  // Whatever stops a call comes back as its status and is reported there.
  log::Debug("onnxruntime", "engine message", {{"category", category}, {"text", message}});
}

}  // namespace

Status FromOrt(const OrtApi& api, OrtStatus* status, std::string_view what) {
  if (status == nullptr) return OkStatus();
  std::string message = api.GetErrorMessage(status);
  const StatusCode code = CodeOf(api.GetErrorCode(status), message);
  api.ReleaseStatus(status);
  return {code, std::string(what) + ": ONNX Runtime says: " + message};
}

LibraryNames OnnxRuntime::Names() {
  return {.engine = "onnxruntime", .files = {"libonnxruntime.so"}};
}

Result<std::unique_ptr<OnnxRuntime>> OnnxRuntime::Open() {
  SELVEDGE_ASSIGN_OR_RETURN(const Library library, Library::Open(Names()));
  const OrtApiBase* (*get_base)() = nullptr;
  if (!library.Resolve("OrtGetApiBase", &get_base)) {
    return Err(NotFoundError(library.path() + " is not ONNX Runtime: it has no OrtGetApiBase"));
  }
  const OrtApiBase* base = get_base();
  auto runtime = std::make_unique<OnnxRuntime>();
  runtime->version = base->GetVersionString();
  runtime->api = base->GetApi(ORT_API_VERSION);
  if (runtime->api == nullptr) {
    return Err(NotFoundError(library.path() + " is ONNX Runtime " + runtime->version +
                             ", which is too old: API version " + std::to_string(ORT_API_VERSION) +
                             " is needed"));
  }
  const OrtApi& api = *runtime->api;
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOrt(api,
              api.CreateEnvWithCustomLogger(&Log, nullptr, ORT_LOGGING_LEVEL_ERROR, "selvedge",
                                            &runtime->env),
              "starting the engine"));
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOrt(api, api.DisableTelemetryEvents(runtime->env), "switching telemetry off"));
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOrt(api, api.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &runtime->memory),
              "starting the engine"));
  return runtime;
}

std::vector<std::string> OnnxRuntime::Providers() const {
  std::vector<std::string> providers;
  char** names = nullptr;
  int count = 0;
  if (OrtStatus* status = api->GetAvailableProviders(&names, &count); status != nullptr) {
    api->ReleaseStatus(status);
    return providers;
  }
  providers.assign(names, names + count);
  if (OrtStatus* status = api->ReleaseAvailableProviders(names, count); status != nullptr) {
    api->ReleaseStatus(status);
  }
  return providers;
}

Result<DataType> FromOrtType(ONNXTensorElementDataType type, const std::string& tensor) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return DataType::kFloat32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: return DataType::kFloat16;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: return DataType::kBfloat16;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return DataType::kUint8;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return DataType::kInt8;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return DataType::kInt32;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return DataType::kInt64;
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: return DataType::kBool;
    default: break;
  }
  return Err(UnimplementedError("tensor \"" + tensor + "\" has ONNX element type " +
                                std::to_string(type) +
                                "; models take and give float32, float16, bfloat16, uint8, int8, "
                                "int32, int64 or bool here"));
}

ONNXTensorElementDataType ToOrtType(DataType type) {
  switch (type) {
    case DataType::kFloat32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case DataType::kFloat16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16;
    case DataType::kBfloat16: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16;
    case DataType::kUint8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case DataType::kInt8: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8;
    case DataType::kInt32: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32;
    case DataType::kInt64: return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case DataType::kBool: return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

}  // namespace selvedge
