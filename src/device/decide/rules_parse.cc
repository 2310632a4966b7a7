// Reading a pipeline file's `rules`; places are read in place_parse.cc.

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/decide/place_parse.h"
#include "device/decide/rule.h"

namespace selvedge {

namespace {

constexpr Range kFrames{1, 64};
constexpr float kNotWatched = -1;

// Reads one item of the list.
class RuleReader {
 public:
  RuleReader(ConfigMap* map, const RuleSet::Impl& set, const std::vector<std::string>& labels)
      : map_(*map), set_(set), labels_(labels) {}

  Rule Read();

 private:
  void ReadClasses();
  void ReadMinScore();
  void ReadWhen(std::initializer_list<std::string_view> names, ReportWhen when);
  void ReadPlace(std::string_view key, bool required);
  void ReadSettling();
  void ReadPresence();
  void ReadDwell();
  void ReadCount();
  void ReadPositive(std::string_view key, Nanos* out);
  std::vector<std::string> PlaceNames() const;

  ConfigMap& map_;
  const RuleSet::Impl& set_;
  const std::vector<std::string>& labels_;
  Rule rule_;
};

Rule RuleReader::Read() {
  map_.Required("name", &rule_.name);
  if (const std::string fault = NameFault(rule_.name); !fault.empty()) map_.Error("name", fault);
  int kind = 0;
  map_.RequiredChoice("kind", {"presence", "zone", "line", "dwell", "count"}, &kind);
  rule_.kind = static_cast<RuleKind>(kind);
  ReadClasses();
  ReadMinScore();
  int point = 0;
  map_.OptionalChoice("point", {"bottom-centre", "centre"}, &point);
  rule_.point = static_cast<ReferencePoint>(point);
  map_.OptionalDuration("cooldown", &rule_.cooldown);
  ReadPositive("max_gap", &rule_.max_gap);
  switch (rule_.kind) {
    case RuleKind::kPresence: ReadPresence(); break;
    case RuleKind::kZone:
      ReadPlace("zone", true);
      ReadWhen({"both", "enter", "leave"}, ReportWhen::kBoth);
      ReadSettling();
      break;
    case RuleKind::kLine: {
      ReadPlace("line", true);
      ReadSettling();
      int direction = 0;
      map_.OptionalChoice("direction", {"both", "a-to-b", "b-to-a"}, &direction);
      rule_.direction = static_cast<LineDirection>(direction);
      break;
    }
    case RuleKind::kDwell: ReadDwell(); break;
    case RuleKind::kCount: ReadCount(); break;
  }
  return std::move(rule_);
}

void RuleReader::ReadClasses() {
  rule_.min_score.assign(labels_.size(), static_cast<float>(kDefaultMinScore));
  const std::optional<ConfigValue> classes = map_.Value("classes");
  if (!classes) return;
  std::ranges::fill(rule_.min_score, kNotWatched);
  const std::vector<ConfigValue> items = classes->Sequence();
  if (items.empty()) classes->Error("name at least one class, or leave the key out for all");
  for (const ConfigValue& item : items) {
    const std::optional<std::string> label = item.String();
    if (!label) continue;
    const auto it = std::ranges::find(labels_, *label);
    if (it == labels_.end()) {
      item.Error(UnknownWord(*label, "class of the model", labels_));
      continue;
    }
    rule_.min_score[static_cast<std::size_t>(it - labels_.begin())] =
        static_cast<float>(kDefaultMinScore);
  }
}

void RuleReader::ReadMinScore() {
  const std::optional<ConfigValue> value = map_.Value("min_score");
  if (!value) return;
  const auto read = [](const ConfigValue& v, float* out) {
    const std::optional<double> score = v.Number();
    if (!score) return;
    if (*score < 0 || *score > 1)
      v.Error("a score lies between 0 and 1, not " + NumberText(*score));
    *out = static_cast<float>(*score);
  };
  if (!value->IsMap()) {
    read(*value, &rule_.any_class_score);
    for (float& score : rule_.min_score) {
      if (score != kNotWatched) score = rule_.any_class_score;
    }
    return;
  }
  std::optional<ConfigMap> scores = value->Map();
  if (!scores) return;
  for (const auto& [label, score] : scores->Entries()) {
    const auto it = std::ranges::find(labels_, label);
    if (it == labels_.end()) {
      score.Error(UnknownWord(label, "class of the model", labels_));
      continue;
    }
    float& out = rule_.min_score[static_cast<std::size_t>(it - labels_.begin())];
    if (out == kNotWatched) {
      score.Error("the rule's classes do not include " + QuoteForMessage(label));
      continue;
    }
    read(score, &out);
  }
}

void RuleReader::ReadWhen(std::initializer_list<std::string_view> names, ReportWhen when) {
  int index = static_cast<int>(when);
  map_.OptionalChoice("when", names, &index);
  rule_.when = static_cast<ReportWhen>(index);
}

std::vector<std::string> RuleReader::PlaceNames() const {
  std::vector<std::string> names;
  if (rule_.kind == RuleKind::kLine) {
    for (const Line& line : set_.lines) names.push_back(line.name);
  } else {
    for (const Zone& zone : set_.zones) names.push_back(zone.name);
  }
  return names;
}

void RuleReader::ReadPlace(std::string_view key, bool required) {
  std::string name;
  if (required) {
    map_.Required(key, &name);
  } else {
    if (!map_.Has(key)) return;
    map_.Optional(key, &name);
  }
  const std::vector<std::string> names = PlaceNames();
  const auto it = std::ranges::find(names, name);
  if (it == names.end()) {
    map_.Error(key, UnknownWord(name, key, names));
    return;
  }
  rule_.place = static_cast<int>(it - names.begin());
}

// Two keys that say how sure it must be that a track changed sides.
void RuleReader::ReadSettling() {
  map_.Optional("settle_frames", &rule_.settle_frames, kFrames);
  CoordinateUnit unit = CoordinateUnit::kFraction;
  if (rule_.place >= 0) {
    const auto i = static_cast<std::size_t>(rule_.place);
    unit = rule_.kind == RuleKind::kLine ? set_.lines[i].unit : set_.zones[i].unit;
  }
  map_.Optional("margin", &rule_.margin,
                Range{0, unit == CoordinateUnit::kFraction ? 1.0 : 10'000.0});
}

void RuleReader::ReadPositive(std::string_view key, Nanos* out) {
  map_.OptionalDuration(key, out);
  if (map_.Has(key) && *out <= 0) map_.Error(key, "must be longer than 0");
}

void RuleReader::ReadPresence() {
  ReadPlace("zone", false);
  ReadWhen({"both", "start", "end"}, ReportWhen::kBoth);
  map_.Optional("on_frames", &rule_.on_frames, kFrames);
  rule_.of_frames = rule_.on_frames;
  map_.Optional("of_frames", &rule_.of_frames, kFrames);
  if (rule_.of_frames < rule_.on_frames) {
    map_.Error("of_frames",
               "must be at least on_frames, which is " + std::to_string(rule_.on_frames));
  }
  map_.OptionalDuration("on_after", &rule_.on_after);
  if (map_.Has("on_after") && (map_.Has("on_frames") || map_.Has("of_frames"))) {
    map_.Error("on_after", "give either on_after or on_frames and of_frames, not both");
  }
  map_.OptionalDuration("off_after", &rule_.off_after);
}

void RuleReader::ReadDwell() {
  ReadPlace("zone", true);
  ReadWhen({"both", "start", "end"}, ReportWhen::kFirst);
  if (!map_.Has("longer_than")) {
    map_.Error("longer_than", "is missing: how long is a stay, such as 10s?");
  }
  ReadPositive("longer_than", &rule_.longer_than);
  ReadPositive("repeat", &rule_.repeat);
  if (map_.Has("repeat") && rule_.when == ReportWhen::kSecond) {
    map_.Error("repeat", "has no meaning with `when: end`");
  }
  map_.OptionalDuration("grace", &rule_.grace);
  ReadSettling();
}

void RuleReader::ReadCount() {
  ReadPlace("zone", false);
  ReadWhen({"both", "start", "end"}, ReportWhen::kBoth);
  int compare = 0;
  map_.RequiredChoice("compare", {">=", ">", "<=", "<", "==", "!="}, &compare);
  rule_.compare = static_cast<Comparison>(compare);
  constexpr Range kCounts{0, 10'000};
  map_.Required("value", &rule_.value, kCounts);
  map_.Optional("hysteresis", &rule_.hysteresis, kCounts);
  if (rule_.hysteresis > 0 &&
      (rule_.compare == Comparison::kEqual || rule_.compare == Comparison::kNotEqual)) {
    map_.Error("hysteresis", "has no meaning with == and !=");
  }
  map_.OptionalDuration("hold", &rule_.hold);
  map_.OptionalDuration("release", &rule_.release);
  for (const std::string_view key : {"settle_frames", "margin"}) {
    if (map_.Has(key) && !map_.Has("zone"))
      map_.Error(key, "has a meaning only together with zone");
  }
  ReadSettling();
}

}  // namespace

RuleSet RuleSet::Parse(ConfigMap* pipeline, const std::vector<std::string>& labels) {
  auto impl = std::make_unique<Impl>();
  impl->zones = ParseZones(pipeline);
  impl->lines = ParseLines(pipeline);
  const std::vector<ConfigValue> items = pipeline->OptionalSequence("rules");
  if (items.size() > kMaxPlaces) {
    pipeline->Error("rules", "at most " + std::to_string(kMaxPlaces) +
                                 " rules are allowed, these are " + std::to_string(items.size()));
    return RuleSet();
  }
  for (const ConfigValue& item : items) {
    std::optional<ConfigMap> map = item.Map();
    if (!map) continue;
    Rule rule = RuleReader(&*map, *impl, labels).Read();
    if (std::ranges::find(impl->rules, rule.name, &Rule::name) != impl->rules.end()) {
      map->Error("name", "another rule is named " + QuoteForMessage(rule.name) + " as well");
    }
    impl->rules.push_back(std::move(rule));
  }
  impl->Prepare();
  return RuleSet(std::move(impl));
}

}  // namespace selvedge
