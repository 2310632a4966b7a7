#include "engine/openvino/openvino_backend.h"

#include <algorithm>
#include <cctype>
#include <mutex>
#include <string>
#include <vector>

#include "engine/library.h"
#include "engine/loading.h"
#include "engine/openvino/openvino_model.h"
#include "engine/openvino/openvino_runtime.h"

namespace selvedge {
namespace {

class OpenVinoBackend : public EngineBackend {
 public:
  std::string_view name() const override { return "openvino"; }

  Result<std::string> Probe() override {
    SELVEDGE_ASSIGN_OR_RETURN(const OpenVinoRuntime* runtime, Runtime());
    return runtime->version;
  }

  std::string Identity() override {
    std::string identity = LibraryIdentity(OpenVinoRuntime::Names());
    return identity.empty() ? EngineBackend::Identity() : identity;
  }

  std::vector<std::string> Devices() override {
    std::vector<std::string> devices = {"cpu"};
    Result<const OpenVinoRuntime*> runtime = Runtime();
    if (!runtime) return devices;
    for (std::string device : (*runtime)->Devices()) {
      std::ranges::transform(device, device.begin(),
                             [](unsigned char c) { return std::tolower(c); });
      if (device.starts_with("gpu") || device == "npu") devices.push_back(device);
    }
    return devices;
  }

  bool Reads(std::string_view path) const override {
    return HasExtension(path, ".onnx") || HasExtension(path, ".tflite");
  }

  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> model,
                                       const EngineOptions& options) override {
    SELVEDGE_ASSIGN_OR_RETURN(const OpenVinoRuntime* runtime, Runtime());
    // Looking for other devices costs a tenth of a second; the processor is always there.
    const std::vector<std::string> devices =
        options.device == "cpu" ? std::vector<std::string>{"cpu"} : Devices();
    if (std::ranges::find(devices, options.device) == devices.end()) {
      return Err(
          NotFoundError("OpenVINO finds no device \"" + options.device + "\" on this machine"));
    }
    return LoadOpenVinoModel(*runtime, model, options);
  }

 private:
  // Opened at the first call; a failure is not remembered, so that a library put there later is
  // found.
  Result<const OpenVinoRuntime*> Runtime() {
    const std::scoped_lock lock(mutex_);
    if (runtime_ == nullptr) {
      SELVEDGE_ASSIGN_OR_RETURN(runtime_, OpenVinoRuntime::Open());
    }
    return runtime_.get();
  }

  std::mutex mutex_;
  std::unique_ptr<OpenVinoRuntime> runtime_;
};

}  // namespace

std::unique_ptr<EngineBackend> MakeOpenVinoBackend() {
  return std::make_unique<OpenVinoBackend>();
}

}  // namespace selvedge
