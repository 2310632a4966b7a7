// What engine.h promises, checked on every engine that this build knows and in every format that it
// reads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/cpu.h"
#include "contract/engine_models.h"
#include "contract/our_allocations.h"
#include "engine/backends/backends.h"

namespace selvedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EngineContract : public ::testing::TestWithParam<ContractCase> {
 protected:
  void SetUp() override {
    backend_ = FindBackend(GetParam().engine);
    ASSERT_NE(backend_, nullptr);
    if (Result<std::string> version = backend_->Probe(); !version) {
      GTEST_SKIP() << version.error().message();
    }
  }

  std::string Bytes(ContractModel model) const { return ModelBytes(model, GetParam().format); }

  Result<std::unique_ptr<Engine>> Load(const std::string& bytes,
                                       const EngineOptions& options = {}) const {
    return backend_->Load(AsBytes(bytes), options);
  }

  std::unique_ptr<Engine> LoadOrDie(ContractModel model, const EngineOptions& options = {}) const {
    Result<std::unique_ptr<Engine>> engine = Load(Bytes(model), options);
    EXPECT_TRUE(engine.has_value()) << engine.error().ToString();
    return engine ? *std::move(engine) : nullptr;
  }

  static std::unique_ptr<Execution> NewExecution(Engine& engine) {
    Result<std::unique_ptr<Execution>> execution = engine.NewExecution();
    EXPECT_TRUE(execution.has_value()) << execution.error().ToString();
    return execution ? *std::move(execution) : nullptr;
  }

  static void Write(const Execution& execution, std::size_t index, std::vector<float> values) {
    std::ranges::copy(values, execution.inputs()[index].As<float>().begin());
  }

  EngineBackend* backend_ = nullptr;
};

TEST_P(EngineContract, SaysWhatItIs) {
  auto engine = LoadOrDie(ContractModel::kAdd);
  const EngineInfo& info = engine->Describe();
  EXPECT_EQ(info.name, GetParam().engine);
  EXPECT_EQ(info.version, *backend_->Probe());
  EXPECT_EQ(info.device, "cpu");
  EXPECT_EQ(info.precision, "fp32");
  EXPECT_EQ(info.threads, 1);
  ASSERT_EQ(info.inputs.size(), 2);
  ASSERT_EQ(info.outputs.size(), 1);
  EXPECT_EQ(info.inputs[0].ToString(), "a float32 [1,4]");
  EXPECT_EQ(info.inputs[1].ToString(), "b float32 [1,4]");
  EXPECT_EQ(info.outputs[0].ToString(), "sum float32 [1,4]");
}

TEST_P(EngineContract, ReadsItsFormatWhateverTheCase) {
  const std::string format = GetParam().format;
  EXPECT_TRUE(backend_->Reads("models/a." + format));
  EXPECT_FALSE(backend_->Reads("models/a." + format + ".gz"));
  EXPECT_FALSE(backend_->Reads("models/a.pt"));
  std::string upper = format;
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
  EXPECT_TRUE(backend_->Reads("A." + upper));
  EXPECT_EQ(backend_->Devices().front(), "cpu");
}

TEST_P(EngineContract, Adds) {
  auto engine = LoadOrDie(ContractModel::kAdd);
  auto execution = NewExecution(*engine);
  Write(*execution, 0, {1, 2, 3, 4});
  Write(*execution, 1, {10, 20, 30, 40});
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(11, 22, 33, 44));
  Write(*execution, 0, {-1, 0, 0.5F, 1e6F});
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(9, 20, 30.5F, 1e6F + 40));
}

TEST_P(EngineContract, MultipliesByItsWeights) {
  for (const int threads : {1, 2}) {
    auto engine = LoadOrDie(ContractModel::kMatMul, {.threads = threads});
    auto execution = NewExecution(*engine);
    Write(*execution, 0, {1, 2, 3, 4});
    ASSERT_TRUE(execution->Run().ok());
    EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(60, 70, 80));
    EXPECT_EQ(execution->outputs()[0].shape, (Shape{1, 3}));
  }
}

TEST_P(EngineContract, ModelBytesMayGoAfterLoadAndTheEngineBeforeItsExecutions) {
  std::string bytes = Bytes(ContractModel::kMatMul);
  Result<std::unique_ptr<Engine>> engine = Load(bytes);
  ASSERT_TRUE(engine.has_value());
  std::ranges::fill(bytes, '\x55');
  bytes.clear();
  bytes.shrink_to_fit();
  auto execution = NewExecution(**engine);
  auto second = NewExecution(**engine);
  engine->reset();
  for (Execution* e : {execution.get(), second.get()}) {
    Write(*e, 0, {1, 2, 3, 4});
    ASSERT_TRUE(e->Run().ok());
    EXPECT_THAT(e->outputs()[0].As<float>(), ElementsAre(60, 70, 80));
  }
}

TEST_P(EngineContract, TensorsAreAlignedAndStayWhereTheyAre) {
  auto engine = LoadOrDie(ContractModel::kAdd);
  auto execution = NewExecution(*engine);
  const auto addresses = [&] {
    std::vector<void*> list;
    for (const TensorView& view : execution->inputs()) list.push_back(view.data);
    for (const TensorView& view : execution->outputs()) list.push_back(view.data);
    return list;
  };
  const std::vector<void*> before = addresses();
  for (const TensorView& view : execution->inputs()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 64, 0);
    EXPECT_EQ(view.bytes, 16);
  }
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(execution->Run().ok());
  EXPECT_EQ(addresses(), before);
}

TEST_P(EngineContract, NothingOfOursIsAllocatedByARun) {
  auto engine = LoadOrDie(ContractModel::kAdd);
  auto execution = NewExecution(*engine);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(execution->Run().ok());
  const OurAllocations counter;
  bool ok = true;
  for (int i = 0; i < 100; ++i) ok = execution->Run().ok() && ok;
  const std::uint64_t ours = counter.ours();
  EXPECT_TRUE(ok);
  EXPECT_EQ(ours, 0);
}

TEST_P(EngineContract, ExecutionsRunAtTheSameTimeEachWithItsOwnInputs) {
  constexpr int kCallers = 4;
  auto engine = LoadOrDie(ContractModel::kAdd, {.callers = kCallers});
  std::vector<std::unique_ptr<Execution>> executions;
  for (int i = 0; i < kCallers; ++i) executions.push_back(NewExecution(*engine));
  std::vector<int> wrong(kCallers, 0);
  {
    std::vector<std::jthread> threads;
    for (int caller = 0; caller < kCallers; ++caller) {
      threads.emplace_back([&, caller] {
        const auto index = static_cast<std::size_t>(caller);
        Execution& execution = *executions[index];
        for (int i = 0; i < 200; ++i) {
          const auto base = static_cast<float>(1000 * caller + i);
          Write(execution, 0, {base, base + 1, base + 2, base + 3});
          Write(execution, 1, {1, 1, 1, 1});
          if (!execution.Run().ok()) ++wrong[index];
          const auto sum = execution.outputs()[0].As<float>();
          for (std::size_t k = 0; k < 4; ++k) {
            if (sum[k] != base + static_cast<float>(k) + 1) ++wrong[index];
          }
        }
      });
    }
  }
  EXPECT_THAT(wrong, ::testing::Each(0));
}

TEST_P(EngineContract, UnfixedShapesAreFixedByTheOptions) {
  const EngineOptions options = {.input_shapes = {Shape{2, 4}, Shape{2, 4}}};
  auto engine = LoadOrDie(ContractModel::kUnfixed, options);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->Describe().inputs[0].shape, (Shape{2, 4}));
  auto execution = NewExecution(*engine);
  ASSERT_EQ(execution->inputs()[0].bytes, 32);
  Write(*execution, 0, {1, 2, 3, 4, 5, 6, 7, 8});
  Write(*execution, 1, {1, 1, 1, 1, 2, 2, 2, 2});
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(execution->Run().ok());
    ASSERT_EQ(execution->outputs()[0].shape, (Shape{2, 4}));
    EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(2, 3, 4, 5, 7, 8, 9, 10));
  }
}

TEST_P(EngineContract, ShapesThatCannotBeAreRefused) {
  const std::vector<std::vector<Shape>> wrong = {
      {Shape{1, 4}},                  // one for two inputs
      {Shape{2, 5}, Shape{2, 5}},     // a dimension that the model fixes
      {Shape{1, 1, 4}, Shape{1, 4}},  // another rank
      {Shape{-1, 4}, Shape{-1, 4}},   // still not fixed
      {Shape{std::int64_t{1} << 60, 4}, Shape{std::int64_t{1} << 60, 4}},  // no such memory
  };
  for (const std::vector<Shape>& shapes : wrong) {
    Result<std::unique_ptr<Engine>> engine =
        Load(Bytes(ContractModel::kUnfixed), {.input_shapes = shapes});
    Status status = engine ? engine.value()->NewExecution().error() : engine.error();
    EXPECT_THAT(status.code(),
                ::testing::AnyOf(StatusCode::kInvalidArgument, StatusCode::kResourceExhausted))
        << shapes[0].ToString() << ": " << status.ToString();
  }
  Result<std::unique_ptr<Engine>> none = Load(Bytes(ContractModel::kUnfixed));
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(none.error().message(), HasSubstr("\"a\""));
}

TEST_P(EngineContract, CopyInputChecksTypeShapeAndSize) {
  auto engine = LoadOrDie(ContractModel::kAdd);
  auto execution = NewExecution(*engine);
  const EngineInfo& info = engine->Describe();
  float values[4] = {1, 2, 3, 4};
  const TensorView good = {
      .type = DataType::kFloat32, .shape = {1, 4}, .data = values, .bytes = 16};
  ASSERT_TRUE(CopyInput(*execution, info, 0, good).ok());
  ASSERT_TRUE(CopyInput(*execution, info, 1, good).ok());
  ASSERT_TRUE(execution->Run().ok());
  EXPECT_THAT(execution->outputs()[0].As<float>(), ElementsAre(2, 4, 6, 8));

  TensorView bad = good;
  bad.type = DataType::kInt32;
  Status status = CopyInput(*execution, info, 1, bad);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "input \"b\" was given int32 [1,4] but expects float32 [1,4]");
  bad = good;
  bad.shape = {4, 1};
  EXPECT_EQ(CopyInput(*execution, info, 0, bad).code(), StatusCode::kInvalidArgument);
  bad = good;
  bad.bytes = 12;
  EXPECT_EQ(CopyInput(*execution, info, 0, bad).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CopyInput(*execution, info, 2, good).code(), StatusCode::kInvalidArgument);
}

TEST_P(EngineContract, AnEmptyModelIsRefused) {
  Result<std::unique_ptr<Engine>> engine = Load("");
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(engine.error().message(), HasSubstr("empty"));
}

TEST_P(EngineContract, AnUnknownOperatorIsUnimplemented) {
  Result<std::unique_ptr<Engine>> engine = Load(Bytes(ContractModel::kUnknown));
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code(), StatusCode::kUnimplemented) << engine.error().ToString();
  EXPECT_THAT(engine.error().message(), ::testing::AnyOf(HasSubstr("Nobody"), HasSubstr("nobody")));
}

TEST_P(EngineContract, OptionsThatCannotBeAreRefused) {
  const std::string bytes = Bytes(ContractModel::kAdd);
  EXPECT_EQ(Load(bytes, {.threads = 0}).error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Load(bytes, {.callers = 1000}).error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(Load(bytes, {.device = "abacus"}).error().code(), StatusCode::kNotFound);
}

TEST_P(EngineContract, GarbageIsRefused) {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same garbage every time
  for (const std::size_t size : {1U, 7U, 8U, 64U, 4096U}) {
    std::string garbage(size, '\0');
    for (char& c : garbage) c = static_cast<char>(random());
    Result<std::unique_ptr<Engine>> engine = Load(garbage);
    ASSERT_FALSE(engine.has_value()) << size;
    EXPECT_EQ(engine.error().code(), StatusCode::kInvalidArgument) << engine.error().ToString();
    EXPECT_FALSE(engine.error().message().empty());
  }
}

TEST_P(EngineContract, ATruncatedModelIsRefused) {
  // The fake's text and the containers' last bytes may end anywhere; half of any model is none.
  const std::string whole = Bytes(ContractModel::kMatMul);
  for (std::size_t size = 1; size <= whole.size() / 2; ++size) {
    Result<std::unique_ptr<Engine>> engine = Load(whole.substr(0, size));
    ASSERT_FALSE(engine.has_value()) << size << " of " << whole.size() << " bytes were taken";
  }
}

TEST_P(EngineContract, ADamagedModelIsRefusedOrRuns) {
  // A flipped weight is a weight; whatever else is flipped must not end the process.
  const std::string whole = Bytes(ContractModel::kMatMul);
  std::mt19937 random(11);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same damage every time
  int refused = 0;
  for (int round = 0; round < 150; ++round) {
    std::string damaged = whole;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    Result<std::unique_ptr<Engine>> engine = Load(damaged);
    if (!engine) {
      EXPECT_FALSE(engine.error().message().empty());
      ++refused;
      continue;
    }
    Result<std::unique_ptr<Execution>> execution = (*engine)->NewExecution();
    if (execution) (void)(*execution)->Run();
  }
  EXPECT_GT(refused, 0);
}

// What the process has open or mapped, as the kernel names it.
std::vector<std::string> OpenFiles() {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error)) {
    names.push_back(fs::read_symlink(entry.path(), error).string());
  }
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (const std::size_t path = line.find('/'); path != std::string::npos) {
      names.push_back(line.substr(path));
    }
  }
  return names;
}

TEST_P(EngineContract, AnEngineReportsToNobody) {
  // ONNX Runtime's published builds send usage data from a thread and a database of their own
  // unless told not to.
  auto engine = LoadOrDie(ContractModel::kAdd);
  auto execution = NewExecution(*engine);
  ASSERT_TRUE(execution->Run().ok());
  for (const std::string& name : OpenFiles()) {
    EXPECT_THAT(name, ::testing::Not(::testing::StartsWith("socket:")));
    EXPECT_THAT(name, ::testing::Not(HasSubstr(".db")));
  }
}

TEST_P(EngineContract, ReloadingDoesNotGrowMemory) {
  const std::string bytes = Bytes(ContractModel::kMatMul);
  const auto cycle = [&] {
    Result<std::unique_ptr<Engine>> engine = Load(bytes);
    ASSERT_TRUE(engine.has_value());
    auto execution = NewExecution(**engine);
    Write(*execution, 0, {1, 2, 3, 4});
    ASSERT_TRUE(execution->Run().ok());
    ASSERT_EQ(execution->outputs()[0].As<float>()[0], 60);
  };
  for (int i = 0; i < 20; ++i) cycle();
  const long before = ResidentBytes();
  for (int i = 0; i < 200; ++i) cycle();
  const long growth = ResidentBytes() - before;
#ifdef SELVEDGE_SANITIZED
  GTEST_SKIP() << "a sanitizer keeps freed memory: grew by " << growth << " bytes";
#endif
  EXPECT_LT(growth, 8 << 20);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, EngineContract,
    ::testing::Values(ContractCase{"onnxruntime", "onnx"}, ContractCase{"openvino", "onnx"},
                      ContractCase{"openvino", "tflite"}, ContractCase{"tflite", "tflite"},
                      ContractCase{"fake", "fake"}),
    [](const auto& info) { return std::string(info.param.engine) + "_" + info.param.format; });

}  // namespace
}  // namespace selvedge
