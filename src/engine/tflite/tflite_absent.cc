// Stands in for TensorFlow Lite where its headers were not there at build time: it comes from
// Maven, which needs Java, so tools/setup fetches it only when asked. The engine is listed, and
// says how to get it.

#include "engine/tflite/tflite_backend.h"

namespace selvedge {
namespace {

class AbsentTfLiteBackend : public EngineBackend {
 public:
  std::string_view name() const override { return "tflite"; }
  Result<std::string> Probe() override { return Err(Absent()); }
  std::vector<std::string> Devices() override { return {"cpu"}; }
  bool Reads(std::string_view path) const override { return path.ends_with(".tflite"); }
  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> /*model*/,
                                       const EngineOptions& /*options*/) override {
    return Err(Absent());
  }

 private:
  static Status Absent() {
    return NotFoundError(
        "this build has no TensorFlow Lite; run `tools/setup --with-tflite`, then `make build`");
  }
};

}  // namespace

std::unique_ptr<EngineBackend> MakeTfLiteBackend() {
  return std::make_unique<AbsentTfLiteBackend>();
}

}  // namespace selvedge
