#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/config_tree.h"
#include "base/file.h"

namespace selvedge {

struct ConfigDocument::State {
  std::string name;
  ConfigTree tree;
  Status status;
  std::vector<ConfigMap*> open;  // alive and not finished, in the order they were handed out

  void Report(int line, std::string_view path, std::string_view message) {
    if (status.ok()) status = ConfigErrorAt(name, line, path, message);
  }
};

struct ConfigValue::Node {
  std::shared_ptr<ConfigDocument::State> state;
  const ConfigNode* tree;
  std::string path;

  void Report(std::string_view message) const { state->Report(tree->line, path, message); }
  std::shared_ptr<Node> Child(const ConfigNode* node, std::string child_path) const {
    return std::make_shared<Node>(Node{state, node, std::move(child_path)});
  }
};

namespace {

using Kind = ConfigNode::Kind;

std::string Found(const ConfigNode& node) {
  switch (node.kind) {
    case Kind::kNull: return "nothing";
    case Kind::kMap: return "a map";
    case Kind::kSequence: return "a list";
    case Kind::kScalar: break;
  }
  return QuoteForMessage(node.scalar);
}

// Why `node` is not the unquoted scalar that `wanted` needs.
std::string Expected(std::string_view wanted, const ConfigNode& node) {
  return fmt::format("expected {}, found {}", wanted, Found(node));
}

template <typename T>
std::optional<T> ParseNumber(std::string_view text) {
  if (text.starts_with('+')) {  // which from_chars does not take
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The part of a message that says what the range allows.
std::string RangeText(Range range) {
  const bool low = std::isfinite(range.min);
  const bool high = std::isfinite(range.max);
  if (low && high) return fmt::format("must be between {} and {}", range.min, range.max);
  if (low) return fmt::format("must be at least {}", range.min);
  return fmt::format("must be at most {}", range.max);
}

bool InRange(const ConfigValue& value, double number, Range range) {
  if (number >= range.min && number <= range.max) return true;
  value.Error(fmt::format("{}, is {}", RangeText(range), number));
  return false;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string_view nearest = NearestWord(word, candidates);
  return nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
}

std::optional<std::int64_t> ParseDuration(std::string_view text) {
  if (text == "0") return 0;
  const std::size_t unit_at = text.find_first_not_of("0123456789.");
  if (unit_at == std::string_view::npos) return std::nullopt;
  const auto number = ParseNumber<double>(text.substr(0, unit_at));
  const std::string_view unit = text.substr(unit_at);
  const double nanos = unit == "ms" ? 1e6 : unit == "s" ? 1e9 : unit == "m" ? 60e9 : 3600e9;
  if (!number || (unit != "ms" && unit != "s" && unit != "m" && unit != "h")) return std::nullopt;
  if (*number * nanos >= 0x1p63) return std::nullopt;  // more than std::int64_t holds, 292 years
  return static_cast<std::int64_t>(std::llround(*number * nanos));
}

}  // namespace

// ---- ConfigValue ----

ConfigValue::ConfigValue(std::shared_ptr<Node> node) : node_(std::move(node)) {}
ConfigValue::~ConfigValue() = default;
ConfigValue::ConfigValue(const ConfigValue&) = default;
ConfigValue::ConfigValue(ConfigValue&&) noexcept = default;

bool ConfigValue::IsScalar() const {
  return node_->tree->kind == Kind::kScalar;
}
bool ConfigValue::IsMap() const {
  return node_->tree->kind == Kind::kMap;
}
bool ConfigValue::IsSequence() const {
  return node_->tree->kind == Kind::kSequence;
}
int ConfigValue::line() const {
  return node_->tree->line;
}
void ConfigValue::Error(std::string_view message) const {
  node_->Report(message);
}

std::optional<std::string> ConfigValue::String() const {
  if (IsScalar()) return node_->tree->scalar;
  Error(Expected("text", *node_->tree));
  return std::nullopt;
}

std::optional<double> ConfigValue::Number() const {
  if (IsScalar() && !node_->tree->quoted) {
    const auto number = ParseNumber<double>(node_->tree->scalar);
    if (number && std::isfinite(*number)) return number;
  }
  Error(Expected("a number", *node_->tree) + (node_->tree->quoted ? " in quotes" : ""));
  return std::nullopt;
}

std::optional<std::int64_t> ConfigValue::Integer() const {
  if (IsScalar() && !node_->tree->quoted) {
    if (const auto number = ParseNumber<std::int64_t>(node_->tree->scalar)) return number;
  }
  Error(Expected("a whole number", *node_->tree) + (node_->tree->quoted ? " in quotes" : ""));
  return std::nullopt;
}

std::optional<bool> ConfigValue::Bool() const {
  if (IsScalar() && !node_->tree->quoted) {
    if (node_->tree->scalar == "true") return true;
    if (node_->tree->scalar == "false") return false;
  }
  Error(Expected("true or false", *node_->tree) + (node_->tree->quoted ? " in quotes" : ""));
  return std::nullopt;
}

ConfigScalar ConfigValue::Scalar() const {
  if (!IsScalar()) return std::monostate{};
  const std::string& text = node_->tree->scalar;
  if (node_->tree->quoted) return text;
  if (text == "true" || text == "false") return text == "true";
  if (const auto whole = ParseNumber<std::int64_t>(text)) return *whole;
  if (const auto number = ParseNumber<double>(text); number && std::isfinite(*number)) {
    return *number;
  }
  return text;
}

std::optional<ConfigMap> ConfigValue::Map() const {
  if (IsMap()) return ConfigMap(node_);
  Error(Expected("a map of keys and values", *node_->tree));
  return std::nullopt;
}

std::vector<ConfigValue> ConfigValue::Sequence() const {
  std::vector<ConfigValue> values;
  if (!IsSequence()) {
    Error(Expected("a list", *node_->tree));
    return values;
  }
  values.reserve(node_->tree->elements.size());
  for (const ConfigNode* element : node_->tree->elements) {
    values.emplace_back(node_->Child(element, fmt::format("{}[{}]", node_->path, values.size())));
  }
  return values;
}

// ---- ConfigMap ----

ConfigMap::ConfigMap(std::shared_ptr<ConfigValue::Node> node) : node_(std::move(node)) {
  node_->state->open.push_back(this);
}

ConfigMap::ConfigMap(ConfigMap&& other) noexcept
    : node_(std::move(other.node_)),
      known_(std::move(other.known_)),
      finished_(std::exchange(other.finished_, true)) {
  if (!finished_) std::ranges::replace(node_->state->open, &other, this);
}

ConfigMap::~ConfigMap() {
  Finish();
}

void ConfigMap::Finish() {
  if (finished_) return;
  finished_ = true;
  std::erase(node_->state->open, this);
  for (const ConfigNode::Entry& entry : node_->tree->entries) {
    if (std::ranges::find(known_, entry.key) != known_.end()) continue;
    node_->state->Report(entry.line, ConfigPath(node_->path, entry.key),
                         "unknown key" + DidYouMean(entry.key, known_));
    return;
  }
}

bool ConfigMap::Has(std::string_view key) const {
  if (std::ranges::find(known_, key) == known_.end()) known_.emplace_back(key);
  return std::ranges::find(node_->tree->entries, key, &ConfigNode::Entry::key) !=
         node_->tree->entries.end();
}

std::optional<ConfigValue> ConfigMap::Value(std::string_view key) {
  if (!Has(key)) return std::nullopt;
  const auto entry = std::ranges::find(node_->tree->entries, key, &ConfigNode::Entry::key);
  return ConfigValue(node_->Child(entry->value, ConfigPath(node_->path, key)));
}

std::optional<ConfigValue> ConfigMap::RequiredValue(std::string_view key) {
  if (auto value = Value(key)) return value;
  std::vector<std::string> unclaimed;
  for (const ConfigNode::Entry& entry : node_->tree->entries) {
    if (std::ranges::find(known_, entry.key) == known_.end()) unclaimed.push_back(entry.key);
  }
  std::string message = "this key is required and missing";
  const std::string_view nearest = NearestWord(key, unclaimed);
  if (!nearest.empty()) message += fmt::format("; was it meant by {}?", QuoteForMessage(nearest));
  Error(key, message);
  return std::nullopt;
}

std::vector<std::pair<std::string, ConfigValue>> ConfigMap::Entries() {
  std::vector<std::pair<std::string, ConfigValue>> entries;
  entries.reserve(node_->tree->entries.size());
  for (const ConfigNode::Entry& entry : node_->tree->entries) {
    entries.emplace_back(
        entry.key, ConfigValue(node_->Child(entry.value, ConfigPath(node_->path, entry.key))));
  }
  // All are known now, so there is nothing left to finish.
  if (!finished_) std::erase(node_->state->open, this);
  finished_ = true;
  return entries;
}

void ConfigMap::Error(std::string_view key, std::string_view message) const {
  const auto entry = std::ranges::find(node_->tree->entries, key, &ConfigNode::Entry::key);
  const int line = entry != node_->tree->entries.end() ? entry->line : node_->tree->line;
  node_->state->Report(line, ConfigPath(node_->path, key), message);
}

namespace {

void Read(const std::optional<ConfigValue>& value, std::string* out) {
  if (!value) return;
  if (auto text = value->String()) *out = *std::move(text);
}

void Read(const std::optional<ConfigValue>& value, Range range, double* out) {
  if (!value) return;
  const auto number = value->Number();
  if (number && InRange(*value, *number, range)) *out = *number;
}

template <typename T>
void ReadInteger(const std::optional<ConfigValue>& value, Range range, T* out) {
  if (!value) return;
  const auto number = value->Integer();
  if (!number || !InRange(*value, static_cast<double>(*number), range)) return;
  if (!std::in_range<T>(*number)) {
    value->Error(fmt::format("{} is too large", *number));
    return;
  }
  *out = static_cast<T>(*number);
}

// All of the list, or none of it where an element is wrong.
template <typename T>
void ReadList(const std::optional<ConfigValue>& value,
              std::optional<T> (ConfigValue::*read)() const, std::vector<T>* out) {
  if (!value || (!value->IsSequence() && value->Sequence().empty())) return;
  std::vector<T> list;
  for (const ConfigValue& element : value->Sequence()) {
    std::optional<T> item = (element.*read)();
    if (!item) return;
    list.push_back(*std::move(item));
  }
  *out = std::move(list);
}

void ReadChoice(const std::optional<ConfigValue>& value, std::span<const std::string_view> names,
                int* out) {
  if (!value) return;
  const auto word = value->String();
  if (!word) return;
  const auto found = std::ranges::find(names, *word);
  if (found != names.end()) {
    *out = static_cast<int>(found - names.begin());
    return;
  }
  const std::vector<std::string> words(names.begin(), names.end());
  std::string message = QuoteForMessage(*word) + " is not one of " +
                        fmt::format("{}", fmt::join(words, ", ")) + DidYouMean(*word, words);
  value->Error(message);
}

}  // namespace

void ConfigMap::Required(std::string_view key, std::string* out) {
  const auto value = RequiredValue(key);
  Read(value, out);
  if (value && value->IsScalar() && out->empty()) value->Error("must not be empty");
}
void ConfigMap::Optional(std::string_view key, std::string* out) {
  Read(Value(key), out);
}
void ConfigMap::Required(std::string_view key, double* out, Range range) {
  Read(RequiredValue(key), range, out);
}
void ConfigMap::Optional(std::string_view key, double* out, Range range) {
  Read(Value(key), range, out);
}
void ConfigMap::Optional(std::string_view key, float* out, Range range) {
  double wide = static_cast<double>(*out);
  Read(Value(key), range, &wide);
  *out = static_cast<float>(wide);
}
void ConfigMap::Required(std::string_view key, int* out, Range range) {
  ReadInteger(RequiredValue(key), range, out);
}
void ConfigMap::Optional(std::string_view key, int* out, Range range) {
  ReadInteger(Value(key), range, out);
}
void ConfigMap::Optional(std::string_view key, std::int64_t* out, Range range) {
  ReadInteger(Value(key), range, out);
}
void ConfigMap::Optional(std::string_view key, bool* out) {
  if (const auto value = Value(key)) *out = value->Bool().value_or(*out);
}

void ConfigMap::Optional(std::string_view key, std::vector<std::string>* out) {
  ReadList(Value(key), &ConfigValue::String, out);
}
void ConfigMap::Optional(std::string_view key, std::vector<double>* out) {
  ReadList(Value(key), &ConfigValue::Number, out);
}

void ConfigMap::OptionalDuration(std::string_view key, std::int64_t* nanos) {
  const auto value = Value(key);
  if (!value) return;
  const auto text = value->String();
  if (!text) return;
  if (const auto parsed = ParseDuration(*text)) {
    *nanos = *parsed;
  } else {
    value->Error(fmt::format("expected a duration such as 250ms, 1.5s, 2m or 1h, found {}",
                             QuoteForMessage(*text)));
  }
}

void ConfigMap::RequiredChoice(std::string_view key, std::initializer_list<std::string_view> names,
                               int* out) {
  ReadChoice(RequiredValue(key), std::span(names), out);
}
void ConfigMap::OptionalChoice(std::string_view key, std::initializer_list<std::string_view> names,
                               int* out) {
  ReadChoice(Value(key), std::span(names), out);
}
void ConfigMap::RequiredChoice(std::string_view key, std::span<const std::string_view> names,
                               int* out) {
  ReadChoice(RequiredValue(key), names, out);
}
void ConfigMap::OptionalChoice(std::string_view key, std::span<const std::string_view> names,
                               int* out) {
  ReadChoice(Value(key), names, out);
}

std::optional<ConfigMap> ConfigMap::RequiredMap(std::string_view key) {
  const auto value = RequiredValue(key);
  return value ? value->Map() : std::nullopt;
}
std::optional<ConfigMap> ConfigMap::OptionalMap(std::string_view key) {
  const auto value = Value(key);
  return value ? value->Map() : std::nullopt;
}
std::vector<ConfigValue> ConfigMap::RequiredSequence(std::string_view key) {
  const auto value = RequiredValue(key);
  return value ? value->Sequence() : std::vector<ConfigValue>();
}
std::vector<ConfigValue> ConfigMap::OptionalSequence(std::string_view key) {
  const auto value = Value(key);
  return value ? value->Sequence() : std::vector<ConfigValue>();
}

// ---- ConfigDocument ----

ConfigDocument::ConfigDocument(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<ConfigDocument> ConfigDocument::Parse(std::string_view text, std::string name) {
  SELVEDGE_ASSIGN_OR_RETURN(ConfigTree tree, BuildConfigTree(text, name));
  auto state = std::make_shared<State>();
  state->name = std::move(name);
  state->tree = std::move(tree);
  return ConfigDocument(std::move(state));
}

Result<ConfigDocument> ConfigDocument::ParseFile(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, ConfigLimits::kTextBytes));
  return Parse(text, path);
}

ConfigMap ConfigDocument::Root() const {
  static const ConfigNode kNothing{.kind = Kind::kMap};
  const ConfigNode* root = state_->tree.root;
  if (root->kind != Kind::kMap) {
    state_->Report(root->line, "",
                   root->kind == Kind::kNull
                       ? "the file is empty; expected a map of keys and values"
                       : Expected("a map of keys and values", *root));
    root = &kNothing;
  }
  return ConfigMap(std::make_shared<ConfigValue::Node>(ConfigValue::Node{state_, root, ""}));
}

const Status& ConfigDocument::status() const {
  while (!state_->open.empty()) state_->open.front()->Finish();
  return state_->status;
}

}  // namespace selvedge
