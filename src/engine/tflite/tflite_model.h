#pragma once

// A TensorFlow Lite model behind an Engine, and its Executions. Internal to engine/tflite.

#include <cstdarg>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/engine.h"
#include "engine/tflite/tflite_runtime.h"

namespace selvedge {

// What the library reports while it works: the last few messages, without allocating.
class TfLiteMessages {
 public:
  // For the library's error reporter; `self` is a TfLiteMessages.
  static void Report(void* self, const char* format, va_list arguments);
  void clear() { size_ = 0; }
  std::string text() const { return {text_, size_}; }

 private:
  char text_[512] = {};
  std::size_t size_ = 0;
};

// The model's bytes and what the interpreters share. Immutable once loaded, except for the weights
// cache, which NewExecution fills under the Engine's lock.
struct TfLiteSharedModel {
  explicit TfLiteSharedModel(const TfLiteRuntime& r) : runtime(r) {}
  ~TfLiteSharedModel();
  TfLiteSharedModel(const TfLiteSharedModel&) = delete;
  TfLiteSharedModel& operator=(const TfLiteSharedModel&) = delete;

  const TfLiteRuntime& runtime;  // lives as long as the process
  EngineOptions options;
  std::unique_ptr<std::byte[]> bytes;  // the library reads weights from here
  TfLiteMessages messages;
  TfLiteModel* model = nullptr;
  void* weights_cache = nullptr;  // XNNPACK's packed weights, one copy for all interpreters
  std::optional<ExternalDelegate> external;  // none for the processor
};

Result<std::unique_ptr<Engine>> LoadTfLiteModel(const TfLiteRuntime& runtime,
                                                std::span<const std::byte> model,
                                                const EngineOptions& options,
                                                std::optional<ExternalDelegate> external);

}  // namespace selvedge
