#include "base/config_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <exception>
#include <istream>
#include <streambuf>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/config.h"
#include "base/utf8.h"

namespace selvedge {
namespace {

// Leaves the parser from within an event; caught in BuildConfigTree.
struct Refusal {
  int line;
  std::string path;
  std::string message;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(ConfigTree* tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      throw Refusal{mark.line + 1, "",
                    "a second document begins here; one file holds one document"};
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Leaf(mark, anchor, ConfigNode::Kind::kNull, {}, false);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    RefuseTag(mark, tag);
    Leaf(mark, anchor, ConfigNode::Kind::kScalar, value, tag == "!");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Begin(mark, tag, anchor, ConfigNode::Kind::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Begin(mark, tag, anchor, ConfigNode::Kind::kMap);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapEnd() override { End(); }

 private:
  // A map or sequence that is still being filled.
  struct Open {
    ConfigNode* node;
    YAML::anchor_t anchor;
    bool have_key = false;
    std::string key;
    int key_line = 0;
    std::unordered_set<std::string> keys;
  };

  static void RefuseTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refusal{mark.line + 1, "",
                    "the tag " + QuoteForMessage(tag) + " is not supported; remove it"};
    }
  }

  std::string Path() const {
    std::string path;
    for (const Open& open : open_) {
      if (open.node->kind == ConfigNode::Kind::kSequence) {
        path += '[' + std::to_string(open.node->elements.size()) + ']';
      } else if (open.have_key) {
        path = ConfigPath(path, open.key);
      }
    }
    return path;
  }

  // Room for `nodes` more nodes that reach `height` levels below the open ones.
  void Reserve(int line, std::size_t nodes, int height) {
    if (static_cast<int>(open_.size()) + height > ConfigLimits::kDepth) {
      throw Refusal{line, "",
                    "nested deeper than " + std::to_string(ConfigLimits::kDepth) + " levels"};
    }
    if (nodes > ConfigLimits::kNodes - nodes_) {
      throw Refusal{line, "",
                    "more than " + std::to_string(ConfigLimits::kNodes) +
                        " values (an alias counts as what it stands for)"};
    }
    nodes_ += nodes;
  }

  ConfigNode* NewNode(const YAML::Mark& mark, ConfigNode::Kind kind) {
    Reserve(mark.line + 1, 1, 1);
    ConfigNode& node = tree_->nodes.emplace_back();
    node.kind = kind;
    node.line = mark.line + 1;
    return &node;
  }

  bool ExpectsKey() const {
    return !open_.empty() && open_.back().node->kind == ConfigNode::Kind::kMap &&
           !open_.back().have_key;
  }

  void Leaf(const YAML::Mark& mark, YAML::anchor_t anchor, ConfigNode::Kind kind,
            const std::string& value, bool quoted) {
    if (ExpectsKey() && kind == ConfigNode::Kind::kScalar) {
      Key(mark, anchor, value);
      return;
    }
    RefuseAsKey(mark);
    ConfigNode* node = NewNode(mark, kind);
    // The parser notices a missing value only where the next key stands.
    if (kind == ConfigNode::Kind::kNull && !open_.empty() && open_.back().have_key) {
      node->line = open_.back().key_line;
    }
    node->scalar = value;
    node->quoted = quoted;
    Attach(node, anchor);
  }

  void Key(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& value) {
    Open& open = open_.back();
    if (anchor != 0) throw Refusal{mark.line + 1, Path(), "a key cannot have an anchor"};
    open.key = value;
    open.key_line = mark.line + 1;
    open.have_key = true;
    if (!open.keys.insert(value).second) {
      const auto& entries = open.node->entries;
      const auto first = std::ranges::find(entries, value, &ConfigNode::Entry::key);
      throw Refusal{
          mark.line + 1, Path(),
          "the key is there twice; it was first given in line " + std::to_string(first->line)};
    }
  }

  void RefuseAsKey(const YAML::Mark& mark) const {
    if (ExpectsKey()) throw Refusal{mark.line + 1, Path(), "a key must be a plain word"};
  }

  void Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             ConfigNode::Kind kind) {
    RefuseTag(mark, tag);
    RefuseAsKey(mark);
    ConfigNode* node = NewNode(mark, kind);
    open_.push_back(Open{.node = node, .anchor = anchor, .key = {}, .keys = {}});
  }

  void End() {
    ConfigNode* node = open_.back().node;
    const YAML::anchor_t anchor = open_.back().anchor;
    open_.pop_back();
    Attach(node, anchor);
  }

  // Hangs a complete node onto the innermost open one.
  void Attach(const ConfigNode* node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    if (open_.empty()) {
      tree_->root = node;
      return;
    }
    Open& parent = open_.back();
    parent.node->nodes += node->nodes;
    parent.node->height = std::max(parent.node->height, node->height + 1);
    if (parent.node->kind == ConfigNode::Kind::kSequence) {
      parent.node->elements.push_back(node);
      return;
    }
    parent.node->entries.push_back({std::move(parent.key), parent.key_line, node});
    parent.key.clear();
    parent.have_key = false;
  }

  ConfigTree* tree_;
  std::vector<Open> open_;
  std::unordered_map<YAML::anchor_t, const ConfigNode*> anchors_;
  std::size_t nodes_ = 0;
  int documents_ = 0;
};

void TreeBuilder::OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) {
  RefuseAsKey(mark);
  const auto found = anchors_.find(anchor);
  if (found == anchors_.end()) {  // the anchor's own node is still open
    throw Refusal{mark.line + 1, Path(), "the alias stands inside what it refers to"};
  }
  Reserve(mark.line + 1, found->second->nodes, found->second->height);
  Attach(found->second, 0);
}

// Reads from memory that somebody else owns, without the copy that std::istringstream makes.
class MemoryBuffer : public std::streambuf {
 public:
  explicit MemoryBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // never written: no put area
    setg(begin, begin, begin + text.size());
  }
};

int LineOf(std::string_view text, std::size_t offset) {
  return 1 + static_cast<int>(std::ranges::count(text.substr(0, offset), '\n'));
}

// YAML is text: a video or a model given by mistake is recognised before a parser sees it.
Status CheckText(std::string_view text, const std::string& name) {
  if (text.size() > ConfigLimits::kTextBytes) {
    return InvalidArgumentError(name + ": larger than 1 MiB; this is no configuration file");
  }
  const std::size_t invalid = FindInvalidUtf8(text);
  const std::size_t control = text.find('\0');
  const std::size_t bad = std::min(invalid, control);
  if (bad == std::string_view::npos) return OkStatus();
  return ConfigErrorAt(name, LineOf(text, bad), "", "not UTF-8 text; this is no YAML file");
}

}  // namespace

Status ConfigErrorAt(std::string_view name, int line, std::string_view path,
                     std::string_view message) {
  std::string text(name);
  text += ':' + std::to_string(line) + ": ";
  if (!path.empty()) text.append(path).append(": ");
  return InvalidArgumentError(text.append(message));
}

std::string QuoteForMessage(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string out = "\"";
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = Utf8SequenceLength(text, i);
    if (i + std::max<std::size_t>(length, 1) > kLongest) {
      out += "…";
      break;
    }
    const char c = text[i];
    if (length == 0 || static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x",
                    static_cast<unsigned>(static_cast<unsigned char>(c)));
      out += escaped;
      ++i;
      continue;
    }
    out.append(text.substr(i, length));
    i += length;
  }
  return out + '"';
}

std::string ConfigPath(std::string_view path, std::string_view key) {
  std::string result(path);
  if (!result.empty()) result += '.';
  const bool plain =
      !key.empty() && key.size() <= 60 && std::ranges::all_of(key, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '/';
      });
  return result + (plain ? std::string(key) : QuoteForMessage(key));
}

Result<ConfigTree> BuildConfigTree(std::string_view text, const std::string& name) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckText(text, name));
  ConfigTree tree;
  MemoryBuffer buffer(text);
  std::istream stream(&buffer);
  try {
    YAML::Parser parser(stream);
    TreeBuilder builder(&tree);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refusal& refusal) {
    return Err(ConfigErrorAt(name, refusal.line, refusal.path, refusal.message));
  } catch (const YAML::Exception& e) {
    const int line = e.mark.is_null() ? 1 : e.mark.line + 1;
    return Err(ConfigErrorAt(name, line, "", "not valid YAML: " + e.msg));
  } catch (const std::exception& e) {
    return Err(InvalidArgumentError(name + ": not valid YAML: " + e.what()));
  }
  if (tree.root == nullptr) tree.root = &tree.nodes.emplace_back();
  return tree;
}

}  // namespace selvedge
