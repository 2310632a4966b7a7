#include <algorithm>
#include <charconv>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/cpu.h"
#include "engine/loading.h"
#include "engine/openvino/compiled_cache.h"
#include "engine/openvino/memory_file.h"
#include "engine/openvino/openvino_model.h"

namespace selvedge {
namespace {

bool IsTfLite(std::span<const std::byte> model) {
  // The FlatBuffers file identifier of the TensorFlow Lite schema stands after the root offset.
  constexpr std::string_view kIdentifier = "TFL3";
  constexpr std::size_t kPlace = 4;
  return model.size() >= kPlace + kIdentifier.size() &&
         std::memcmp(model.data() + kPlace, kIdentifier.data(), kIdentifier.size()) == 0;
}

// To the engine a file that it cannot make sense of is a failure like any other; to us it is bad
// input, and an operator that it does not know is Unimplemented.
Status AsLoadError(Status status) {
  if (status.code() != StatusCode::kInternal) return status;
  const std::string& message = status.message();
  const bool unknown = message.find("not supported operations") != std::string::npos ||
                       message.find("No translator found") != std::string::npos ||
                       message.find("No conversion rule") != std::string::npos ||
                       message.find("Not supported ONNX operations") != std::string::npos;
  return {unknown ? StatusCode::kUnimplemented : StatusCode::kInvalidArgument, message};
}

Status ReadModel(const OpenVinoRuntime& runtime, std::span<const std::byte> model,
                 OvOwnedModel* read) {
  const OpenVinoApi& api = runtime.api;
  if (IsTfLite(model)) {
    // OpenVINO reads this format from a named file only.
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const MemoryFile file,
                                     MemoryFile::Make(model, "model.tflite"));
    return AsLoadError(
        FromOv(api, api.ov_core_read_model(runtime.core, file.path().c_str(), nullptr, read->out()),
               "reading the model"));
  }
  return AsLoadError(FromOv(api,
                            api.ov_core_read_model_from_memory_buffer(
                                runtime.core, reinterpret_cast<const char*>(model.data()),
                                model.size(), nullptr, read->out()),
                            "reading the model"));
}

Result<TensorSpec> ReadSpec(const OpenVinoApi& api, const ov_output_const_port_t* port,
                            std::string_view kind, std::size_t index) {
  TensorSpec spec;
  // An output of the graph need not have a name of its own.
  spec.name = std::string(kind) + std::to_string(index);
  if (char* name = nullptr; api.ov_port_get_any_name(port, &name) == ov_status_e::OK) {
    spec.name = name;
    api.ov_free(name);
  }
  ov_element_type_e type = ov_element_type_e::DYNAMIC;
  ov_partial_shape_t shape = {};
  ov_status_e status = api.ov_port_get_element_type(port, &type);
  if (status == ov_status_e::OK) status = api.ov_port_get_partial_shape(port, &shape);
  SELVEDGE_RETURN_ERR_IF_ERROR(FromOv(api, status, "reading the shape of \"" + spec.name + "\""));
  std::vector<std::int64_t> dims;
  const bool ranked = shape.rank.min == shape.rank.max && shape.rank.min >= 0;
  for (std::int64_t i = 0; ranked && i < shape.rank.max; ++i) {
    const ov_dimension_t& dim = shape.dims[i];
    dims.push_back(dim.min == dim.max ? dim.min : -1);
  }
  api.ov_partial_shape_free(&shape);
  if (!ranked) {
    return Err(
        UnimplementedError("tensor \"" + spec.name + "\" has no fixed number of dimensions"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(spec.type, FromOvType(type, spec.name));
  SELVEDGE_ASSIGN_OR_RETURN(spec.shape, Shape::From(dims));
  return spec;
}

// The compiled model's inputs or outputs.
Result<std::vector<TensorSpec>> ReadSpecs(const OpenVinoApi& api, ov_compiled_model_t* compiled,
                                          bool inputs) {
  std::size_t count = 0;
  SELVEDGE_RETURN_ERR_IF_ERROR(
      FromOv(api,
             (inputs ? api.ov_compiled_model_inputs_size : api.ov_compiled_model_outputs_size)(
                 compiled, &count),
             "counting the model's tensors"));
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < count; ++i) {
    OvOwnedPort port(api);
    SELVEDGE_RETURN_ERR_IF_ERROR(FromOv(
        api,
        (inputs ? api.ov_compiled_model_input_by_index : api.ov_compiled_model_output_by_index)(
            compiled, i, port.out()),
        "reading a tensor of the model"));
    SELVEDGE_ASSIGN_OR_RETURN(TensorSpec spec,
                              ReadSpec(api, port.get(), inputs ? "input" : "output", i));
    specs.push_back(std::move(spec));
  }
  return specs;
}

// Gives unfixed inputs the shapes of the options, before the model is compiled for them.
Status FixShapes(const OpenVinoApi& api, const EngineOptions& options, ov_model_t* model) {
  std::size_t count = 0;
  SELVEDGE_RETURN_IF_ERROR(
      FromOv(api, api.ov_model_inputs_size(model, &count), "counting the model's inputs"));
  std::vector<TensorSpec> specs;
  bool changed = false;
  for (std::size_t i = 0; i < count; ++i) {
    OvOwnedPort port(api);
    SELVEDGE_RETURN_IF_ERROR(FromOv(api, api.ov_model_const_input_by_index(model, i, port.out()),
                                    "reading an input of the model"));
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorSpec spec, ReadSpec(api, port.get(), "input", i));
    changed = changed || !spec.shape.IsFixed();
    specs.push_back(std::move(spec));
  }
  SELVEDGE_RETURN_IF_ERROR(FixInputShapes(options, &specs));
  if (!changed) return OkStatus();
  std::vector<const char*> names;
  std::vector<ov_partial_shape_t> shapes;
  ov_status_e status = ov_status_e::OK;
  for (const TensorSpec& spec : specs) {
    names.push_back(spec.name.c_str());
    shapes.emplace_back();
    if (status == ov_status_e::OK) {
      status = api.ov_partial_shape_create_static(static_cast<std::int64_t>(spec.shape.rank()),
                                                  spec.shape.dims().data(), &shapes.back());
    }
  }
  if (status == ov_status_e::OK) {
    status = api.ov_model_reshape(model, names.data(), shapes.data(), names.size());
  }
  for (ov_partial_shape_t& shape : shapes) api.ov_partial_shape_free(&shape);
  return AsLoadError(FromOv(api, status, "fixing the model's input shapes"));
}

std::string ReadProperty(const OpenVinoApi& api, ov_compiled_model_t* compiled, const char* key) {
  char* text = nullptr;
  if (api.ov_compiled_model_get_property(compiled, key, &text) != ov_status_e::OK) return {};
  std::string value = text;
  api.ov_free(text);
  return value;
}

// OpenVINO's word for a precision of ours, empty where there is none.
std::string PrecisionHint(std::string_view precision) {
  if (precision.empty() || precision == "fp32") return "f32";
  if (precision == "fp16") return "f16";
  if (precision == "bf16") return "bf16";
  return "";
}

// How the model is to be run, as OpenVINO is told it.
struct CompileSettings {
  std::string device;  // "CPU"
  std::vector<std::pair<std::string, std::string>> properties;
};

Result<CompileSettings> SettingsOf(const EngineOptions& options) {
  const std::string precision = PrecisionHint(options.precision);
  if (precision.empty()) {
    return Err(InvalidArgumentError("unknown precision \"" + options.precision +
                                    "\"; an engine computes in fp32, bf16 or fp16"));
  }
  CompileSettings settings{.device = options.device};
  std::ranges::transform(settings.device, settings.device.begin(),
                         [](unsigned char c) { return std::toupper(c); });
  settings.properties = {{"INFERENCE_PRECISION_HINT", precision}};
  if (settings.device == "CPU") {
    settings.properties.emplace_back("NUM_STREAMS", std::to_string(options.callers));
    settings.properties.emplace_back("INFERENCE_NUM_THREADS",
                                     std::to_string(options.threads * options.callers));
    // Capture, preprocessing and decisions share the processors with inference.
    settings.properties.emplace_back("ENABLE_CPU_PINNING", "NO");
  }
  return settings;
}

Status Compile(const EngineOptions& options, const CompileSettings& settings,
               const ov_model_t* read, OpenVinoModel* model) {
  const OpenVinoApi& api = model->runtime.api;
  std::vector<ov_property_t> properties;
  for (const auto& [key, value] : settings.properties) {
    properties.push_back({key.c_str(), value.c_str()});
  }
  return AsLoadError(FromOv(
      api,
      api.ov_core_compile_model_props(model->runtime.core, read, settings.device.c_str(),
                                      properties.size(), properties.data(), model->compiled.out()),
      "compiling the model for " + options.device));
}

// Takes a compiled model that was kept. The C API imports with the core's properties and takes none
// of its own, so they are set there first; compiling names each of them, so nothing else sees the
// change.
Status Import(const CompileSettings& settings, MappedFile file, OpenVinoModel* model) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const OpenVinoApi& api = model->runtime.api;
  const char* device = settings.device.c_str();
  for (const auto& [key, value] : settings.properties) {
    SELVEDGE_RETURN_IF_ERROR(FromOv(
        api, api.ov_core_set_property(model->runtime.core, device, key.c_str(), value.c_str()),
        "setting " + key));
  }
  model->kept.emplace(std::move(file));
  const auto content = model->kept->content();
  return FromOv(
      api,
      api.ov_core_import_model(model->runtime.core, reinterpret_cast<const char*>(content.data()),
                               content.size(), device, model->compiled.out()),
      "taking over a compiled model");
}

// Everything that a compiled model depends on.
std::string FactsOf(const OpenVinoRuntime& runtime, const EngineOptions& options,
                    const CompileSettings& settings) {
  std::string facts = options.model_digest + '\n' + runtime.version + '\n' + settings.device +
                      '\n' + CpuFingerprint() + '\n';
  for (const auto& [key, value] : settings.properties)
    facts.append(key).append("=").append(value).append("\n");
  for (const Shape& shape : options.input_shapes) facts += shape.ToString();
  return facts;
}

Status Describe(const EngineOptions& options, OpenVinoModel* model) {
  const OpenVinoApi& api = model->runtime.api;
  ov_compiled_model_t* compiled = model->compiled.get();
  EngineInfo& info = model->info;
  info.name = "openvino";
  info.version = model->runtime.version;
  info.device = options.device;
  const std::string precision = ReadProperty(api, compiled, "INFERENCE_PRECISION_HINT");
  info.precision = precision == "f16" ? "fp16" : precision == "bf16" ? "bf16" : "fp32";
  info.threads = options.threads;
  const std::string threads = ReadProperty(api, compiled, "INFERENCE_NUM_THREADS");
  int all = 0;
  std::from_chars(threads.data(), threads.data() + threads.size(), all);
  if (all > 0) {
    info.threads = std::max(1, all / options.callers);
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(info.inputs, ReadSpecs(api, compiled, true));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(info.outputs, ReadSpecs(api, compiled, false));
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<Engine>> LoadOpenVinoModel(const OpenVinoRuntime& runtime,
                                                  std::span<const std::byte> model,
                                                  const EngineOptions& options) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(model, options));
  SELVEDGE_ASSIGN_OR_RETURN(const CompileSettings settings, SettingsOf(options));
  std::optional<CompiledCache> cache;
  if (!options.cache_folder.empty() && !options.model_digest.empty()) {
    cache.emplace(options.cache_folder, FactsOf(runtime, options, settings));
  }
  auto loaded = std::make_shared<OpenVinoModel>(runtime);
  const bool kept = cache && cache->Load([&](MappedFile file) {
    return Import(settings, std::move(file), loaded.get());
  });
  if (!kept) {
    // The model as read goes as soon as it is compiled: it holds a second copy of the weights.
    OvOwnedModel read(runtime.api);
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadModel(runtime, model, &read));
    SELVEDGE_RETURN_ERR_IF_ERROR(FixShapes(runtime.api, options, read.get()));
    SELVEDGE_RETURN_ERR_IF_ERROR(Compile(options, settings, read.get(), loaded.get()));
  }
  if (cache && !kept) {
    cache->Store([&](const std::string& path) {
      return FromOv(
          runtime.api,
          runtime.api.ov_compiled_model_export_model(loaded->compiled.get(), path.c_str()),
          "writing the compiled model");
    });
  }
  ReturnFreedMemory();
  SELVEDGE_RETURN_ERR_IF_ERROR(Describe(options, loaded.get()));
  return MakeOpenVinoEngine(std::move(loaded));
}

}  // namespace selvedge
