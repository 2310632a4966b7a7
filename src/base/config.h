#pragma once

// Configuration: YAML, read strictly.
//
// Every key that nobody asked for is an error; every message names file, line and key and, for a
// misspelt key or word, the nearest valid one:
//   pipeline.yaml:12: pipeline.sorce: unknown key; did you mean "source"?
// Usage: parse a document, take its root, ask for keys, then Finish():
//
//   SELVEDGE_ASSIGN_OR_RETURN(ConfigDocument doc, ConfigDocument::ParseFile(path));
//   ConfigMap map = doc.Root();
//   map.Required("name", &options.name);
//   map.Optional("threads", &options.threads, Range{1, 64});
//   if (auto child = map.OptionalMap("source")) child->Required("uri", &uri);
//   SELVEDGE_RETURN_ERR_IF_ERROR(doc.status());
//
// The first error wins and is kept in the document; reading goes on harmlessly (outputs keep their
// defaults), so callers check `doc.status()` once at the end. Maps report their unknown keys in
// Finish(), on destruction, or in `doc.status()`, whichever comes first: so ask for a key before
// that. Refused: more than 1 MiB of text, depth 32 or 100,000 values; text that is not UTF-8;
// duplicate keys; several documents; tags; merge keys. Anchors and aliases are allowed: an alias
// counts as many values and levels as what it stands for (no expansion bombs). A number in quotes
// is text; `yes` is no boolean; a key without a value is an error wherever a value is read. Not
// thread-safe. yaml-cpp stays in config_tree.cc.

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct Range {
  double min;
  double max;  // inclusive
};

class ConfigMap;

// A scalar as YAML's core schema reads it: nothing, true or false, a number, or text.
using ConfigScalar = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

// A value of any kind, with its place in the file.
class ConfigValue {
 public:
  struct Node;
  explicit ConfigValue(std::shared_ptr<Node> node);
  ~ConfigValue();
  ConfigValue(const ConfigValue&);
  ConfigValue(ConfigValue&&) noexcept;
  ConfigValue& operator=(const ConfigValue&) = delete;

  bool IsScalar() const;
  bool IsMap() const;
  bool IsSequence() const;
  // Each reports an error at this value's place and returns nullopt where the kind is wrong.
  std::optional<std::string> String() const;
  std::optional<double> Number() const;  // finite
  std::optional<std::int64_t> Integer() const;
  std::optional<bool> Bool() const;  // true or false
  std::optional<ConfigMap> Map() const;
  std::vector<ConfigValue> Sequence() const;  // empty on error
  // For values that are a user's own and have no type to be held to. Of a map or list: nothing.
  ConfigScalar Scalar() const;
  // Reports `message` at this value's file, line and key path.
  void Error(std::string_view message) const;
  int line() const;  // 1-based

 private:
  friend class ConfigMap;
  std::shared_ptr<Node> node_;
};

class ConfigMap {
 public:
  explicit ConfigMap(std::shared_ptr<ConfigValue::Node> node);
  ~ConfigMap();
  ConfigMap(ConfigMap&&) noexcept;
  ConfigMap& operator=(ConfigMap&&) = delete;
  ConfigMap(const ConfigMap&) = delete;

  bool Has(std::string_view key) const;  // also marks the key as known
  // Required: a missing key or an empty text is an error. Optional: a missing key leaves *out as it
  // is.
  void Required(std::string_view key, std::string* out);
  void Optional(std::string_view key, std::string* out);
  void Required(std::string_view key, double* out, Range range);
  void Optional(std::string_view key, double* out, Range range);
  void Optional(std::string_view key, float* out, Range range);
  void Required(std::string_view key, int* out, Range range);
  void Optional(std::string_view key, int* out, Range range);
  void Optional(std::string_view key, std::int64_t* out, Range range);
  void Optional(std::string_view key, bool* out);
  void Optional(std::string_view key, std::vector<std::string>* out);
  void Optional(std::string_view key, std::vector<double>* out);
  // "250ms", "1.5s", "2m", "1h", or a bare 0; nanoseconds.
  void OptionalDuration(std::string_view key, std::int64_t* nanos);
  // One of `names`; *out becomes its index. An unknown word is an error that names the nearest.
  void RequiredChoice(std::string_view key, std::initializer_list<std::string_view> names,
                      int* out);
  void OptionalChoice(std::string_view key, std::initializer_list<std::string_view> names,
                      int* out);
  void RequiredChoice(std::string_view key, std::span<const std::string_view> names, int* out);
  void OptionalChoice(std::string_view key, std::span<const std::string_view> names, int* out);
  std::optional<ConfigMap> RequiredMap(std::string_view key);
  std::optional<ConfigMap> OptionalMap(std::string_view key);
  // A list; each element is read with ConfigValue. Empty where missing.
  std::vector<ConfigValue> OptionalSequence(std::string_view key);
  std::vector<ConfigValue> RequiredSequence(std::string_view key);
  // The value of a key whatever its kind, nullopt where missing (not an error).
  std::optional<ConfigValue> Value(std::string_view key);
  // The same, where missing is an error.
  std::optional<ConfigValue> RequiredValue(std::string_view key);
  // Every key, in file order, all marked known: for maps whose keys are the user's own names.
  std::vector<std::pair<std::string, ConfigValue>> Entries();

  // Reports `message` at the place of `key` (or of the map, where the key is missing).
  void Error(std::string_view key, std::string_view message) const;
  // Reports keys that were never asked for. Idempotent.
  void Finish();

 private:
  std::shared_ptr<ConfigValue::Node> node_;
  mutable std::vector<std::string> known_;
  bool finished_ = false;
};

class ConfigDocument {
 public:
  // `name` is what messages call the file.
  static Result<ConfigDocument> Parse(std::string_view text, std::string name);
  static Result<ConfigDocument> ParseFile(const std::string& path);

  // The root map; an error is reported where the document is something else.
  ConfigMap Root() const;
  // OK, or the first error reported by any value of this document. Finishes the maps that are still
  // alive.
  const Status& status() const;

  struct State;

 private:
  explicit ConfigDocument(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// `text` as messages show it: in double quotes, control characters escaped, cut after 60 bytes.
std::string QuoteForMessage(std::string_view text);

// The candidate with the smallest edit distance to `word`, empty where none is near enough
// (more than a third of the longer word's length).
std::string_view NearestWord(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace selvedge
