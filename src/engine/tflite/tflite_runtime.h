#pragma once

// TfLiteRuntime: the opened TensorFlow Lite library, and owners for its objects.
//
// One per process; kept until the process ends. Thread-safe once open.
// The XNNPACK and external delegates have no header in the published set, so their option structs,
// which have grown from release to release, are treated as opaque here: the library fills them in
// with its defaults, and only fields whose place is known are set (see XnnpackOptions). Failure:
// NotFound where the library is missing or lacks a function that we call.

#include <tensorflow/lite/core/c/c_api.h>
#include <tensorflow/lite/core/c/common.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "core/tensor.h"
#include "engine/library.h"

// Every function of the C API that we call and that its headers declare.
#define SELVEDGE_TFLITE_FUNCTIONS(X)          \
  X(TfLiteVersion)                            \
  X(TfLiteModelCreateWithErrorReporter)       \
  X(TfLiteModelDelete)                        \
  X(TfLiteInterpreterOptionsCreate)           \
  X(TfLiteInterpreterOptionsDelete)           \
  X(TfLiteInterpreterOptionsSetNumThreads)    \
  X(TfLiteInterpreterOptionsAddDelegate)      \
  X(TfLiteInterpreterOptionsSetErrorReporter) \
  X(TfLiteInterpreterCreate)                  \
  X(TfLiteInterpreterDelete)                  \
  X(TfLiteInterpreterGetInputTensorCount)     \
  X(TfLiteInterpreterGetInputTensor)          \
  X(TfLiteInterpreterResizeInputTensor)       \
  X(TfLiteInterpreterAllocateTensors)         \
  X(TfLiteInterpreterInvoke)                  \
  X(TfLiteInterpreterGetOutputTensorCount)    \
  X(TfLiteInterpreterGetOutputTensor)         \
  X(TfLiteTensorType)                         \
  X(TfLiteTensorNumDims)                      \
  X(TfLiteTensorDim)                          \
  X(TfLiteTensorByteSize)                     \
  X(TfLiteTensorData)                         \
  X(TfLiteTensorName)                         \
  X(TfLiteTensorQuantizationParams)

namespace selvedge {

// Room for the option struct of any release; the largest known has 56 bytes.
struct alignas(16) OpaqueOptions {
  std::byte bytes[512];
};

struct TfLiteApi {
#define SELVEDGE_TFLITE_MEMBER(name) decltype(&::name) name = nullptr;
  SELVEDGE_TFLITE_FUNCTIONS(SELVEDGE_TFLITE_MEMBER)
#undef SELVEDGE_TFLITE_MEMBER

  // Delegates; null where the library was built without. Structs this large are returned through a
  // hidden pointer on every ABI that we build for, so the caller's larger one is safe to pass.
  OpaqueOptions (*xnnpack_options)() = nullptr;
  TfLiteDelegate* (*xnnpack_create)(const OpaqueOptions*) = nullptr;
  void (*xnnpack_delete)(TfLiteDelegate*) = nullptr;
  void* (*xnnpack_cache_create)() = nullptr;
  bool (*xnnpack_cache_finalize_soft)(void*) = nullptr;
  void (*xnnpack_cache_delete)(void*) = nullptr;
  // The shape with -1 for dimensions that are not fixed; newer than the headers, null in older
  // libraries.
  const TfLiteIntArray* (*dims_signature)(const TfLiteTensor*) = nullptr;
};

struct TfLiteRuntime {
  TfLiteApi api;
  std::string version;  // "2.20.0"

  static LibraryNames Names();
  static Result<std::unique_ptr<TfLiteRuntime>> Open();
  bool HasXnnpack() const { return api.xnnpack_create != nullptr; }
};

// XNNPACK options with `threads` (none of its own for 1) and, where the struct's layout is one we
// know, the shared `weights_cache` (else false is returned and each delegate packs its own copy of
// the weights).
bool XnnpackOptions(const TfLiteRuntime& runtime, int threads, void* weights_cache,
                    OpaqueOptions* options);

// A delegate in a library of its own, by TensorFlow Lite's plug-in interface
// (tflite_plugin_create_delegate). It is called directly: TfLiteExternalDelegateCreate goes on with
// a null where a device does not start, and crashes.
struct ExternalDelegate {
  TfLiteDelegate* (*create)(char** keys, char** values, std::size_t count,
                            void (*report)(const char*)) = nullptr;
  void (*destroy)(TfLiteDelegate*) = nullptr;

  // NotFound where the library lacks the interface.
  static Result<ExternalDelegate> From(const Library& library);
  // Unavailable where the device does not start, with what the library reported.
  Result<TfLiteDelegate*> Start() const;
};

// Our type for theirs; Unimplemented (naming `tensor`) for those we do not pass.
Result<DataType> FromTfLiteType(TfLiteType type, const std::string& tensor);

}  // namespace selvedge
