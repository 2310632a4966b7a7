#include "engine/fake/fake_model.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

namespace selvedge {
namespace {

using Words = std::vector<std::string_view>;

Words Split(std::string_view line) {
  Words words;
  while (!line.empty()) {
    const std::size_t start = line.find_first_not_of(" \t\r");
    if (start == std::string_view::npos) break;
    line.remove_prefix(start);
    const std::size_t end = std::min(line.find_first_of(" \t\r"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

std::optional<double> Number(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !std::isfinite(value)) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::int64_t> Integer(std::string_view word) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

std::optional<DataType> Type(std::string_view word) {
  for (int i = 0; i <= static_cast<int>(DataType::kBool); ++i) {
    if (DataTypeName(static_cast<DataType>(i)) == word) return static_cast<DataType>(i);
  }
  return std::nullopt;
}

std::optional<Shape> ParseShape(std::string_view word) {
  if (word.size() < 2 || word.front() != '[' || word.back() != ']') return std::nullopt;
  word = word.substr(1, word.size() - 2);
  std::vector<std::int64_t> dims;
  while (!word.empty()) {
    const std::size_t end = std::min(word.find(','), word.size());
    const std::string_view dim = word.substr(0, end);
    const std::optional<std::int64_t> value = dim == "?" ? -1 : Integer(dim);
    if (!value || *value < -1 || (*value == -1 && dim != "?")) return std::nullopt;
    dims.push_back(*value);
    word.remove_prefix(std::min(end + 1, word.size()));
  }
  Result<Shape> shape = Shape::From(dims);
  return shape ? std::optional(*shape) : std::nullopt;
}

class Parser {
 public:
  Result<FakeModel> Parse(std::string_view text) {
    bool first = true;
    while (!text.empty()) {
      ++line_;
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      line = line.substr(0, std::min(line.find('#'), line.size()));
      const Words words = Split(line);
      if (first) {
        first = false;
        if (words.size() != 2 || words[0] != "selvedge-fake-model" || words[1] != "1") {
          return Err(Bad("the first line must be \"selvedge-fake-model 1\""));
        }
        continue;
      }
      if (words.empty()) continue;
      SELVEDGE_RETURN_ERR_IF_ERROR(Statement(words));
    }
    if (model_.outputs.empty()) return Err(Bad("the model has no output"));
    return std::move(model_);
  }

 private:
  Status Bad(std::string_view what) const {
    return InvalidArgumentError("fake model, line " + std::to_string(line_) + ": " +
                                std::string(what));
  }

  Status Statement(const Words& words) {
    const std::string_view verb = words[0];
    if (verb == "input") return Input(words);
    if (verb == "output") return Output(words);
    if (verb == "rows") return Rows(words);
    if (verb == "key") return Key(words);
    if (verb == "fail") return Fail(words);
    if (verb == "repeat" && words.size() == 1) {
      model_.repeat = true;
      return OkStatus();
    }
    if (verb == "sleep") return Duration(words, &model_.sleep);
    if (verb == "busy") return Duration(words, &model_.busy);
    return Bad("unknown statement \"" + std::string(verb) + "\"");
  }

  Result<TensorSpec> Spec(const Words& words) const {
    if (words.size() < 4) return Err(Bad("expected a name, a type and a shape"));
    const std::optional<DataType> type = Type(words[2]);
    if (!type) return Err(Bad("unknown type \"" + std::string(words[2]) + "\""));
    const std::optional<Shape> shape = ParseShape(words[3]);
    if (!shape) return Err(Bad("a shape looks like [1,300,300,3]"));
    return TensorSpec{.name = std::string(words[1]), .type = *type, .shape = *shape};
  }

  Status Input(const Words& words) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(TensorSpec spec, Spec(words));
    if (words.size() == 7 && words[4] == "quantised") {
      const std::optional<double> scale = Number(words[5]);
      const std::optional<std::int64_t> zero = Integer(words[6]);
      if (!scale || !zero) return Bad("quantised needs a scale and a zero point");
      spec.scale = static_cast<float>(*scale);
      spec.zero_point = static_cast<std::int32_t>(*zero);
    } else if (words.size() != 4) {
      return Bad("an input ends after its shape, or with: quantised SCALE ZERO");
    }
    model_.inputs.push_back(std::move(spec));
    return OkStatus();
  }

  Status Output(const Words& words) {
    FakeOutput output;
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(output.spec, Spec(words));
    if (words.size() < 5) return Bad("an output needs a function");
    const std::string_view function = words[4];
    const Words rest(words.begin() + 5, words.end());
    if (function == "fill") {
      const std::optional<double> value = rest.size() == 1 ? Number(rest[0]) : std::nullopt;
      if (!value) return Bad("fill needs one number");
      output.value = *value;
    } else if (function == "rows") {
      output.function = FakeFunction::kRows;
      if (output.spec.type != DataType::kFloat32) return Bad("rows are float32");
    } else if (function == "copy" || function == "add" || function == "sum") {
      output.function = function == "copy"  ? FakeFunction::kCopy
                        : function == "add" ? FakeFunction::kAdd
                                            : FakeFunction::kSum;
      SELVEDGE_RETURN_IF_ERROR(Operands(rest, &output));
    } else {
      return UnimplementedError("fake model, line " + std::to_string(line_) +
                                ": unknown function \"" + std::string(function) + "\"");
    }
    model_.outputs.push_back(std::move(output));
    return OkStatus();
  }

  Status Operands(const Words& names, FakeOutput* output) const {
    for (std::string_view name : names) {
      const auto found = std::ranges::find(model_.inputs, name, &TensorSpec::name);
      if (found == model_.inputs.end()) return Bad("no input \"" + std::string(name) + "\" above");
      const TensorSpec& input = *found;
      const bool same = input.type == output->spec.type && output->spec.shape.Matches(input.shape);
      if (output->function == FakeFunction::kCopy && !same) {
        return Bad("copy needs an input of the output's type and shape");
      }
      if (output->function == FakeFunction::kAdd && (!same || input.type != DataType::kFloat32)) {
        return Bad("add needs float32 inputs of the output's shape");
      }
      output->operands.push_back(static_cast<std::size_t>(found - model_.inputs.begin()));
    }
    const std::size_t wanted = output->function == FakeFunction::kAdd ? 2 : 1;
    const bool enough =
        output->function == FakeFunction::kSum ? names.size() >= wanted : names.size() == wanted;
    return enough ? OkStatus() : Bad("the function has the wrong number of inputs");
  }

  Status Rows(const Words& words) {
    const std::optional<std::int64_t> key = words.size() > 2 ? Integer(words[1]) : std::nullopt;
    if (!key || *key < 0) return Bad("rows needs a key of 0 or more, an output and numbers");
    const auto found = std::ranges::find(model_.outputs, words[2],
                                         [](const FakeOutput& o) { return o.spec.name; });
    if (found == model_.outputs.end() || found->function != FakeFunction::kRows) {
      return Bad("no output \"" + std::string(words[2]) + "\" with rows above");
    }
    std::vector<float>& values = found->script[*key];
    for (std::size_t i = 3; i < words.size(); ++i) {
      const std::optional<double> value = Number(words[i]);
      if (!value) return Bad("\"" + std::string(words[i]) + "\" is not a number");
      values.push_back(static_cast<float>(*value));
    }
    const std::optional<std::int64_t> room = found->spec.shape.ElementCount();
    if (!room || values.size() > static_cast<std::size_t>(*room)) {
      return Bad("more numbers than the output has elements");
    }
    model_.last_key = std::max(model_.last_key, *key);
    return OkStatus();
  }

  Status Key(const Words& words) {
    if (words.size() != 2) return Bad("key needs one word: calls, or an input");
    if (words[1] == "calls") return OkStatus();
    const auto found = std::ranges::find(model_.inputs, words[1], &TensorSpec::name);
    if (found == model_.inputs.end())
      return Bad("no input \"" + std::string(words[1]) + "\" above");
    model_.key_input = static_cast<int>(found - model_.inputs.begin());
    return OkStatus();
  }

  Status Fail(const Words& words) {
    const std::optional<std::int64_t> key = words.size() > 2 ? Integer(words[1]) : std::nullopt;
    if (!key) return Bad("fail needs a key and a text");
    std::string text;
    for (std::size_t i = 2; i < words.size(); ++i) {
      text += (i > 2 ? " " : "") + std::string(words[i]);
    }
    model_.failures[*key] = std::move(text);
    return OkStatus();
  }

  Status Duration(const Words& words, Nanos* duration) const {
    constexpr double kLongest = 60'000;
    const std::optional<double> value = words.size() == 2 ? Number(words[1]) : std::nullopt;
    if (!value || *value < 0 || *value > kLongest) return Bad("expected 0 to 60000 milliseconds");
    *duration = static_cast<Nanos>(*value * static_cast<double>(kMillisecond));
    return OkStatus();
  }

  FakeModel model_;
  int line_ = 0;
};

}  // namespace

Result<FakeModel> FakeModel::Parse(std::string_view text) {
  return Parser().Parse(text);
}

}  // namespace selvedge
