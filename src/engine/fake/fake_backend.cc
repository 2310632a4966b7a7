#include "engine/fake/fake_backend.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "engine/fake/fake_model.h"
#include "engine/loading.h"
#include "engine/tensor_storage.h"

namespace selvedge {
namespace {

struct LoadedFake {
  FakeModel model;
  EngineInfo info;
  std::atomic<std::int64_t> calls{0};
};

// Element `i` of a tensor as a number; half floats are not needed by any test and read as 0.
double ReadElement(const TensorView& view, std::size_t i) {
  switch (view.type) {
    case DataType::kFloat32: return view.As<float>()[i];
    case DataType::kUint8:
    case DataType::kBool: return view.As<std::uint8_t>()[i];
    case DataType::kInt8: return view.As<std::int8_t>()[i];
    case DataType::kInt32: return view.As<std::int32_t>()[i];
    case DataType::kInt64: return static_cast<double>(view.As<std::int64_t>()[i]);
    case DataType::kFloat16:
    case DataType::kBfloat16: return 0;
  }
  return 0;
}

template <typename T>
void FillAs(const TensorView& view, double value) {
  // Out of range is undefined in a plain conversion; a test that sums large integers wants the
  // limit.
  const double low = static_cast<double>(std::numeric_limits<T>::lowest());
  const double high = static_cast<double>(std::numeric_limits<T>::max());
  const T element = value <= low    ? std::numeric_limits<T>::lowest()
                    : value >= high ? std::numeric_limits<T>::max()
                                    : static_cast<T>(value);
  std::ranges::fill(view.As<T>(), element);
}

void Fill(const TensorView& view, double value) {
  switch (view.type) {
    case DataType::kFloat32: FillAs<float>(view, value); return;
    case DataType::kUint8:
    case DataType::kBool: FillAs<std::uint8_t>(view, value); return;
    case DataType::kInt8: FillAs<std::int8_t>(view, value); return;
    case DataType::kInt32: FillAs<std::int32_t>(view, value); return;
    case DataType::kInt64: FillAs<std::int64_t>(view, value); return;
    case DataType::kFloat16:
    case DataType::kBfloat16: return;
  }
}

class FakeExecution : public Execution {
 public:
  explicit FakeExecution(std::shared_ptr<LoadedFake> fake) : fake_(std::move(fake)) {}

  Status Prepare() {
    for (const TensorSpec& spec : fake_->info.inputs) {
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const TensorView view, storage_.Add(spec));
      inputs_.push_back(view);
    }
    for (const TensorSpec& spec : fake_->info.outputs) {
      SELVEDGE_ASSIGN_OR_RETURN_STATUS(const TensorView view, storage_.Add(spec));
      outputs_.push_back(view);
    }
    return OkStatus();
  }

  std::span<const TensorView> inputs() const override { return inputs_; }
  std::span<const TensorView> outputs() const override { return outputs_; }

  Status Run() override {
    const FakeModel& model = fake_->model;
    Spend(model);
    std::int64_t key = fake_->calls.fetch_add(1);
    if (model.key_input >= 0) {
      const TensorView& input = inputs_[static_cast<std::size_t>(model.key_input)];
      key = input.bytes > 0 ? std::llround(ReadElement(input, 0)) : 0;
    }
    if (const auto failure = model.failures.find(key); failure != model.failures.end()) {
      return InternalError("running the model: " + failure->second);
    }
    if (model.repeat && model.last_key >= 0) key %= model.last_key + 1;
    for (std::size_t i = 0; i < outputs_.size(); ++i) Compute(model.outputs[i], key, outputs_[i]);
    return OkStatus();
  }

 private:
  static void Spend(const FakeModel& model) {
    if (model.sleep > 0) std::this_thread::sleep_for(std::chrono::nanoseconds(model.sleep));
    // Processor time of this thread: a busy Run costs the same on a loaded machine.
    const Nanos end = model.busy > 0 ? ThreadCpuTime() + model.busy : 0;
    while (model.busy > 0 && ThreadCpuTime() < end) {
    }
  }

  void Compute(const FakeOutput& output, std::int64_t key, const TensorView& to) const {
    switch (output.function) {
      case FakeFunction::kFill: Fill(to, output.value); return;
      case FakeFunction::kCopy:
        std::memcpy(to.data, inputs_[output.operands[0]].data, to.bytes);
        return;
      case FakeFunction::kAdd:
        std::ranges::transform(inputs_[output.operands[0]].As<float>(),
                               inputs_[output.operands[1]].As<float>(), to.As<float>().begin(),
                               std::plus<>());
        return;
      case FakeFunction::kSum: {
        double sum = 0;
        for (const std::size_t operand : output.operands) {
          const TensorView& input = inputs_[operand];
          for (std::size_t i = 0; i < input.bytes / SizeOf(input.type); ++i) {
            sum += ReadElement(input, i);
          }
        }
        Fill(to, sum);
        return;
      }
      case FakeFunction::kRows: {
        std::memset(to.data, 0, to.bytes);
        const auto rows = output.script.find(key);
        if (rows != output.script.end()) std::ranges::copy(rows->second, to.As<float>().begin());
        return;
      }
    }
  }

  std::shared_ptr<LoadedFake> fake_;
  TensorStorage storage_;
  std::vector<TensorView> inputs_;
  std::vector<TensorView> outputs_;
};

class FakeEngine : public Engine {
 public:
  explicit FakeEngine(std::shared_ptr<LoadedFake> fake) : fake_(std::move(fake)) {}
  const EngineInfo& Describe() const override { return fake_->info; }
  Result<std::unique_ptr<Execution>> NewExecution() override {
    auto execution = std::make_unique<FakeExecution>(fake_);
    SELVEDGE_RETURN_ERR_IF_ERROR(execution->Prepare());
    return execution;
  }

 private:
  std::shared_ptr<LoadedFake> fake_;
};

class FakeBackend : public EngineBackend {
 public:
  std::string_view name() const override { return "fake"; }
  Result<std::string> Probe() override { return "1"; }
  std::vector<std::string> Devices() override { return {"cpu"}; }
  bool Reads(std::string_view path) const override { return HasExtension(path, ".fake"); }

  Result<std::unique_ptr<Engine>> Load(std::span<const std::byte> model,
                                       const EngineOptions& options) override {
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(model, options));
    if (options.device != "cpu") {
      return Err(NotFoundError("the fake engine has no device \"" + options.device + "\""));
    }
    auto fake = std::make_shared<LoadedFake>();
    SELVEDGE_ASSIGN_OR_RETURN(
        fake->model, FakeModel::Parse({reinterpret_cast<const char*>(model.data()), model.size()}));
    EngineInfo& info = fake->info;
    info = {.name = "fake",
            .version = "1",
            .device = "cpu",
            .precision = "fp32",
            .threads = options.threads,
            .inputs = fake->model.inputs};
    SELVEDGE_RETURN_ERR_IF_ERROR(FixInputShapes(options, &info.inputs));
    for (const FakeOutput& output : fake->model.outputs) {
      TensorSpec spec = output.spec;
      // Only copy and add follow their input's shape; others must say theirs.
      const bool follows =
          output.function == FakeFunction::kCopy || output.function == FakeFunction::kAdd;
      if (follows) spec.shape = info.inputs[output.operands[0]].shape;
      if (output.function == FakeFunction::kAdd &&
          info.inputs[output.operands[1]].shape != spec.shape) {
        return Err(
            InvalidArgumentError("output \"" + spec.name + "\" adds inputs of different shapes"));
      }
      info.outputs.push_back(std::move(spec));
    }
    return std::make_unique<FakeEngine>(std::move(fake));
  }
};

}  // namespace

std::unique_ptr<EngineBackend> MakeFakeBackend() {
  return std::make_unique<FakeBackend>();
}

}  // namespace selvedge
