#pragma once

// What a model is, as each engine that reads it sees it, and whether its card tells the truth.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/model_card.h"
#include "engine/engine.h"

namespace selvedge {

// One engine and one file.
struct EngineView {
  std::string engine;
  std::optional<EngineInfo> info;  // empty where it did not load
  std::string error;               // then: why
  double load_ms = 0;
  double run_ms = 0;              // one run after one to warm up, one thread
  std::string card_disagreement;  // empty where there is no card or it fits
};

struct FileView {
  std::string path;
  std::string variant;  // empty without a card
  std::uint64_t bytes = 0;
  std::string digest;
  std::vector<EngineView> engines;
};

struct ModelView {
  std::optional<ModelCard> card;
  std::string card_path;
  std::vector<FileView> files;
};

// `path` is a model file or a card (.yaml, .yml). NotFound and so on where it cannot be read; what
// single engines say against it is in the view.
Result<ModelView> Inspect(const std::string& path);

// True where every file is loaded by an engine and no card disagrees.
bool IsUsable(const ModelView& view);

std::string ToText(const ModelView& view);
std::string ToJson(const ModelView& view);

}  // namespace selvedge
