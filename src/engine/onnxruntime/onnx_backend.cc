#include "engine/onnxruntime/onnx_backend.h"

#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/library.h"
#include "engine/loading.h"
#include "engine/onnxruntime/onnx_runtime.h"
#include "engine/onnxruntime/onnx_session.h"

namespace selvedge {
namespace {

class OnnxBackend : public EngineBackend {
 public:
  std::string_view name() const override { return "onnxruntime"; }

  Result<std::string> Probe() override {
    SELVEDGE_ASSIGN_OR_RETURN(const OnnxRuntime* runtime, Runtime());
    return runtime->version;
  }

  std::string Identity() override {
    std::string identity = LibraryIdentity(OnnxRuntime::Names());
    return identity.empty() ? EngineBackend::Identity() : identity;
  }

  std::vector<std::string> Devices() override {
    std::vector<std::string> devices = {"cpu"};
    Result<const OnnxRuntime*> runtime = Runtime();
    if (!runtime) return devices;
    for (const std::string& provider : (*runtime)->Providers()) {
      if (provider == "CUDAExecutionProvider") devices.emplace_back("cuda");
      if (provider == "TensorrtExecutionProvider") devices.emplace_back("tensorrt");
    }
    return devices;
  }

  bool Reads(std::string_view path) const override {
    return HasExtension(path, ".onnx") || HasExtension(path, ".ort");
  }

  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> model,
                                       const EngineOptions& options) override {
    SELVEDGE_ASSIGN_OR_RETURN(const OnnxRuntime* runtime, Runtime());
    return LoadOnnxSession(*runtime, model, options);
  }

 private:
  // Opened at the first call; a failure is not remembered, so that a library put there later is
  // found.
  Result<const OnnxRuntime*> Runtime() {
    const std::scoped_lock lock(mutex_);
    if (runtime_ == nullptr) {
      SELVEDGE_ASSIGN_OR_RETURN(runtime_, OnnxRuntime::Open());
    }
    return runtime_.get();
  }

  std::mutex mutex_;
  std::unique_ptr<OnnxRuntime> runtime_;
};

}  // namespace

std::unique_ptr<EngineBackend> MakeOnnxBackend() {
  // ONNX Runtime as its makers publish it reports usage to them over the network, from a thread and
  // a database of its own. It asks the environment once, when it starts; here is early, before
  // other threads.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  return std::make_unique<OnnxBackend>();
}

}  // namespace selvedge
