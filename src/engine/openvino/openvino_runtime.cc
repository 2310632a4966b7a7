#include "engine/openvino/openvino_runtime.h"

#include <algorithm>
#include <utility>

#include "engine/library.h"

namespace selvedge {
namespace {

// OpenVINO's messages are call stacks of many lines; the reason stands at the end, its place before
// it.
std::string Reason(std::string_view message) {
  std::string reason;
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    const std::string_view line = message.substr(0, end);
    message.remove_prefix(std::min(end + 1, message.size()));
    const bool place = line.starts_with("Exception from ") || line.starts_with("Check '");
    if (line.empty() || (place && !line.starts_with("Check '"))) continue;
    if (!reason.empty()) reason += ' ';
    reason += line;
  }
  constexpr std::size_t kLongest = 500;
  if (reason.size() > kLongest) reason = reason.substr(0, kLongest) + "…";
  return reason.empty() ? "no reason given" : reason;
}

}  // namespace

Status FromOv(const OpenVinoApi& api, ov_status_e status, std::string_view what) {
  if (status == ov_status_e::OK) return OkStatus();
  const char* last = api.ov_get_last_err_msg();
  const std::string message =
      std::string(what) + ": OpenVINO says: " + Reason(last != nullptr ? last : "");
  // OpenVINO makes a new copy of the text at every call.
  if (last != nullptr) api.ov_free(last);
  switch (status) {
    case ov_status_e::NOT_IMPLEMENTED: return UnimplementedError(message);
    case ov_status_e::PARAMETER_MISMATCH:
    case ov_status_e::OUT_OF_BOUNDS:
    case ov_status_e::INVALID_C_PARAM: return InvalidArgumentError(message);
    case ov_status_e::NOT_FOUND: return NotFoundError(message);
    default: return InternalError(message);
  }
}

LibraryNames OpenVinoRuntime::Names() {
  return {.engine = "openvino", .files = {"libopenvino_c.so"}};
}

Result<std::unique_ptr<OpenVinoRuntime>> OpenVinoRuntime::Open() {
  SELVEDGE_ASSIGN_OR_RETURN(const Library library, Library::Open(Names()));
  auto runtime = std::make_unique<OpenVinoRuntime>();
  OpenVinoApi& api = runtime->api;
  std::string missing;
#define SELVEDGE_OPENVINO_RESOLVE(name) \
  if (!library.Resolve(#name, &api.name)) missing = #name;
  SELVEDGE_OPENVINO_FUNCTIONS(SELVEDGE_OPENVINO_RESOLVE)
#undef SELVEDGE_OPENVINO_RESOLVE
  if (!missing.empty()) {
    return Err(NotFoundError(library.path() + " has no function " + missing +
                             "; OpenVINO 2026.4 or newer is needed"));
  }
  ov_version_t version = {};
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOv(api, api.ov_get_openvino_version(&version), "asking for the version"));
  runtime->version = version.buildNumber;
  api.ov_version_free(&version);
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOv(api, api.ov_core_create(&runtime->core), "starting the engine"));
  return runtime;
}

std::vector<std::string> OpenVinoRuntime::Devices() const {
  ov_available_devices_t devices = {};
  if (api.ov_core_get_available_devices(core, &devices) != ov_status_e::OK) return {};
  std::vector<std::string> names(devices.devices, devices.devices + devices.size);
  api.ov_available_devices_free(&devices);
  return names;
}

Result<DataType> FromOvType(ov_element_type_e type, const std::string& tensor) {
  switch (type) {
    case ov_element_type_e::F32: return DataType::kFloat32;
    case ov_element_type_e::F16: return DataType::kFloat16;
    case ov_element_type_e::BF16: return DataType::kBfloat16;
    case ov_element_type_e::U8: return DataType::kUint8;
    case ov_element_type_e::I8: return DataType::kInt8;
    case ov_element_type_e::I32: return DataType::kInt32;
    case ov_element_type_e::I64: return DataType::kInt64;
    case ov_element_type_e::BOOLEAN: return DataType::kBool;
    default: break;
  }
  return Err(UnimplementedError("tensor \"" + tensor + "\" has OpenVINO element type " +
                                std::to_string(static_cast<int>(type)) +
                                "; models take and give float32, float16, bfloat16, uint8, int8, "
                                "int32, int64 or bool here"));
}

ov_element_type_e ToOvType(DataType type) {
  switch (type) {
    case DataType::kFloat32: return ov_element_type_e::F32;
    case DataType::kFloat16: return ov_element_type_e::F16;
    case DataType::kBfloat16: return ov_element_type_e::BF16;
    case DataType::kUint8: return ov_element_type_e::U8;
    case DataType::kInt8: return ov_element_type_e::I8;
    case DataType::kInt32: return ov_element_type_e::I32;
    case DataType::kInt64: return ov_element_type_e::I64;
    case DataType::kBool: return ov_element_type_e::BOOLEAN;
  }
  return ov_element_type_e::DYNAMIC;
}

}  // namespace selvedge
