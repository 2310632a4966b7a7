#include "core/event_json.h"

#include <google/protobuf/util/json_util.h>

#include <array>
#include <charconv>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <utility>

#include "base/utf8.h"
#include "proto/event.pb.h"

namespace selvedge {

namespace {

// Readers of JSON often hold numbers as doubles, which count whole numbers up to here.
constexpr std::int64_t kMaxExactInteger = (std::int64_t{1} << 53) - 1;

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// Appends JSON to a string; knows where a comma is due.
class JsonWriter {
 public:
  explicit JsonWriter(std::string* out) : out_(*out) {}

  void Open(char bracket) {
    Comma();
    out_ += bracket;
    fresh_ = true;
  }
  void Close(char bracket) {
    out_ += bracket;
    fresh_ = false;
  }
  // Keys are ours: nothing to escape.
  void Key(std::string_view key) {
    Comma();
    out_ += '"';
    out_ += key;
    out_ += "\":";
    fresh_ = true;
  }

  void Text(std::string_view key, std::string_view value) {
    Key(key);
    Quote(value);
    fresh_ = false;
  }
  void TextIfAny(std::string_view key, std::string_view value) {
    if (!value.empty()) Text(key, value);
  }
  // A number while every reader can hold it, else the text that protobuf has for 64 bits.
  template <std::integral T>
  void Integer(std::string_view key, T value) {
    Key(key);
    const bool exact = std::cmp_less_equal(value, kMaxExactInteger) &&
                       std::cmp_greater_equal(value, -kMaxExactInteger);
    exact ? Digits(value) : QuotedDigits(value);
    fresh_ = false;
  }
  // Always the text that protobuf has for 64 bits: nanoseconds since 1970 never fit a double.
  void Nanoseconds(std::string_view key, std::int64_t value) {
    Key(key);
    QuotedDigits(value);
    fresh_ = false;
  }
  // Shortest digits that read back as the same value. One that is not finite is left out.
  template <std::floating_point T>
  void Real(std::string_view key, T value) {
    if (!std::isfinite(value)) return;
    Key(key);
    if (value == 0 && std::signbit(value)) {
      out_ += "-0.0";  // protobuf reads -0 as the integer, which has no sign
    } else {
      Digits(value);
    }
    fresh_ = false;
  }

 private:
  void Comma() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }
  template <typename T>
  void Digits(T value) {
    std::array<char, 32> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
    out_.append(text.data(), end);
  }
  template <typename T>
  void QuotedDigits(T value) {
    out_ += '"';
    Digits(value);
    out_ += '"';
  }
  void Quote(std::string_view text);
  void Escape(unsigned char c);

  std::string& out_;
  bool fresh_ = true;  // no comma is due
};

void JsonWriter::Escape(unsigned char c) {
  constexpr std::string_view kHex = "0123456789abcdef";
  switch (c) {
    case '"': out_ += "\\\""; break;
    case '\\': out_ += "\\\\"; break;
    case '\n': out_ += "\\n"; break;
    case '\r': out_ += "\\r"; break;
    case '\t': out_ += "\\t"; break;
    default:
      out_ += "\\u00";
      out_ += kHex[c >> 4];
      out_ += kHex[c & 15];
  }
}

void JsonWriter::Quote(std::string_view text) {
  out_ += '"';
  std::size_t plain = 0;  // start of what can be copied as it is
  std::size_t i = 0;
  while (i < text.size()) {
    const auto c = static_cast<unsigned char>(text[i]);
    const std::size_t length = Utf8SequenceLength(text, i);
    if (length > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7F) {
      i += length;
      continue;
    }
    out_ += text.substr(plain, i - plain);
    if (length == 0) {
      out_ += kReplacement;
    } else {
      Escape(c);
    }
    plain = ++i;
  }
  out_ += text.substr(plain);
  out_ += '"';
}

void WriteModel(const v1::ModelRef& model, JsonWriter* json) {
  json->Key("model");
  json->Open('{');
  json->TextIfAny("name", model.name());
  json->TextIfAny("version", model.version());
  json->TextIfAny("digest", model.digest());
  json->TextIfAny("variant", model.variant());
  json->TextIfAny("engine", model.engine());
  json->Close('}');
}

void WriteDetection(const v1::DetectionRecord& detection, JsonWriter* json) {
  json->Open('{');
  json->Text("label", detection.label());
  json->Real("score", detection.score());
  if (detection.has_box()) {
    const v1::Box& box = detection.box();
    json->Key("box");
    json->Open('{');
    json->Real("x1", box.x1());
    json->Real("y1", box.y1());
    json->Real("x2", box.x2());
    json->Real("y2", box.y2());
    json->Close('}');
  }
  json->Integer("track", detection.track());
  json->Integer("class_id", detection.class_id());
  json->Close('}');
}

void WriteDecision(const v1::Decision& decision, JsonWriter* json) {
  json->Key("decision");
  json->Open('{');
  json->Text("rule", decision.rule());
  json->Text("kind", decision.kind());
  json->Text("state", decision.state());
  json->TextIfAny("zone", decision.zone());
  if (decision.track() != 0) json->Integer("track", decision.track());
  json->Real("value", decision.value());
  json->Real("threshold", decision.threshold());
  json->TextIfAny("direction", decision.direction());
  json->Close('}');
}

void WriteTimes(const v1::StageTimes& times, JsonWriter* json) {
  json->Key("times");
  json->Open('{');
  json->Integer("queue_us", times.queue_us());
  json->Integer("preprocess_us", times.preprocess_us());
  json->Integer("infer_us", times.infer_us());
  json->Integer("decode_us", times.decode_us());
  json->Integer("order_us", times.order_us());
  json->Integer("track_us", times.track_us());
  json->Integer("decide_us", times.decide_us());
  json->Integer("total_us", times.total_us());
  json->Close('}');
}

void WriteProvenance(v1::Provenance provenance, JsonWriter* json) {
  switch (provenance) {
    case v1::PROVENANCE_UNSPECIFIED: return;
    case v1::LOCAL: return json->Text("provenance", "LOCAL");
    case v1::CLOUD: return json->Text("provenance", "CLOUD");
    case v1::AMENDED: return json->Text("provenance", "AMENDED");
    default: break;  // of a later version: protobuf keeps the number
  }
  json->Integer("provenance", static_cast<int>(provenance));
}

bool IsFinite(const v1::Event& event) {
  for (const v1::DetectionRecord& detection : event.detections()) {
    const v1::Box& box = detection.box();
    if (!std::isfinite(detection.score()) || !std::isfinite(box.x1()) || !std::isfinite(box.y1()) ||
        !std::isfinite(box.x2()) || !std::isfinite(box.y2())) {
      return false;
    }
  }
  return std::isfinite(event.decision().value()) && std::isfinite(event.decision().threshold());
}

}  // namespace

void AppendEventLine(const v1::Event& event, std::string* out) {
  JsonWriter json(out);
  json.Open('{');
  json.Text("id", event.id());
  json.TextIfAny("device", event.device());
  json.TextIfAny("pipeline", event.pipeline());
  json.TextIfAny("source", event.source());
  if (event.has_model()) WriteModel(event.model(), &json);
  json.Nanoseconds("captured_unix_ns", event.captured_unix_ns());
  json.Nanoseconds("decided_unix_ns", event.decided_unix_ns());
  json.Integer("frame", event.frame());
  json.Integer("width", event.width());
  json.Integer("height", event.height());
  json.Key("detections");
  json.Open('[');
  for (const v1::DetectionRecord& detection : event.detections()) WriteDetection(detection, &json);
  json.Close(']');
  if (event.has_decision()) WriteDecision(event.decision(), &json);
  WriteProvenance(event.provenance(), &json);
  if (event.has_times()) WriteTimes(event.times(), &json);
  json.Close('}');
  *out += '\n';
}

Result<v1::Event> ParseEventLine(std::string_view line) {
  if (line.size() > kMaxEventLine) {
    return Err(ResourceExhaustedError("event line has " + std::to_string(line.size()) +
                                      " bytes, more than the limit of " +
                                      std::to_string(kMaxEventLine)));
  }
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (const std::size_t bad = FindInvalidUtf8(line); bad != std::string_view::npos) {
    return Err(InvalidArgumentError("event line is not UTF-8 at byte " + std::to_string(bad)));
  }
  const std::size_t first = line.find_first_not_of(" \t");
  if (first == std::string_view::npos || line[first] != '{') {
    return Err(InvalidArgumentError("event line is not a JSON object"));
  }
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  v1::Event event;
  const auto status =
      google::protobuf::util::JsonStringToMessage({line.data(), line.size()}, &event, options);
  if (!status.ok()) {
    // Protobuf quotes the place below its first line.
    const std::string text(status.message());
    return Err(InvalidArgumentError("event line: " + text.substr(0, text.find('\n'))));
  }
  // Protobuf 3.21 takes {"detections":[{"":{}}]} for an unknown field of the detection's enclosing
  // message.
  event.DiscardUnknownFields();
  if (!IsFinite(event)) {
    return Err(InvalidArgumentError("event line: a score, box, value or threshold is not finite"));
  }
  return event;
}

}  // namespace selvedge
