#pragma once

// Engine: a loaded model, and Execution: one caller's place to run it.
//
//   Result<std::unique_ptr<Engine>> engine = backend.Load(model_bytes, options);
//   Result<std::unique_ptr<Execution>> execution = (*engine)->NewExecution();
//   ... write into (*execution)->inputs()[0] ..., (*execution)->Run(), read (*execution)->outputs()
//
// Threads: an Engine may be used from any thread. An Execution belongs to one caller at a time;
// several Executions of one Engine run at the same time and share its weights. Memory: an Execution
// owns its input and output tensors; they stay where they are until it is destroyed (outputs of
// models with unfixed output shapes: until the next Run). After the first Run nothing of ours is
// allocated. The model's bytes may be freed once Load has returned. Failure: a model that is empty,
// corrupt, or has an operator the engine does not know is InvalidArgument or Unimplemented from
// Load, with the engine's own word; an engine that is not on this machine is NotFound.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"

namespace selvedge {

struct EngineOptions {
  int threads = 1;  // processor threads one Run may use
  int callers = 1;  // Executions that will run at the same time (OpenVINO: streams)
  // "cpu", or what the engine offers: "gpu", "npu", "cuda", "tensorrt", "edgetpu".
  std::string device = "cpu";
  // Precision to compute in: "" leaves it to the model ("fp32" weights are computed as fp32, never
  // silently in bf16), "bf16" or "fp16" allow less where the processor has it. EngineInfo tells
  // what is in effect.
  std::string precision;
  // Fixed shapes for inputs whose shape is not, in the model's order; empty: the model's own.
  std::vector<Shape> input_shapes;
  // Engines that compile keep their result here, readable by its owner only; empty: nowhere. A
  // model whose weights must not lie in the clear on a disk is loaded without.
  std::string cache_folder;
  // "sha256:…" of the model's bytes: what the kept result is found by. Empty: nothing is kept.
  std::string model_digest;
};

struct EngineInfo {
  std::string name;       // "onnxruntime"
  std::string version;    // of the library that runs
  std::string device;     // in effect
  std::string precision;  // in effect
  int threads = 1;        // in effect
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> outputs;
};

class Execution {
 public:
  virtual ~Execution() = default;
  // In the order of EngineInfo::inputs. Writable, contiguous, aligned to 64 bytes.
  virtual std::span<const TensorView> inputs() const = 0;
  virtual Status Run() = 0;
  // Valid after a Run, in the order of EngineInfo::outputs.
  virtual std::span<const TensorView> outputs() const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  virtual const EngineInfo& Describe() const = 0;
  virtual Result<std::unique_ptr<Execution>> NewExecution() = 0;
};

// Where Engines come from: one per engine library, cheap to make; opens the library at the first
// Load.
class EngineBackend {
 public:
  virtual ~EngineBackend() = default;
  virtual std::string_view name() const = 0;  // "onnxruntime", "openvino", "tflite", "fake"
  // The library's version, or NotFound saying where it was looked for. Opens the library.
  virtual Result<std::string> Probe() = 0;
  // Names the library that Load would open, by file, size and time of change where it can be told
  // without opening it (opening costs up to 20 MiB that stay); empty where it is not on this
  // machine.
  virtual std::string Identity();
  // Devices it can use here, "cpu" first.
  virtual std::vector<std::string> Devices() = 0;
  // Whether a file of this name or with these first bytes can be this engine's at all (".onnx",
  // ".tflite").
  virtual bool Reads(std::string_view path) const = 0;
  virtual Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> model,
                                               const EngineOptions& options) = 0;
};

// Copies `values` into input `index` after checking type, shape and size: for callers that have
// their data elsewhere (a server's request, a test). InvalidArgument names the tensor, what was
// given and what was expected.
Status CopyInput(const Execution& execution, const EngineInfo& info, std::size_t index,
                 const TensorView& values);

}  // namespace selvedge
