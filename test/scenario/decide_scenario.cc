#include "decide_scenario.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "device/decide/rules.h"

namespace selvedge::scenario {

namespace {

struct Expectation {
  int line = 0;
  double time = 0;
  std::string text;
};

struct TrackStep {
  Track track;
  Point from;
  Point to;
};

// One line of the `frames` part.
struct Step {
  int line = 0;
  double first = 0;
  double last = 0;
  double every = 0;  // 0: one frame
  int width = 0;
  int height = 0;
  std::vector<TrackStep> tracks;
  std::vector<std::int64_t> ended;
};

struct Scenario {
  std::string path;
  std::vector<std::string> labels = {"person", "car"};
  std::string rules;
  std::vector<Step> steps;
  std::vector<Expectation> expected;
  std::vector<std::string> refused;
};

std::string Trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

// The whole of `text` as a number.
bool ReadNumber(const std::string& text, double* out) {
  char* end = nullptr;
  *out = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0';
}

// `12x34`, `12,34`: two numbers with `separator` between them.
bool ReadPair(const std::string& text, char separator, double* first, double* second) {
  const std::size_t at = text.find(separator);
  return at != std::string::npos && ReadNumber(text.substr(0, at), first) &&
         ReadNumber(text.substr(at + 1), second);
}

class Reader {
 public:
  explicit Reader(const std::string& path) { scenario_.path = path; }

  Result<Scenario> Read() {
    std::ifstream in(scenario_.path);
    if (!in) return Err(NotFoundError(scenario_.path + ": cannot be read"));
    for (std::string line; std::getline(in, line);) {
      ++line_;
      const Status status = ReadLine(line);
      if (!status.ok()) {
        return Err(status.WithContext(scenario_.path + ":" + std::to_string(line_)));
      }
    }
    if (scenario_.steps.empty() == scenario_.refused.empty()) {
      return Err(InvalidArgumentError(scenario_.path + ": needs either frames or a refusal"));
    }
    return scenario_;
  }

 private:
  enum class Part { kHead, kRules, kFrames, kRefused };

  Status ReadLine(const std::string& line) {
    if (line.starts_with("--- ")) {
      static const std::map<std::string, Part> kParts = {
          {"rules", Part::kRules}, {"frames", Part::kFrames}, {"refused", Part::kRefused}};
      const auto it = kParts.find(Trimmed(line.substr(4)));
      if (it == kParts.end()) return InvalidArgumentError("unknown part");
      part_ = it->second;
      return OkStatus();
    }
    if (part_ == Part::kRules) {
      scenario_.rules += line + "\n";
      return OkStatus();
    }
    // A comment; `#1` is a track.
    std::string text = line;
    if (text.starts_with('#') && !(text.size() > 1 && std::isdigit(text[1]))) text.clear();
    if (const auto at = text.find(" # "); at != std::string::npos) text.resize(at);
    text = Trimmed(text);
    if (text.empty()) return OkStatus();
    if (text.starts_with("picture ")) return ReadPicture(text);
    switch (part_) {
      case Part::kHead: return ReadHead(text);
      case Part::kFrames: return ReadStep(text);
      case Part::kRefused: scenario_.refused.push_back(text); break;
      case Part::kRules: break;
    }
    return OkStatus();
  }

  Status ReadPicture(const std::string& text) {
    double width = 0;
    double height = 0;
    if (!ReadPair(text.substr(text.find(' ') + 1), 'x', &width, &height)) {
      return InvalidArgumentError("write `picture 100x100`");
    }
    width_ = static_cast<int>(width);
    height_ = static_cast<int>(height);
    return OkStatus();
  }

  Status ReadHead(const std::string& text) {
    if (!text.starts_with("labels")) return InvalidArgumentError("unknown line before the rules");
    scenario_.labels = Words(text.substr(6));
    return OkStatus();
  }

  Status ReadStep(const std::string& text) {
    const std::size_t arrow = text.find("=>");
    const std::vector<std::string> words = Words(text.substr(0, arrow));
    if (words.empty()) return InvalidArgumentError("a frame begins with its time");
    Step step{.line = line_, .width = width_, .height = height_};
    SELVEDGE_RETURN_IF_ERROR(ReadTime(words[0], &step));
    for (std::size_t i = 1; i < words.size(); ++i) {
      if (words[i].starts_with("x#")) {
        double id = 0;
        if (!ReadNumber(words[i].substr(2), &id)) {
          return InvalidArgumentError("cannot read " + words[i]);
        }
        step.ended.push_back(static_cast<std::int64_t>(id));
        continue;
      }
      SELVEDGE_RETURN_IF_ERROR(ReadTrack(words, &i, &step));
    }
    if (arrow != std::string::npos)
      SELVEDGE_RETURN_IF_ERROR(ReadExpected(text.substr(arrow + 2), step));
    scenario_.steps.push_back(std::move(step));
    return OkStatus();
  }

  // `1.5`, or `1.5..3/0.1`.
  static Status ReadTime(const std::string& word, Step* step) {
    const std::size_t dots = word.find("..");
    const std::size_t slash = word.find('/');
    bool good = ReadNumber(word.substr(0, dots), &step->first);
    step->last = step->first;
    if (dots != std::string::npos) {
      good = good && slash != std::string::npos &&
             ReadNumber(word.substr(dots + 2, slash - dots - 2), &step->last) &&
             ReadNumber(word.substr(slash + 1), &step->every) && step->every > 0 &&
             step->last > step->first;
    }
    return good ? OkStatus() : InvalidArgumentError("bad time " + word);
  }

  // `#1 20,50>60,50 0.4 car` from words[*i] on; *i ends at its last word.
  Status ReadTrack(const std::vector<std::string>& words, std::size_t* i, Step* step) {
    const auto bad = [&](const std::string& word) {
      return InvalidArgumentError("cannot read `" + word + "` of a track");
    };
    TrackStep out{.track = {.score = 0.9F, .matched = true}};
    out.track.matched = !words[*i].ends_with('?');
    double id = 0;
    const std::size_t digits = words[*i].size() - 1 - static_cast<std::size_t>(!out.track.matched);
    if (words[*i][0] != '#' || !ReadNumber(words[*i].substr(1, digits), &id)) return bad(words[*i]);
    out.track.id = static_cast<std::int64_t>(id);
    if (++*i == words.size()) return bad("end of line");
    const std::string& way = words[*i];
    const std::size_t arrow = way.find('>');
    if (!ReadPair(way.substr(0, arrow), ',', &out.from.x, &out.from.y)) return bad(way);
    out.to = out.from;
    if (arrow != std::string::npos && !ReadPair(way.substr(arrow + 1), ',', &out.to.x, &out.to.y)) {
      return bad(way);
    }
    for (; *i + 1 < words.size(); ++*i) {
      const std::string& word = words[*i + 1];
      if (word.starts_with('#') || word.starts_with("x#")) break;
      const auto label = std::ranges::find(scenario_.labels, word);
      if (label != scenario_.labels.end()) {
        out.track.class_id = static_cast<std::int32_t>(label - scenario_.labels.begin());
        continue;
      }
      double score = 0;
      if (!ReadNumber(word, &score)) return bad(word);
      out.track.score = static_cast<float>(score);
    }
    step->tracks.push_back(out);
    return OkStatus();
  }

  Status ReadExpected(const std::string& text, const Step& step) {
    std::istringstream in(text);
    for (std::string item; std::getline(in, item, ';');) {
      item = Trimmed(item);
      Expectation expectation{.line = line_, .time = step.first, .text = item};
      if (step.every > 0) {
        const std::size_t blank = item.find(' ');
        if (item[0] != '@' || blank == std::string::npos ||
            !ReadNumber(item.substr(1, blank - 1), &expectation.time)) {
          return InvalidArgumentError("many frames: write the time of `" + item + "` as @1.5");
        }
        expectation.text = Trimmed(item.substr(blank));
      }
      scenario_.expected.push_back(std::move(expectation));
    }
    return OkStatus();
  }

  Scenario scenario_;
  Part part_ = Part::kHead;
  int line_ = 0;
  int width_ = 100;
  int height_ = 100;
};

std::string Text(const RuleFiring& firing) {
  std::ostringstream out;
  out << firing.rule << ' ' << firing.state;
  if (firing.track != 0) out << " #" << firing.track;
  if (!firing.direction.empty()) out << ' ' << firing.direction;
  out << ' ' << firing.value << '/' << firing.threshold;
  return out.str();
}

// Up to the last blank: without `value/threshold`.
bool Matches(const std::string& expected, const std::string& got) {
  return expected == got || expected == got.substr(0, got.rfind(' '));
}

struct Got {
  int line;
  double time;
  std::string text;
};

std::vector<Got> Play(const Scenario& scenario, RuleSet* rules) {
  std::vector<Got> all;
  std::vector<RuleFiring> firings;
  for (const Step& step : scenario.steps) {
    const long count = step.every > 0 ? std::lround((step.last - step.first) / step.every) : 0;
    for (long k = 0; k <= count; ++k) {
      const double part = count > 0 ? static_cast<double>(k) / static_cast<double>(count) : 0;
      const double time = step.first + part * (step.last - step.first);
      Tracks tracks;
      for (const TrackStep& moving : step.tracks) {
        Track track = moving.track;
        const auto x = static_cast<float>(moving.from.x + part * (moving.to.x - moving.from.x));
        const auto y = static_cast<float>(moving.from.y + part * (moving.to.y - moving.from.y));
        track.box = {x - 2, y - 8, x + 2, y};
        tracks.push_back(track);
      }
      firings.clear();
      // Whole microseconds, so that tenths of a second add up.
      rules->Evaluate({.time = std::llround(time * 1e6) * kMicrosecond,
                       .width = step.width,
                       .height = step.height,
                       .tracks = tracks,
                       .ended = k == 0 ? std::span(step.ended) : std::span<const std::int64_t>()},
                      &firings);
      for (const RuleFiring& firing : firings) all.push_back({step.line, time, Text(firing)});
    }
  }
  return all;
}

std::string Cell(const std::string& text) {
  constexpr std::size_t kWidth = 52;
  return text.size() < kWidth ? text + std::string(kWidth - text.size(), ' ') : text;
}

std::string Row(int line, double time, const std::string& expected, const std::string& got,
                bool ok) {
  char head[64];
  std::snprintf(head, sizeof head, "%c line %-3d %7.3f s  ", ok ? ' ' : '!', line, time);
  return head + Cell(expected) + "| " + got + "\n";
}

// Expected and got in the order of time; what belongs to one moment is paired in order.
Outcome Compare(const Scenario& scenario, const std::vector<Got>& got) {
  Outcome outcome{.passed = true,
                  .report = scenario.path + "\n" + Cell("                        EXPECTED") +
                            "                        | GOT\n",
                  .firings = static_cast<int>(got.size())};
  std::size_t e = 0;
  std::size_t g = 0;
  constexpr double kSame = 1e-6;  // seconds
  while (e < scenario.expected.size() || g < got.size()) {
    const double et = e < scenario.expected.size() ? scenario.expected[e].time : HUGE_VAL;
    const double gt = g < got.size() ? got[g].time : HUGE_VAL;
    if (std::abs(et - gt) < kSame) {
      const bool ok = Matches(scenario.expected[e].text, got[g].text);
      outcome.report +=
          Row(scenario.expected[e].line, et, scenario.expected[e].text, got[g].text, ok);
      outcome.passed = outcome.passed && ok;
      ++e;
      ++g;
    } else if (et < gt) {
      outcome.report += Row(scenario.expected[e].line, et, scenario.expected[e].text, "-", false);
      outcome.passed = false;
      ++e;
    } else {
      outcome.report += Row(got[g].line, gt, "-", got[g].text, false);
      outcome.passed = false;
      ++g;
    }
  }
  return outcome;
}

Outcome CompareRefusal(const Scenario& scenario, const Status& status) {
  Outcome outcome{.passed = !status.ok(), .report = scenario.path + "\n", .firings = 0};
  for (const std::string& words : scenario.refused) {
    const bool ok = status.message().find(words) != std::string::npos;
    outcome.passed = outcome.passed && ok;
    outcome.report += std::string(ok ? "  " : "! ") + "expected in the error: " + words + "\n";
  }
  outcome.report += "  got: " + status.ToString() + "\n";
  return outcome;
}

}  // namespace

std::vector<std::string> List(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  const std::string root = std::string(SELVEDGE_SOURCE_DIR) + "/test/scenario/" + folder;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    if (entry.path().extension() == ".scenario") paths.push_back(entry.path().string());
  }
  std::ranges::sort(paths);
  return paths;
}

Result<Outcome> RunDecide(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(const Scenario scenario, Reader(path).Read());
  SELVEDGE_ASSIGN_OR_RETURN(ConfigDocument document,
                            ConfigDocument::Parse(scenario.rules, "rules"));
  RuleSet rules = [&] {
    ConfigMap root = document.Root();
    return RuleSet::Parse(&root, scenario.labels);
  }();
  Status status = document.status();
  if (status.ok() && !scenario.steps.empty()) {
    status = rules.CheckPicture(scenario.steps[0].width, scenario.steps[0].height);
  } else if (status.ok()) {
    status = rules.CheckPicture(100, 100);
  }
  if (!scenario.refused.empty()) return CompareRefusal(scenario, status);
  SELVEDGE_RETURN_ERR_IF_ERROR(status.WithContext(path));
  return Compare(scenario, Play(scenario, &rules));
}

}  // namespace selvedge::scenario
