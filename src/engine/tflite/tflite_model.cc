#include "engine/tflite/tflite_model.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <utility>

#include "engine/loading.h"
#include "engine/tflite/tflite_execution.h"

namespace selvedge {
namespace {

class TfLiteEngine : public Engine {
 public:
  TfLiteEngine(std::shared_ptr<TfLiteSharedModel> model, std::unique_ptr<TfLiteExecution> first,
               EngineInfo info)
      : model_(std::move(model)), first_(std::move(first)), info_(std::move(info)) {}

  const EngineInfo& Describe() const override { return info_; }

  Result<std::unique_ptr<Execution>> NewExecution() override {
    const std::scoped_lock lock(mutex_);
    if (first_ != nullptr) return std::move(first_);
    auto execution = std::make_unique<TfLiteExecution>(model_);
    SELVEDGE_RETURN_ERR_IF_ERROR(execution->Prepare());
    return execution;
  }

 private:
  std::shared_ptr<TfLiteSharedModel> model_;
  std::mutex mutex_;
  // Made by Load to learn the model's tensors; handed to the first who asks.
  std::unique_ptr<TfLiteExecution> first_;
  EngineInfo info_;
};

}  // namespace

void TfLiteMessages::Report(void* self, const char* format, va_list arguments) {
  auto& messages = *static_cast<TfLiteMessages*>(self);
  if (messages.size_ > 0 && messages.size_ + 2 < sizeof(messages.text_)) {
    std::memcpy(messages.text_ + messages.size_, "; ", 2);
    messages.size_ += 2;
  }
  const std::size_t room = sizeof(messages.text_) - messages.size_;
  const int wanted = std::vsnprintf(messages.text_ + messages.size_, room, format, arguments);
  if (wanted > 0) messages.size_ += std::min(static_cast<std::size_t>(wanted), room - 1);
  while (messages.size_ > 0 && messages.text_[messages.size_ - 1] == '\n') --messages.size_;
}

TfLiteSharedModel::~TfLiteSharedModel() {
  if (model != nullptr) runtime.api.TfLiteModelDelete(model);
  if (weights_cache != nullptr) runtime.api.xnnpack_cache_delete(weights_cache);
}

Result<std::unique_ptr<Engine>> LoadTfLiteModel(const TfLiteRuntime& runtime,
                                                std::span<const std::byte> model,
                                                const EngineOptions& options,
                                                std::optional<ExternalDelegate> external) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(model, options));
  const TfLiteApi& api = runtime.api;
  auto shared = std::make_shared<TfLiteSharedModel>(runtime);
  shared->options = options;
  shared->external = external;
  // operator new aligns to 16 bytes, as much as the format's own buffers ask for.
  shared->bytes = std::make_unique_for_overwrite<std::byte[]>(model.size());
  std::memcpy(shared->bytes.get(), model.data(), model.size());
  shared->model = api.TfLiteModelCreateWithErrorReporter(
      shared->bytes.get(), model.size(), &TfLiteMessages::Report, &shared->messages);
  if (shared->model == nullptr) {
    const std::string text = shared->messages.text();
    return Err(InvalidArgumentError("reading the model: TensorFlow Lite says: " +
                                    (text.empty() ? "not a TensorFlow Lite model" : text)));
  }
  // An external delegate's model has operators that only its device knows.
  if (!external) {
    SELVEDGE_RETURN_ERR_IF_ERROR(TfLiteExecution(shared).PrepareForCheck());
  }
  const bool cached = runtime.HasXnnpack() && !external && api.xnnpack_cache_create != nullptr &&
                      api.xnnpack_cache_finalize_soft != nullptr &&
                      api.xnnpack_cache_delete != nullptr;
  if (cached) shared->weights_cache = api.xnnpack_cache_create();
  auto first = std::make_unique<TfLiteExecution>(shared);
  SELVEDGE_RETURN_ERR_IF_ERROR(first->Prepare());
  // "Soft": later interpreters of the same model find their packed weights, nothing moves any more.
  if (cached && !api.xnnpack_cache_finalize_soft(shared->weights_cache)) {
    return Err(InternalError("XNNPACK could not share the model's packed weights"));
  }
  ReturnFreedMemory();
  EngineInfo info = {
      .name = "tflite",
      .version = runtime.version,
      .device = options.device,
      .precision = "fp32",  // of the float parts; XNNPACK keeps quantised ones quantised
      .threads = options.threads,
      .inputs = first->input_specs(),
      .outputs = first->output_specs()};
  return std::make_unique<TfLiteEngine>(std::move(shared), std::move(first), std::move(info));
}

}  // namespace selvedge
