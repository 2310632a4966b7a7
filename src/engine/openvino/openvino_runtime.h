#pragma once

// OpenVinoRuntime: the opened OpenVINO library, its core, and owners for its objects.
//
// One per process, shared by every model; kept until the process ends. Thread-safe once open.
// Failure: NotFound where the library is missing or lacks a function that we call.

#include <openvino/c/openvino.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"
#include "engine/library.h"

// Every function of OpenVINO's C API that we call.
#define SELVEDGE_OPENVINO_FUNCTIONS(X)           \
  X(ov_get_openvino_version)                     \
  X(ov_version_free)                             \
  X(ov_get_last_err_msg)                         \
  X(ov_free)                                     \
  X(ov_core_create)                              \
  X(ov_core_get_available_devices)               \
  X(ov_available_devices_free)                   \
  X(ov_core_read_model)                          \
  X(ov_core_read_model_from_memory_buffer)       \
  X(ov_core_compile_model_props)                 \
  X(ov_core_import_model)                        \
  X(ov_core_set_property)                        \
  X(ov_model_free)                               \
  X(ov_model_inputs_size)                        \
  X(ov_model_const_input_by_index)               \
  X(ov_model_reshape)                            \
  X(ov_compiled_model_inputs_size)               \
  X(ov_compiled_model_outputs_size)              \
  X(ov_compiled_model_input_by_index)            \
  X(ov_compiled_model_output_by_index)           \
  X(ov_compiled_model_export_model)              \
  X(ov_compiled_model_get_property)              \
  X(ov_compiled_model_create_infer_request)      \
  X(ov_compiled_model_free)                      \
  X(ov_port_get_any_name)                        \
  X(ov_port_get_element_type)                    \
  X(ov_port_get_partial_shape)                   \
  X(ov_output_const_port_free)                   \
  X(ov_partial_shape_create_static)              \
  X(ov_partial_shape_free)                       \
  X(ov_shape_free)                               \
  X(ov_tensor_create_from_host_ptr)              \
  X(ov_tensor_get_shape)                         \
  X(ov_tensor_get_byte_size)                     \
  X(ov_tensor_data)                              \
  X(ov_tensor_free)                              \
  X(ov_infer_request_set_input_tensor_by_index)  \
  X(ov_infer_request_set_output_tensor_by_index) \
  X(ov_infer_request_get_output_tensor_by_index) \
  X(ov_infer_request_infer)                      \
  X(ov_infer_request_free)

namespace selvedge {

struct OpenVinoApi {
#define SELVEDGE_OPENVINO_MEMBER(name) decltype(&::name) name = nullptr;
  SELVEDGE_OPENVINO_FUNCTIONS(SELVEDGE_OPENVINO_MEMBER)
#undef SELVEDGE_OPENVINO_MEMBER
};

struct OpenVinoRuntime {
  OpenVinoApi api;
  ov_core_t* core = nullptr;
  std::string version;  // "2026.4.1-22982-e213a147257-releases/2026/4"

  static LibraryNames Names();
  static Result<std::unique_ptr<OpenVinoRuntime>> Open();
  // "CPU", "GPU", "NPU", as OpenVINO finds them.
  std::vector<std::string> Devices() const;
};

// Owns one object that OpenVINO made; `Free` is the member of OpenVinoApi that frees it.
template <typename T, auto Free>
class OvOwned {
 public:
  explicit OvOwned(const OpenVinoApi& api) : api_(&api) {}
  ~OvOwned() {
    if (object_ != nullptr) (api_->*Free)(object_);
  }
  OvOwned(OvOwned&& other) noexcept : api_(other.api_), object_(other.object_) {
    other.object_ = nullptr;
  }
  OvOwned& operator=(OvOwned&&) = delete;

  T* get() const { return object_; }
  T** out() { return &object_; }  // once, while it owns nothing

 private:
  const OpenVinoApi* api_;
  T* object_ = nullptr;
};

using OvOwnedModel = OvOwned<ov_model_t, &OpenVinoApi::ov_model_free>;
using OvOwnedCompiled = OvOwned<ov_compiled_model_t, &OpenVinoApi::ov_compiled_model_free>;
using OvOwnedPort = OvOwned<ov_output_const_port_t, &OpenVinoApi::ov_output_const_port_free>;
using OvOwnedTensor = OvOwned<ov_tensor_t, &OpenVinoApi::ov_tensor_free>;
using OvOwnedRequest = OvOwned<ov_infer_request_t, &OpenVinoApi::ov_infer_request_free>;

// OpenVINO's status in our terms, with the last line of its own message. `what` is what was being
// done.
Status FromOv(const OpenVinoApi& api, ov_status_e status, std::string_view what);

// Our type for theirs; Unimplemented (naming `tensor`) for those we do not pass.
Result<DataType> FromOvType(ov_element_type_e type, const std::string& tensor);
ov_element_type_e ToOvType(DataType type);

}  // namespace selvedge
