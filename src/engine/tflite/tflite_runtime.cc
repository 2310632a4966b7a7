#include "engine/tflite/tflite_runtime.h"

#include <cstring>
#include <utility>

#include "engine/library.h"

namespace selvedge {
namespace {

// TensorFlow Lite announces every delegate on stderr; there is no C function to ask it not to.
void Quieten(const Library& library) {
  constexpr int kErrorsOnly = 3;  // tflite::LogSeverity::TFLITE_LOG_ERROR
  int (*set_severity)(int) = nullptr;
  if (library.Resolve("_ZN6tflite16logging_internal13MinimalLogger21SetMinimumLogSeverityENS_"
                      "11LogSeverityE",
                      &set_severity)) {
    set_severity(kErrorsOnly);
  }
}

void ResolveDelegates(const Library& library, TfLiteApi* api) {
  bool xnnpack = library.Resolve("TfLiteXNNPackDelegateOptionsDefault", &api->xnnpack_options);
  xnnpack = library.Resolve("TfLiteXNNPackDelegateDelete", &api->xnnpack_delete) && xnnpack;
  if (xnnpack) library.Resolve("TfLiteXNNPackDelegateCreate", &api->xnnpack_create);
  library.Resolve("TfLiteXNNPackDelegateWeightsCacheCreate", &api->xnnpack_cache_create);
  library.Resolve("TfLiteXNNPackDelegateWeightsCacheFinalizeSoft",
                  &api->xnnpack_cache_finalize_soft);
  library.Resolve("TfLiteXNNPackDelegateWeightsCacheDelete", &api->xnnpack_cache_delete);
  library.Resolve("TfLiteTensorGetDimsSignature", &api->dims_signature);
}

}  // namespace

LibraryNames TfLiteRuntime::Names() {
  return {.engine = "tflite",
          .files = {"libtensorflowlite_c.so", "libtensorflowlite.so", "libjnitensorflowlite.so"}};
}

Result<std::unique_ptr<TfLiteRuntime>> TfLiteRuntime::Open() {
  SELVEDGE_ASSIGN_OR_RETURN(const Library library, Library::Open(Names()));
  auto runtime = std::make_unique<TfLiteRuntime>();
  TfLiteApi& api = runtime->api;
  std::string missing;
#define SELVEDGE_TFLITE_RESOLVE(name) \
  if (!library.Resolve(#name, &api.name)) missing = #name;
  SELVEDGE_TFLITE_FUNCTIONS(SELVEDGE_TFLITE_RESOLVE)
#undef SELVEDGE_TFLITE_RESOLVE
  if (!missing.empty()) {
    return Err(NotFoundError(library.path() + " has no function " + missing +
                             "; TensorFlow Lite 2.12 or newer with its C interface is needed"));
  }
  ResolveDelegates(library, &api);
  Quieten(library);
  runtime->version = api.TfLiteVersion();
  return runtime;
}

bool XnnpackOptions(const TfLiteRuntime& runtime, int threads, void* weights_cache,
                    OpaqueOptions* options) {
  // TfLiteXNNPackDelegateOptions of 2.20, 64-bit: num_threads @0, runtime_flags @4, flags @8,
  // weights_cache @16, handle_variable_ops @24, weight_cache_file_path @32,
  // weight_cache_file_descriptor @40 (default -1), weight_cache_provider @48; 56 bytes.
  constexpr std::size_t kCachePlace = 16;
  constexpr std::size_t kDescriptorPlace = 40;
  *options = runtime.api.xnnpack_options();
  // The number of threads has been the first field since the first release; 0 is "the caller's
  // thread".
  const std::int32_t pool = threads > 1 ? threads : 0;
  std::memcpy(options->bytes, &pool, sizeof(pool));
  if (weights_cache == nullptr || !runtime.version.starts_with("2.20.")) return false;
  std::int32_t descriptor = 0;
  std::memcpy(&descriptor, options->bytes + kDescriptorPlace, sizeof(descriptor));
  if (descriptor != -1) return false;
  std::memcpy(options->bytes + kCachePlace, static_cast<const void*>(&weights_cache),
              sizeof(weights_cache));
  return true;
}

Result<ExternalDelegate> ExternalDelegate::From(const Library& library) {
  ExternalDelegate delegate;
  const bool creates = library.Resolve("tflite_plugin_create_delegate", &delegate.create);
  const bool destroys = library.Resolve("tflite_plugin_destroy_delegate", &delegate.destroy);
  if (creates && destroys) return delegate;
  return Err(NotFoundError(library.path() + " is no TensorFlow Lite delegate"));
}

Result<TfLiteDelegate*> ExternalDelegate::Start() const {
  // The interface reports by a plain function, on the calling thread.
  static thread_local std::string reported;
  reported.clear();
  TfLiteDelegate* delegate =
      create(nullptr, nullptr, 0, [](const char* text) { reported = text != nullptr ? text : ""; });
  if (delegate != nullptr) return delegate;
  return Err(UnavailableError("the device did not start; is it plugged in and free?" +
                              (reported.empty() ? "" : " Its library says: " + reported)));
}

Result<DataType> FromTfLiteType(TfLiteType type, const std::string& tensor) {
  switch (type) {
    case kTfLiteFloat32: return DataType::kFloat32;
    case kTfLiteFloat16: return DataType::kFloat16;
    case kTfLiteUInt8: return DataType::kUint8;
    case kTfLiteInt8: return DataType::kInt8;
    case kTfLiteInt32: return DataType::kInt32;
    case kTfLiteInt64: return DataType::kInt64;
    case kTfLiteBool: return DataType::kBool;
    default: break;
  }
  return Err(UnimplementedError("tensor \"" + tensor + "\" has TensorFlow Lite type " +
                                std::to_string(static_cast<int>(type)) +
                                "; models take and give float32, float16, uint8, int8, int32, "
                                "int64 or bool here"));
}

}  // namespace selvedge
