#include "cmd/inspect/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/file.h"
#include "engine/backends/backends.h"
#include "engine/tune_measure.h"
#include "trust/digest.h"
#include "vision/model_check.h"

namespace selvedge {
namespace {

using nlohmann::json;

Status TimeOneRun(Engine* engine, double* run_ms) {
  auto execution = engine->NewExecution();
  if (!execution) return execution.error();
  for (const TensorView& input : (*execution)->inputs()) {
    std::memset(input.data, 0, input.bytes);
  }
  SELVEDGE_RETURN_IF_ERROR((*execution)->Run());
  const Nanos before = Clock::System().Monotonic();
  SELVEDGE_RETURN_IF_ERROR((*execution)->Run());
  *run_ms = ToMillis(Clock::System().Monotonic() - before);
  return OkStatus();
}

EngineView View(EngineBackend* backend, const std::string& bytes, const ModelCard* card) {
  EngineView view{.engine = std::string(backend->name())};
  if (const Result<std::string> version = backend->Probe(); !version) {
    view.error = version.error().message();
    return view;
  }
  const Nanos before = Clock::System().Monotonic();
  auto engine = backend->Load(std::as_bytes(std::span(bytes)), {});
  if (!engine) {
    view.error = engine.error().message();
    return view;
  }
  view.load_ms = ToMillis(Clock::System().Monotonic() - before);
  view.info = (*engine)->Describe();
  if (const Status ran = TimeOneRun(engine->get(), &view.run_ms); !ran.ok()) {
    view.error = "loads, but does not run: " + ran.message();
  }
  if (card != nullptr) {
    view.card_disagreement =
        CheckCardAgainstModel(*card, view.info->inputs, view.info->outputs).message();
  }
  return view;
}

Result<FileView> ViewFile(const std::string& path, const ModelCard* card) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxModelBytes));
  FileView view{.path = path, .bytes = bytes.size()};
  SELVEDGE_ASSIGN_OR_RETURN(view.digest, DigestOf(bytes));
  for (EngineBackend* backend : AllBackends()) {
    if (backend->Reads(path)) view.engines.push_back(View(backend, bytes, card));
  }
  return view;
}

bool IsCard(const std::string& path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

std::string Tensor(const TensorSpec& spec) {
  std::string text = spec.ToString();
  if (spec.scale != 0)
    text += fmt::format(" scale {:g} zero point {}", spec.scale, spec.zero_point);
  return text;
}

json Tensors(const std::vector<TensorSpec>& specs) {
  json list = json::array();
  for (const TensorSpec& spec : specs) {
    json entry = {
        {"name", spec.name},
        {"type", DataTypeName(spec.type)},
        {"shape", std::vector<std::int64_t>(spec.shape.dims().begin(), spec.shape.dims().end())}};
    if (spec.scale != 0) entry["scale"] = spec.scale, entry["zero_point"] = spec.zero_point;
    list.push_back(std::move(entry));
  }
  return list;
}

void AppendEngine(const EngineView& view, bool with_tensors, std::string* out) {
  auto to = std::back_inserter(*out);
  if (!view.info) {
    fmt::format_to(to, "  {:<12} does not load it: {}\n", view.engine, view.error);
    return;
  }
  fmt::format_to(to, "  {:<12} {}, {} on {}, loads in {:.0f} ms, runs in {:.1f} ms (1 thread)\n",
                 view.engine, view.info->version, view.info->precision, view.info->device,
                 view.load_ms, view.run_ms);
  if (!view.error.empty()) fmt::format_to(to, "               {}\n", view.error);
  if (!view.card_disagreement.empty()) {
    fmt::format_to(to, "               card: {}\n", view.card_disagreement);
  }
  if (!with_tensors) return;
  for (const TensorSpec& spec : view.info->inputs) {
    fmt::format_to(to, "               in   {}\n", Tensor(spec));
  }
  for (const TensorSpec& spec : view.info->outputs) {
    fmt::format_to(to, "               out  {}\n", Tensor(spec));
  }
}

}  // namespace

Result<ModelView> Inspect(const std::string& path) {
  ModelView view;
  if (!IsCard(path)) {
    SELVEDGE_ASSIGN_OR_RETURN(FileView file, ViewFile(path, nullptr));
    view.files.push_back(std::move(file));
    if (view.files[0].engines.empty()) {
      return Err(InvalidArgumentError(path +
                                      " is no model that an engine here knows; expected "
                                      ".onnx, .tflite, an OpenVINO .xml, or a card (.yaml)"));
    }
    return view;
  }
  SELVEDGE_ASSIGN_OR_RETURN(view.card, ModelCard::Load(path));
  view.card_path = path;
  for (const ModelVariant& variant : view.card->variants) {
    SELVEDGE_ASSIGN_OR_RETURN(FileView file,
                              ViewFile(ResolvePath(variant.path, path), &*view.card));
    file.variant = variant.name;
    view.files.push_back(std::move(file));
  }
  return view;
}

bool IsUsable(const ModelView& view) {
  return std::ranges::all_of(view.files, [](const FileView& file) {
    return std::ranges::any_of(file.engines, [](const EngineView& engine) {
      return engine.info && engine.error.empty() && engine.card_disagreement.empty();
    });
  });
}

std::string ToText(const ModelView& view) {
  std::string out;
  auto to = std::back_inserter(out);
  if (view.card) {
    fmt::format_to(to, "{} {}  ({}, {} labels, licence {})\n", view.card->name, view.card->version,
                   view.card->task, view.card->labels.size(),
                   view.card->license.empty() ? "not stated" : view.card->license);
  }
  for (const FileView& file : view.files) {
    fmt::format_to(to, "{}{}  {:.1f} MiB  {}\n", file.path,
                   file.variant.empty() ? "" : "  variant " + file.variant,
                   static_cast<double>(file.bytes) / (1 << 20), file.digest);
    bool shown = false;
    for (const EngineView& engine : file.engines) {
      AppendEngine(engine, !shown, &out);
      shown = shown || engine.info.has_value();
    }
  }
  if (view.card) {
    fmt::format_to(to, "{}\n", IsUsable(view) ? "card and model agree" : "card and model DISAGREE");
  }
  return out;
}

std::string ToJson(const ModelView& view) {
  json files = json::array();
  for (const FileView& file : view.files) {
    json engines = json::array();
    for (const EngineView& engine : file.engines) {
      json entry = {{"engine", engine.engine}, {"error", engine.error}};
      if (engine.info) {
        entry["version"] = engine.info->version;
        entry["precision"] = engine.info->precision;
        entry["load_ms"] = engine.load_ms;
        entry["run_ms"] = engine.run_ms;
        entry["inputs"] = Tensors(engine.info->inputs);
        entry["outputs"] = Tensors(engine.info->outputs);
        entry["card_disagreement"] = engine.card_disagreement;
      }
      engines.push_back(std::move(entry));
    }
    files.push_back({{"path", file.path},
                     {"variant", file.variant},
                     {"bytes", file.bytes},
                     {"digest", file.digest},
                     {"engines", std::move(engines)}});
  }
  json object = {{"files", std::move(files)}, {"usable", IsUsable(view)}};
  if (view.card) object["card"] = {{"name", view.card->name}, {"version", view.card->version}};
  return object.dump(2);
}

}  // namespace selvedge
