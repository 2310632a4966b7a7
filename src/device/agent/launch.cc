#include "device/agent/launch.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "device/agent/service.h"
#include "device/agent/spec_check.h"

namespace selvedge {
namespace {

using nlohmann::json;

// Of the agent's own environment, what a pipeline may see: where things are, never what it was
// told in confidence.
bool IsPassedOn(std::string_view entry) {
  static constexpr std::array<std::string_view, 7> kNames = {
      "PATH=", "HOME=", "LANG=", "TZ=", "TMPDIR=", "LD_LIBRARY_PATH=", "SELVEDGE_ENGINE_PATH="};
  static constexpr std::array<std::string_view, 6> kPrefixes = {
      "LC_", "GST_", "XDG_", "CUDA_", "NVIDIA_", "SELVEDGE_LOG_"};
  const auto begins = [&](std::string_view name) { return entry.starts_with(name); };
  return std::ranges::any_of(kNames, begins) || std::ranges::any_of(kPrefixes, begins);
}

std::string ScalarText(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.dump();
}

json ConfigOf(const v1::ServiceSpec& spec) {
  json config = json::parse(spec.config_json(), nullptr, false);
  return config.is_object() ? config : json::object();
}

}  // namespace

std::string VariableName(std::string_view key) {
  std::string name;
  for (const char c : key) {
    if (c >= 'a' && c <= 'z') {
      name += static_cast<char>(c - 'a' + 'A');
    } else {
      name += (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
    }
  }
  return name;
}

std::map<std::string, std::string> ServiceVariables(const v1::ServiceSpec& spec, bool container) {
  std::map<std::string, std::string> variables;
  const json config = ConfigOf(spec);
  for (const auto& [key, value] : config.items()) {
    if (value.is_object() || value.is_array() || value.is_null()) continue;
    const std::string name = VariableName(key);
    const std::string text = ScalarText(value);
    // What could not be set safely is still in the config file.
    if (IsFreeVariable(name) && text.find('\0') == std::string::npos) variables[name] = text;
  }
  for (const auto& [name, value] : spec.env()) variables[name] = value;
  for (const v1::Volume& volume : spec.volumes()) {
    std::string_view inside = volume.container();
    inside.remove_prefix(std::min<std::size_t>(1, inside.size()));
    variables["SELVEDGE_VOLUME_" + VariableName(inside)] =
        container ? volume.container() : volume.host();
  }
  variables["SELVEDGE_APPLICATION"] = spec.application();
  variables["SELVEDGE_SERVICE"] = spec.name();
  return variables;
}

Result<LaunchSpec> LaunchPipeline(const v1::ServiceSpec& spec, const LaunchContext& context,
                                  bool has_pipeline, bool has_card) {
  if (!has_pipeline) {
    return Err(FailedPreconditionError(
        "the package " + spec.image() +
        " holds no pipeline.yaml; push it with selvedge push --pipeline FILE"));
  }
  LaunchSpec launch;
  launch.folder = context.package_folder;
  auto& arguments = launch.arguments;
  arguments = {context.run_program, context.package_folder + "/pipeline.yaml", "--quiet"};
  const auto add = [&](const char* option, const std::string& value) {
    arguments.insert(arguments.end(), {option, value});
  };
  if (has_card) add("--card", context.package_folder + "/card.yaml");
  const json config = ConfigOf(spec);
  if (const auto threshold = config.find("confidence_threshold"); threshold != config.end()) {
    if (!threshold->is_number() || threshold->get<double>() < 0 || threshold->get<double>() > 1) {
      return Err(
          FailedPreconditionError("config.confidence_threshold must be a number from 0 to 1"));
    }
    add("--confidence-threshold", threshold->dump());
  }
  std::string camera = CameraOf(spec);
  if (camera.empty()) camera = context.default_camera;
  if (const auto found = context.cameras.find(camera); found != context.cameras.end()) {
    // Not as an argument, which everybody on the machine may read: it may hold a password.
    launch.environment.push_back("SELVEDGE_SOURCE=" + found->second);
    // A camera does not end; a file or folder that stands for one begins again.
    arguments.emplace_back("--loop");
  }
  // A manifest's port is for others; without one the pipeline is for this device only.
  const bool open = spec.ports_size() > 0;
  add("--port", open ? std::to_string(spec.ports(0).external()) : "0");
  add("--address", open ? "0.0.0.0" : "127.0.0.1");
  for (const std::string& entry : context.environment) {
    if (IsPassedOn(entry)) launch.environment.push_back(entry);
  }
  std::map<std::string, std::string> variables = ServiceVariables(spec, false);
  variables["SELVEDGE_AGENT_SOCKET"] = context.agent_socket;
  variables["SELVEDGE_DEVICE"] = context.device;
  variables["SELVEDGE_CONFIG_FILE"] = context.config_file;
  variables["SELVEDGE_CACHE_DIR"] = context.cache_folder;
  for (const auto& [name, value] : variables) launch.environment.push_back(name + "=" + value);
  return launch;
}

}  // namespace selvedge
