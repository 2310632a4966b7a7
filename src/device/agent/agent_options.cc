#include "device/agent/agent_options.h"

#include <algorithm>
#include <utility>

#include "base/config.h"
#include "core/topic.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxPairs = 64;
constexpr std::size_t kMaxKey = 63;
constexpr std::size_t kMaxValue = 256;
constexpr std::size_t kMaxUri = 2048;

// What a constraint may name: letters, digits, '-', '_', '.', '/'.
bool IsKey(std::string_view text) {
  return !text.empty() && text.size() <= kMaxKey && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  });
}

bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) >= ' '; });
}

// A scalar as the file has it, whatever YAML takes it for: `gpu: 1` is the text "1".
std::optional<std::string> ScalarText(const ConfigValue& value) {
  if (!value.IsScalar()) {
    value.Error("must be a single value");
    return std::nullopt;
  }
  return value.String();
}

void ReadPairs(ConfigMap& root, std::string_view key, std::map<std::string, std::string>* out,
               std::string* first) {
  auto map = root.OptionalMap(key);
  if (!map) return;
  for (const auto& [name, value] : map->Entries()) {
    const auto text = ScalarText(value);
    if (!text) return;
    if (first != nullptr && first->empty()) *first = name;
    (*out)[name] = *text;
  }
}

void ReadBytes(ConfigMap& root, std::string_view key, std::int64_t* bytes) {
  root.Optional(key, bytes, Range{1024.0 * 1024, 1e13});
}

}  // namespace

Status AddPair(std::string_view option, const std::string& text,
               std::map<std::string, std::string>* map) {
  const std::size_t at = text.find('=');
  if (at == std::string::npos || at == 0) {
    return InvalidArgumentError(std::string(option) + " " + QuoteForMessage(text) +
                                ": expected NAME=VALUE");
  }
  (*map)[text.substr(0, at)] = text.substr(at + 1);
  return OkStatus();
}

Status AddCamera(const std::string& text, AgentOptions* options) {
  SELVEDGE_RETURN_IF_ERROR(AddPair("--camera", text, &options->cameras));
  if (options->default_camera.empty()) options->default_camera = text.substr(0, text.find('='));
  return OkStatus();
}

Status ReadAgentFile(const std::string& path, AgentOptions* options) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(ConfigDocument document, ConfigDocument::ParseFile(path));
  ConfigMap root = document.Root();
  root.Optional("name", &options->name);
  root.Optional("join", &options->token);
  root.Optional("state", &options->state);
  ReadPairs(root, "labels", &options->labels, nullptr);
  ReadPairs(root, "cameras", &options->cameras, &options->default_camera);
  root.Optional("allow_volumes", &options->allow_volumes);
  int network = static_cast<int>(options->container_network);
  root.OptionalChoice("container_network", {"isolated", "host"}, &network);
  options->container_network = static_cast<ContainerNetwork>(network);
  ReadBytes(root, "outbox_bytes", &options->outbox_bytes);
  ReadBytes(root, "log_bytes", &options->log_bytes);
  ReadBytes(root, "keep_free_bytes", &options->keep_free_bytes);
  root.OptionalDuration("metrics_interval", &options->metrics_interval);
  root.Optional("proxy", &options->proxy);
  root.Optional("run_program", &options->run_program);
  root.Finish();
  return document.status();
}

Status CheckAgentOptions(const AgentOptions& options) {
  if (!options.name.empty() && !IsNodeName(options.name)) {
    return InvalidArgumentError("name " + QuoteForMessage(options.name) +
                                ": a device's name is 1 to 63 of a-z, 0-9 and '-', beginning and "
                                "ending with a letter or a digit");
  }
  if (options.labels.size() > kMaxPairs || options.cameras.size() > kMaxPairs) {
    return InvalidArgumentError("more than 64 labels or cameras");
  }
  for (const auto& [key, value] : options.labels) {
    if (!IsKey(key) || value.size() > kMaxValue || !IsPlain(value)) {
      return InvalidArgumentError("label " + QuoteForMessage(key) +
                                  ": a key is 1 to 63 letters, digits and . - _ /, a value at most "
                                  "256 characters");
    }
  }
  for (const auto& [name, uri] : options.cameras) {
    if (!IsNodeName(name) || uri.empty() || uri.size() > kMaxUri || !IsPlain(uri)) {
      return InvalidArgumentError("camera " + QuoteForMessage(name) +
                                  ": a name is 1 to 63 of a-z, 0-9 and '-', and it needs a URI");
    }
  }
  for (const std::string& folder : options.allow_volumes) {
    if (!folder.starts_with('/')) {
      return InvalidArgumentError("allowed volume " + QuoteForMessage(folder) +
                                  ": give the folder's whole path, from /");
    }
  }
  if (options.state.empty()) return InvalidArgumentError("state: which folder?");
  if (options.metrics_interval < kSecond) {
    return InvalidArgumentError("metrics_interval: must be 1s or longer");
  }
  return OkStatus();
}

std::string NodeNameOf(std::string_view host_name) {
  std::string name;
  for (const char c : host_name.substr(0, host_name.find('.'))) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      name += c;
    } else if (c >= 'A' && c <= 'Z') {
      name += static_cast<char>(c - 'A' + 'a');
    } else if (!name.empty() && name.back() != '-') {
      name += '-';
    }
  }
  name = name.substr(0, 63);
  while (!name.empty() && name.back() == '-') name.pop_back();
  return IsNodeName(name) ? name : "device";
}

}  // namespace selvedge
