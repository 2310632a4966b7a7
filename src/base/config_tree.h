#pragma once

// The tree of a YAML document, with its lines: what config.cc reads from. Internal to base/.
//
// Built straight from the parser's events, so that limits hold while it grows: nothing larger than
// ConfigLimits is ever in memory. An alias points at the node of its anchor (nothing is copied),
// and counts as many nodes and levels as that has. Immutable once built.

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct ConfigLimits {
  static constexpr std::size_t kTextBytes = 1U << 20;
  static constexpr int kDepth = 32;
  static constexpr std::size_t kNodes = 100'000;  // aliases count what they stand for
};

struct ConfigNode {
  enum class Kind { kNull, kScalar, kMap, kSequence };
  struct Entry {
    std::string key;
    int line;
    const ConfigNode* value;
  };

  Kind kind = Kind::kNull;
  int line = 1;         // 1-based
  bool quoted = false;  // a scalar in quotes or of block style: text, whatever it looks like
  std::string scalar;
  std::vector<Entry> entries;               // of a map, in file order
  std::vector<const ConfigNode*> elements;  // of a sequence
  std::size_t nodes = 1;                    // in this subtree, itself included
  int height = 1;                           // levels in this subtree, itself included
};

struct ConfigTree {
  std::deque<ConfigNode> nodes;  // stable addresses
  const ConfigNode* root = nullptr;
};

// InvalidArgument with the whole message, `name:line: path: what`.
Result<ConfigTree> BuildConfigTree(std::string_view text, const std::string& name);

// `name:line: path: message`, without the path where it is empty.
Status ConfigErrorAt(std::string_view name, int line, std::string_view path,
                     std::string_view message);
// The path of `key` within the map at `path`; odd keys are quoted.
std::string ConfigPath(std::string_view path, std::string_view key);

}  // namespace selvedge
