#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "orchestrate/iofog.h"

namespace selvedge {
namespace {

using Json = nlohmann::ordered_json;

// In double quotes wherever a reader could take it for something else than text.
std::string Text(std::string_view text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/';
  };
  const bool letter_first =
      !text.empty() && ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
  static constexpr std::string_view kWords[] = {"true", "false", "null", "yes", "no",  "on",
                                                "off",  "y",     "n",    "inf", "nan", "infinity"};
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  if (letter_first && std::ranges::all_of(text, plain) &&
      std::ranges::find(kWords, lower) == std::end(kWords)) {
    return std::string(text);
  }
  // JSON's quoting is YAML's, but for DEL, which YAML wants escaped.
  std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  for (std::size_t at = quoted.find('\x7F'); at != std::string::npos; at = quoted.find('\x7F')) {
    quoted.replace(at, 1, "\\x7f");
  }
  return quoted;
}

std::string Number(double value) {
  return fmt::format("{}", value);
}

void WriteValue(const Json& value, int indent, std::string* out);

void WriteChild(const Json& value, int indent, std::string* out) {
  const bool nested = (value.is_object() || value.is_array()) && !value.empty();
  *out += nested ? "\n" : " ";
  WriteValue(value, indent, out);
}

// A value of `config`; objects and lists as blocks that begin at `indent`.
void WriteValue(const Json& value, int indent, std::string* out) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, child] : value.items()) {
      *out += margin + Text(key) + ":";
      WriteChild(child, indent + 2, out);
    }
  } else if (value.is_array() && !value.empty()) {
    for (const Json& child : value) {
      *out += margin + "-";
      WriteChild(child, indent + 2, out);
    }
  } else if (value.is_string()) {
    *out += Text(value.get_ref<const std::string&>()) + "\n";
  } else {
    *out += value.dump() + "\n";
  }
}

std::string Memory(std::int64_t bytes) {
  static constexpr std::pair<std::string_view, int> kUnits[] = {
      {"Ti", 40}, {"Gi", 30}, {"Mi", 20}, {"Ki", 10}};
  for (const auto& [name, bits] : kUnits) {
    if (bytes % (std::int64_t{1} << bits) == 0) return fmt::format("{}{}", bytes >> bits, name);
  }
  return std::to_string(bytes);
}

void WriteResources(const ServiceResources& resources, std::string* out) {
  if (resources == ServiceResources{}) return;
  *out += "    resources:\n";
  if (resources.gpu > 0) *out += fmt::format("      gpu: {}\n", resources.gpu);
  if (resources.tpu > 0) *out += fmt::format("      tpu: {}\n", resources.tpu);
  if (resources.memory_bytes > 0)
    *out += fmt::format("      memory: {}\n", Memory(resources.memory_bytes));
  if (resources.cpus > 0) *out += fmt::format("      cpus: {}\n", Number(resources.cpus));
}

void WriteMicroservice(const Microservice& service, std::string* out) {
  *out += fmt::format("  - name: {}\n    images:\n", Text(service.name));
  for (const auto& [arch, image] : service.images) {
    *out += fmt::format("      {}: {}\n", arch, Text(image.text));
  }
  const Json config = Json::parse(service.config_json, nullptr, false);
  if (config.is_object() && !config.empty()) {
    *out += "    config:\n";
    WriteValue(config, 6, out);
  }
  if (!service.env.empty()) *out += "    env:\n";
  for (const auto& [key, value] : service.env) {
    *out += fmt::format("    - key: {}\n      value: {}\n", Text(key), Text(value));
  }
  WriteResources(service.resources, out);
  if (!service.ports.empty()) *out += "    ports:\n";
  for (const ServicePort& port : service.ports) {
    *out += fmt::format("    - external: {}\n      internal: {}\n", port.external, port.internal);
  }
  if (!service.volumes.empty()) *out += "    volumes:\n";
  for (const ServiceVolume& volume : service.volumes) {
    *out += fmt::format("    - host: {}\n      container: {}\n", Text(volume.host),
                        Text(volume.container));
    if (volume.read_only) *out += "      readOnly: true\n";
  }
}

// Numbers of `<` and its like stand without quotes.
std::string ConstraintValue(const Constraint& constraint, const std::string& value) {
  return constraint.op >= ConstraintOperator::kLess ? value : Text(value);
}

void WriteConstraint(const Constraint& constraint, std::string* out) {
  const std::string_view op = ConstraintOperatorName(constraint.op);
  *out += fmt::format("  - type: constraint\n    key: {}\n    operator: {}\n", Text(constraint.key),
                      Text(op));
  if (constraint.op == ConstraintOperator::kIn || constraint.op == ConstraintOperator::kNotIn) {
    *out += "    value:\n";
    for (const std::string& value : constraint.values)
      *out += fmt::format("    - {}\n", Text(value));
  } else if (!constraint.values.empty()) {
    *out += fmt::format("    value: {}\n", ConstraintValue(constraint, constraint.values[0]));
  }
}

}  // namespace

std::string WriteDeployment(const Application& application) {
  std::string out = fmt::format(
      "apiVersion: iofog.org/v3\nkind: Application\nmetadata:\n  name: {}\nspec:\n  "
      "microservices:\n",
      Text(application.name));
  for (const Microservice& service : application.microservices) WriteMicroservice(service, &out);
  if (!application.placements.empty()) out += "  placements:\n";
  for (const Constraint& constraint : application.placements) WriteConstraint(constraint, &out);
  return out;
}

std::string WriteDeployment(std::span<const Application> applications) {
  std::string out;
  for (const Application& application : applications) {
    if (!out.empty()) out += "---\n";
    out += WriteDeployment(application);
  }
  return out;
}

}  // namespace selvedge
