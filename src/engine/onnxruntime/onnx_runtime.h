#pragma once

// OnnxRuntime: the opened ONNX Runtime library, its environment, and owners for its objects.
//
// One per process, shared by every session; kept until the process ends. Thread-safe once open.
// Failure: NotFound where the library is missing or older than the API that we call.

#define ORT_API_MANUAL_INIT
#include <onnxruntime/onnxruntime_c_api.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"
#include "engine/library.h"

namespace selvedge {

struct OnnxRuntime {
  const OrtApi* api = nullptr;
  OrtEnv* env = nullptr;
  OrtMemoryInfo* memory = nullptr;  // where our own tensors lie: ordinary memory
  std::string version;              // "1.31.1"

  static LibraryNames Names();
  static Result<std::unique_ptr<OnnxRuntime>> Open();
  // "CPUExecutionProvider" and others that this library was built with and finds here.
  std::vector<std::string> Providers() const;
};

// Owns one object that ONNX Runtime made; `Release` is the member of OrtApi that frees it.
template <typename T, auto Release>
class OrtOwned {
 public:
  explicit OrtOwned(const OrtApi* api) : api_(api) {}
  ~OrtOwned() { reset(); }
  OrtOwned(OrtOwned&& other) noexcept : api_(other.api_), object_(other.object_) {
    other.object_ = nullptr;
  }
  OrtOwned& operator=(OrtOwned&&) = delete;

  T* get() const { return object_; }
  // For calls that fill in a pointer; whatever was owned is freed first.
  T** out() {
    reset();
    return &object_;
  }
  void reset() {
    if (object_ != nullptr) (api_->*Release)(object_);
    object_ = nullptr;
  }

 private:
  const OrtApi* api_;
  T* object_ = nullptr;
};

using OrtOwnedOptions = OrtOwned<OrtSessionOptions, &OrtApi::ReleaseSessionOptions>;
using OrtOwnedSession = OrtOwned<OrtSession, &OrtApi::ReleaseSession>;
using OrtOwnedValue = OrtOwned<OrtValue, &OrtApi::ReleaseValue>;
using OrtOwnedTypeInfo = OrtOwned<OrtTypeInfo, &OrtApi::ReleaseTypeInfo>;
using OrtOwnedShapeInfo =
    OrtOwned<OrtTensorTypeAndShapeInfo, &OrtApi::ReleaseTensorTypeAndShapeInfo>;

// Frees `status` and says it in our terms. `what` is what was being done.
Status FromOrt(const OrtApi& api, OrtStatus* status, std::string_view what);

// Our type for theirs; Unimplemented (naming `tensor`) for strings, doubles and the like.
Result<DataType> FromOrtType(ONNXTensorElementDataType type, const std::string& tensor);
ONNXTensorElementDataType ToOrtType(DataType type);

}  // namespace selvedge
