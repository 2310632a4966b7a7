#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/config.h"
#include "core/topic.h"
#include "orchestrate/iofog.h"

namespace selvedge {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kArchitectures = {"x86", "arm64", "arm", kAnyArch};
constexpr std::size_t kMaxPath = 4096;
constexpr std::size_t kMaxWord = 253;
constexpr std::size_t kMaxListed = 64;  // ports, volumes, values of a constraint
constexpr int kMaxAccelerators = 64;
constexpr double kMaxCpus = 1024;
constexpr double kMaxMemory = 0x1p50;

bool HasControl(std::string_view text) {
  return std::ranges::any_of(
      text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

void RequiredName(ConfigMap* map, std::string_view key, std::string* out) {
  map->Required(key, out);
  if (!out->empty() && !IsNodeName(*out)) {
    map->Error(
        key,
        "a name is 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or a digit");
  }
}

// One of `words`, which stands at `value`.
void UnknownWord(const ConfigValue& value, std::string_view word,
                 std::span<const std::string_view> words) {
  const std::vector<std::string> candidates(words.begin(), words.end());
  const std::string_view near = NearestWord(word, candidates);
  value.Error(fmt::format("{} is not one of {}{}", QuoteForMessage(word),
                          fmt::join(candidates, ", "),
                          near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
}

bool TooMany(const std::vector<ConfigValue>& values, std::size_t limit, std::string_view what) {
  if (values.size() <= limit) return false;
  values[limit].Error(fmt::format("more than {} {}", limit, what));
  return true;
}

// ---- config ----

// A user's own value as JSON. `budget` is what is left of kMaxConfigBytes: aliases could make much
// of little.
class ConfigToJson {
 public:
  std::optional<Json> Convert(const ConfigValue& value) {
    if (!Spend(value, 1)) return std::nullopt;
    if (value.IsMap()) return ConvertMap(value);
    if (value.IsSequence()) {
      Json list = Json::array();
      for (const ConfigValue& element : value.Sequence()) {
        auto item = Convert(element);
        if (!item) return std::nullopt;
        list.push_back(*std::move(item));
      }
      return list;
    }
    const ConfigScalar scalar = value.Scalar();
    if (const auto* text = std::get_if<std::string>(&scalar)) {
      if (!Spend(value, text->size())) return std::nullopt;
      return Json(*text);
    }
    if (const auto* truth = std::get_if<bool>(&scalar)) return Json(*truth);
    if (const auto* whole = std::get_if<std::int64_t>(&scalar)) return Json(*whole);
    if (const auto* number = std::get_if<double>(&scalar)) return Json(*number);
    return Json(nullptr);
  }

 private:
  std::optional<Json> ConvertMap(const ConfigValue& value) {
    Json object = Json::object();
    auto map = value.Map();
    for (const auto& [key, child] : map->Entries()) {
      if (!Spend(child, key.size())) return std::nullopt;
      auto item = Convert(child);
      if (!item) return std::nullopt;
      object[key] = *std::move(item);
    }
    return object;
  }

  bool Spend(const ConfigValue& value, std::size_t bytes) {
    if (bytes > budget_) {
      value.Error(fmt::format("the config is above {} KiB", kMaxConfigBytes / 1024));
      return false;
    }
    budget_ -= bytes;
    return true;
  }

  std::size_t budget_ = kMaxConfigBytes;
};

bool IsPipeline(const Microservice& service) {
  return std::ranges::any_of(
      service.images, [](const auto& entry) { return entry.second.kind == ImageKind::kPipeline; });
}

// The keys of a pipeline's config that have a meaning to us.
void CheckPipelineConfig(ConfigMap* config) {
  double threshold = 0;
  std::string text;
  config->Optional("confidence_threshold", &threshold, Range{0, 1});
  config->Optional("camera", &text);
  config->Optional("model_path", &text);
}

void ReadConfig(ConfigMap* map, Microservice* service) {
  const auto value = map->Value("config");
  if (!value) return;
  auto config = value->Map();
  if (!config) return;
  if (IsPipeline(*service)) CheckPipelineConfig(&*config);
  config->Entries();  // every other key is the microservice's own
  const auto json = ConfigToJson().Convert(*value);
  if (!json) return;
  service->config_json = json->dump(-1, ' ', false, Json::error_handler_t::replace);
  if (service->config_json.size() > kMaxConfigBytes) {
    value->Error(fmt::format("the config is above {} KiB", kMaxConfigBytes / 1024));
  }
}

// ---- a microservice's parts ----

void ReadImages(ConfigMap* map, Microservice* service) {
  auto images = map->RequiredMap("images");
  if (!images) return;
  for (const auto& [arch, value] : images->Entries()) {
    if (std::ranges::find(kArchitectures, arch) == kArchitectures.end()) {
      UnknownWord(value, arch, kArchitectures);
      return;
    }
    const auto text = value.String();
    if (!text) return;
    Image image;
    std::string why;
    if (!ParseImage(*text, &image, &why)) {
      value.Error(fmt::format("{} is no image: {}", QuoteForMessage(*text), why));
      return;
    }
    service->images.emplace(arch, std::move(image));
  }
  if (service->images.empty()) map->Error("images", "at least one image is needed");
}

bool IsVariableName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxWord && !(name[0] >= '0' && name[0] <= '9') &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_';
         });
}

void ReadEnv(ConfigMap* map, Microservice* service) {
  std::set<std::string> keys;
  std::size_t bytes = 0;
  for (const ConfigValue& value : map->OptionalSequence("env")) {
    auto entry = value.Map();
    if (!entry) return;
    std::string key;
    std::string text;
    entry->Required("key", &key);
    if (const auto child = entry->RequiredValue("value")) text = child->String().value_or("");
    entry->Finish();
    if (!key.empty() && !IsVariableName(key)) {
      entry->Error("key", "a variable is letters, digits and '_', not beginning with a digit");
    } else if (key.starts_with("SELVEDGE_")) {
      entry->Error("key", "variables that begin with SELVEDGE_ are set by the agent");
    } else if (text.find('\0') != std::string::npos) {
      entry->Error("value", "must not hold a NUL character");
    } else if (!keys.insert(key).second) {
      entry->Error("key", "this variable is there already");
    }
    bytes += key.size() + text.size();
    if (bytes > kMaxConfigBytes) {
      value.Error(fmt::format("the variables are above {} KiB", kMaxConfigBytes / 1024));
      return;
    }
    service->env.emplace_back(std::move(key), std::move(text));
  }
}

// "512Mi", "1G", 1048576; bytes.
std::optional<double> ParseMemory(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  static constexpr std::pair<std::string_view, double> kUnits[] = {
      {"", 1},     {"k", 1e3},     {"K", 1e3},     {"M", 1e6},     {"G", 1e9},
      {"T", 1e12}, {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30}, {"Ti", 0x1p40}};
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const auto& [name, factor] : kUnits) {
    if (name == unit) return number * factor;
  }
  return std::nullopt;
}

void ReadResources(ConfigMap* map, ServiceResources* resources) {
  auto child = map->OptionalMap("resources");
  if (!child) return;
  child->Optional("gpu", &resources->gpu, Range{0, kMaxAccelerators});
  child->Optional("tpu", &resources->tpu, Range{0, kMaxAccelerators});
  child->Optional("cpus", &resources->cpus, Range{0.01, kMaxCpus});
  std::string memory;
  child->Optional("memory", &memory);
  if (memory.empty()) return;
  const auto bytes = ParseMemory(memory);
  if (!bytes || !(*bytes >= 0x1p20 && *bytes <= kMaxMemory)) {
    child->Error("memory",
                 "expected an amount of at least 1Mi, such as 512Mi, 2Gi or 500M, found " +
                     QuoteForMessage(memory));
    return;
  }
  resources->memory_bytes = static_cast<std::int64_t>(*bytes);
}

// `taken`: external ports of the whole application, which runs on one device.
void ReadPorts(ConfigMap* map, std::set<int>* taken, Microservice* service) {
  const auto values = map->OptionalSequence("ports");
  if (TooMany(values, kMaxListed, "ports")) return;
  for (const ConfigValue& value : values) {
    auto entry = value.Map();
    if (!entry) return;
    ServicePort port;
    entry->Required("external", &port.external, Range{1, 65535});
    entry->Required("internal", &port.internal, Range{1, 65535});
    if (!taken->insert(port.external).second) {
      entry->Error("external",
                   fmt::format("port {} is taken in this application already", port.external));
    }
    service->ports.push_back(port);
  }
}

// Absolute, and the same whoever reads it: no "..", no control characters, no colon (which lists of
// mounts are joined by).
bool IsMountPath(std::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPath || path[0] != '/' || HasControl(path)) return false;
  if (path.find(':') != std::string_view::npos) return false;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (part == ".." || part == ".") return false;
    path.remove_prefix(slash);
  }
  return true;
}

void ReadVolumes(ConfigMap* map, Microservice* service) {
  const auto values = map->OptionalSequence("volumes");
  if (TooMany(values, kMaxListed, "volumes")) return;
  std::set<std::string> taken;
  for (const ConfigValue& value : values) {
    auto entry = value.Map();
    if (!entry) return;
    ServiceVolume volume;
    const auto path = [&](std::string_view key, std::string* out) {
      entry->Required(key, out);
      if (!out->empty() && !IsMountPath(*out)) {
        entry->Error(
            key, "expected an absolute path below /, without \"..\", ':' and control characters");
      }
    };
    path("host", &volume.host);
    path("container", &volume.container);
    entry->Optional("readOnly", &volume.read_only);
    if (!taken.insert(volume.container).second) {
      entry->Error("container", "another volume is mounted there already");
    }
    service->volumes.push_back(std::move(volume));
  }
}

// ---- placements ----

bool IsOrdering(ConstraintOperator op) {
  return op >= ConstraintOperator::kLess;
}

bool ReadConstraintValue(const ConfigValue& value, std::vector<std::string>* values) {
  const auto text = value.String();
  if (!text) return false;
  if (text->size() > kMaxWord || HasControl(*text)) {
    value.Error(fmt::format("expected at most {} characters, none of control", kMaxWord));
    return false;
  }
  values->push_back(*text);
  return true;
}

void ReadConstraintValues(ConfigMap* map, Constraint* constraint) {
  const std::string_view op = ConstraintOperatorName(constraint->op);
  if (constraint->op == ConstraintOperator::kExists ||
      constraint->op == ConstraintOperator::kNotExists) {
    if (map->Has("value")) map->Error("value", fmt::format("{} takes no value", op));
    return;
  }
  const auto value = map->RequiredValue("value");
  if (!value) return;
  if (constraint->op == ConstraintOperator::kIn || constraint->op == ConstraintOperator::kNotIn) {
    if (!value->IsSequence()) {
      value->Error(fmt::format("{} takes a list of values", op));
      return;
    }
    const auto elements = value->Sequence();
    if (elements.empty()) value->Error("the list is empty");
    if (TooMany(elements, kMaxListed, "values")) return;
    for (const ConfigValue& element : elements) {
      if (!ReadConstraintValue(element, &constraint->values)) return;
    }
    return;
  }
  if (IsOrdering(constraint->op) && !value->Number()) return;
  ReadConstraintValue(*value, &constraint->values);
}

void ReadPlacements(ConfigMap* spec, Application* application) {
  static constexpr std::array<std::string_view, 10> kOperators = {
      "==", "!=", "in", "notin", "exists", "notexists", "<", "<=", ">", ">="};
  const auto values = spec->OptionalSequence("placements");
  if (TooMany(values, kMaxPlacements, "placements")) return;
  for (const ConfigValue& value : values) {
    auto map = value.Map();
    if (!map) return;
    Constraint constraint;
    int type = 0;
    int op = 0;
    map->RequiredChoice("type", {"constraint"}, &type);
    map->Required("key", &constraint.key);
    if (constraint.key.size() > kMaxWord || HasControl(constraint.key)) {
      map->Error("key", fmt::format("expected at most {} characters, none of control", kMaxWord));
    }
    map->RequiredChoice("operator", kOperators, &op);
    constraint.op = static_cast<ConstraintOperator>(op);
    ReadConstraintValues(&*map, &constraint);
    application->placements.push_back(std::move(constraint));
  }
}

// ---- the document ----

void ReadMicroservices(ConfigMap* spec, Application* application) {
  const auto values = spec->RequiredSequence("microservices");
  if (values.empty()) spec->Error("microservices", "at least one microservice is needed");
  if (TooMany(values, kMaxMicroservices, "microservices")) return;
  std::set<std::string> names;
  std::set<int> ports;
  for (const ConfigValue& value : values) {
    auto map = value.Map();
    if (!map) return;
    Microservice service;
    RequiredName(&*map, "name", &service.name);
    if (!names.insert(service.name).second) {
      map->Error("name", fmt::format("there is a microservice \"{}\" already", service.name));
    }
    ReadImages(&*map, &service);
    ReadConfig(&*map, &service);
    ReadEnv(&*map, &service);
    ReadResources(&*map, &service.resources);
    ReadPorts(&*map, &ports, &service);
    ReadVolumes(&*map, &service);
    application->microservices.push_back(std::move(service));
  }
}

Result<Application> ParseDocument(std::string_view text, const std::string& name) {
  SELVEDGE_ASSIGN_OR_RETURN(const ConfigDocument document, ConfigDocument::Parse(text, name));
  Application application;
  {
    ConfigMap root = document.Root();
    int only = 0;
    root.RequiredChoice("apiVersion", {"iofog.org/v3"}, &only);
    root.RequiredChoice("kind", {"Application"}, &only);
    if (auto metadata = root.RequiredMap("metadata")) {
      RequiredName(&*metadata, "name", &application.name);
    }
    if (auto spec = root.RequiredMap("spec")) {
      ReadMicroservices(&*spec, &application);
      ReadPlacements(&*spec, &application);
    }
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(document.status());
  return application;
}

// A line that begins a document ("---", then a space or the end) or ends one ("...").
bool IsMarker(std::string_view line, std::string_view marker) {
  return line.starts_with(marker) &&
         (line.size() == 3 || std::string_view(" \t\r\n").find(line[3]) != std::string_view::npos);
}

bool IsBlank(std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && line[first] != '#') return false;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

struct Part {
  std::size_t lines_before = 0;
  std::string text;
};

// YAML allows neither marker at the beginning of a line within a document, not even in a block of
// text, so that splitting by lines is right.
std::vector<Part> SplitDocuments(std::string_view text) {
  std::vector<Part> parts(1);
  std::size_t line_number = 0;
  const auto begin = [&](std::size_t lines) {
    if (!IsBlank(parts.back().text)) parts.emplace_back();
    parts.back() = {lines, {}};
  };
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string line(text.substr(0, end == std::string_view::npos ? end : end + 1));
    text.remove_prefix(line.size());
    ++line_number;
    if (IsMarker(line, "...")) {
      begin(line_number);
      continue;
    }
    if (IsMarker(line, "---")) {
      begin(line_number - 1);
      line.replace(0, 3, "   ");
    }
    parts.back().text += line;
  }
  if (IsBlank(parts.back().text)) parts.pop_back();
  return parts;
}

}  // namespace

Result<std::vector<ManifestDocument>> ParseDeployment(std::string_view text,
                                                      const std::string& name) {
  if (text.size() > kMaxDeploymentBytes) {
    return Err(InvalidArgumentError(fmt::format("{}: a manifest of {} bytes; at most {} are read",
                                                name, text.size(), kMaxDeploymentBytes)));
  }
  std::vector<Part> parts = SplitDocuments(text);
  if (parts.empty()) {
    return Err(InvalidArgumentError(
        name + ": no document in it; it begins with apiVersion: iofog.org/v3"));
  }
  if (parts.size() > kMaxDeploymentDocuments) {
    return Err(InvalidArgumentError(fmt::format("{}:{}: more than {} documents", name,
                                                parts[kMaxDeploymentDocuments].lines_before + 1,
                                                kMaxDeploymentDocuments)));
  }
  std::vector<ManifestDocument> documents;
  std::set<std::string> names;
  for (Part& part : parts) {
    // Empty lines before it keep the lines that messages name right.
    const std::string padded = std::string(part.lines_before, '\n') + part.text;
    SELVEDGE_ASSIGN_OR_RETURN(Application application, ParseDocument(padded, name));
    if (!names.insert(application.name).second) {
      return Err(InvalidArgumentError(
          fmt::format("{}:{}: metadata.name: a second application \"{}\" in one file", name,
                      part.lines_before + 1, application.name)));
    }
    documents.push_back({std::move(application), std::move(part.text)});
  }
  return documents;
}

}  // namespace selvedge
