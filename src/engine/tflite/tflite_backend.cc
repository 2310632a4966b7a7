#include "engine/tflite/tflite_backend.h"

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/library.h"
#include "engine/loading.h"
#include "engine/tflite/tflite_model.h"
#include "engine/tflite/tflite_runtime.h"

namespace selvedge {
namespace {

// The Coral runtime: a system package on devices that have it, else in an engine folder.
const LibraryNames& EdgeTpuNames() {
  static const LibraryNames names = {.engine = "edgetpu", .files = {"libedgetpu.so"}};
  return names;
}

std::vector<std::string> EdgeTpuFolders() {
  std::vector<std::string> folders = EngineFolders();
  for (const char* folder :
       {"/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/local/lib", "/usr/lib"}) {
    folders.emplace_back(folder);
  }
  return folders;
}

class TfLiteBackend : public EngineBackend {
 public:
  std::string_view name() const override { return "tflite"; }

  Result<std::string> Probe() override {
    SELVEDGE_ASSIGN_OR_RETURN(const TfLiteRuntime* runtime, Runtime());
    return runtime->version;
  }

  std::string Identity() override {
    std::string identity = LibraryIdentity(TfLiteRuntime::Names());
    return identity.empty() ? EngineBackend::Identity() : identity;
  }

  std::vector<std::string> Devices() override {
    std::vector<std::string> devices = {"cpu"};
    if (!FindLibraryFile(EdgeTpuNames(), EdgeTpuFolders()).empty()) devices.emplace_back("edgetpu");
    return devices;
  }

  bool Reads(std::string_view path) const override { return HasExtension(path, ".tflite"); }

  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> model,
                                       const EngineOptions& options) override {
    SELVEDGE_ASSIGN_OR_RETURN(const TfLiteRuntime* runtime, Runtime());
    std::optional<ExternalDelegate> external;
    if (options.device == "edgetpu") {
      SELVEDGE_ASSIGN_OR_RETURN(const Library library,
                                Library::Open(EdgeTpuNames(), EdgeTpuFolders()));
      SELVEDGE_ASSIGN_OR_RETURN(external, ExternalDelegate::From(library));
    } else if (options.device != "cpu") {
      return Err(NotFoundError("TensorFlow Lite has no device \"" + options.device +
                               "\"; it knows cpu and edgetpu"));
    }
    return LoadTfLiteModel(*runtime, model, options, external);
  }

 private:
  // Opened at the first call; a failure is not remembered, so that a library put there later is
  // found.
  Result<const TfLiteRuntime*> Runtime() {
    const std::scoped_lock lock(mutex_);
    if (runtime_ == nullptr) {
      SELVEDGE_ASSIGN_OR_RETURN(runtime_, TfLiteRuntime::Open());
    }
    return runtime_.get();
  }

  std::mutex mutex_;
  std::unique_ptr<TfLiteRuntime> runtime_;
};

}  // namespace

std::unique_ptr<EngineBackend> MakeTfLiteBackend() {
  return std::make_unique<TfLiteBackend>();
}

}  // namespace selvedge
