#include "engine/tune_json.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr int kCacheFormat = 1;
constexpr const char* kMeasurements = "measurements";

// Reads the members of one object; the first that is missing or wrong is remembered.
class Reader {
 public:
  Reader(const Json& object, std::string_view what) : object_(object), what_(what) {
    if (!object.is_object()) Fail("is not a JSON object");
  }

  void Read(const char* key, std::string* out) {
    if (const Json* value = Find(key, value_t::string)) *out = value->get<std::string>();
  }
  void Read(const char* key, double* out) {
    if (const Json* value = Find(key, value_t::number_float)) *out = value->get<double>();
  }
  void Read(const char* key, std::int64_t* out) {
    if (const Json* value = Find(key, value_t::number_integer)) *out = value->get<std::int64_t>();
  }
  void Read(const char* key, int* out) {
    std::int64_t wide = *out;
    Read(key, &wide);
    if (wide < 0 || wide > std::numeric_limits<int>::max()) {
      Fail(std::string(key) + " is out of range");
    } else {
      *out = static_cast<int>(wide);
    }
  }
  const Json* Array(const char* key) { return Find(key, value_t::array); }
  void Fail(std::string_view why) {
    if (status_.ok()) status_ = InvalidArgumentError(std::string(what_) + " " + std::string(why));
  }
  const Status& status() const { return status_; }

 private:
  using value_t = Json::value_t;

  const Json* Find(const char* key, value_t type) {
    if (!status_.ok()) return nullptr;
    const auto found = object_.find(key);
    if (found == object_.end()) {
      Fail(std::string("has no ") + key);
      return nullptr;
    }
    const bool fits = type == value_t::number_float     ? found->is_number()
                      : type == value_t::number_integer ? found->is_number_integer()
                                                        : found->type() == type;
    if (!fits) Fail(std::string(key) + " has the wrong type");
    return fits ? &*found : nullptr;
  }

  const Json& object_;
  std::string_view what_;
  Status status_;
};

// Never throws: text that is not JSON becomes a discarded value, which is no object. Text of ours
// may hold an engine's message with bytes that are not UTF-8; Dump replaces those.
Json Parse(std::string_view text) {
  return Json::parse(text, nullptr, false);
}
std::string Dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json CandidateJson(const TuneCandidate& c) {
  Json shapes = Json::array();
  for (const Shape& shape : c.input_shapes) {
    shapes.push_back(std::vector<std::int64_t>(shape.dims().begin(), shape.dims().end()));
  }
  return {{"engine", c.engine},    {"device", c.device},
          {"variant", c.variant},  {"model", c.model_path},
          {"threads", c.threads},  {"callers", c.callers},
          {"budget_ns", c.budget}, {"input_shapes", std::move(shapes)}};
}

Result<TuneCandidate> ReadCandidate(const Json& json) {
  TuneCandidate c;
  Reader reader(json, "the candidate");
  reader.Read("engine", &c.engine);
  reader.Read("device", &c.device);
  reader.Read("variant", &c.variant);
  reader.Read("model", &c.model_path);
  reader.Read("threads", &c.threads);
  reader.Read("callers", &c.callers);
  reader.Read("budget_ns", &c.budget);
  if (const Json* shapes = reader.Array("input_shapes")) {
    for (const Json& shape : *shapes) {
      std::vector<std::int64_t> dims;
      for (const Json& dim : shape)
        dims.push_back(dim.is_number_integer() ? dim.get<std::int64_t>() : -2);
      Result<Shape> read = Shape::From(dims);
      if (!read || !shape.is_array()) {
        reader.Fail("has a shape that is none");
      } else {
        c.input_shapes.push_back(*read);
      }
    }
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(reader.status());
  return c;
}

Json MeasurementJson(const TuneMeasurement& m) {
  return {{"candidate", CandidateJson(m.candidate)},
          {"error", m.error},
          {"engine_version", m.engine_version},
          {"precision", m.precision},
          {"load_ms", m.load_ms},
          {"runs", m.runs},
          {"p50_ms", m.p50_ms},
          {"p99_ms", m.p99_ms},
          {"cpu_ms", m.cpu_ms},
          {"throughput", m.throughput},
          {"loaded_p50_ms", m.loaded_p50_ms},
          {"loaded_p99_ms", m.loaded_p99_ms},
          {"peak_bytes", m.peak_bytes}};
}

Result<TuneMeasurement> ReadMeasurement(const Json& json) {
  TuneMeasurement m;
  Reader reader(json, "the measurement");
  SELVEDGE_RETURN_ERR_IF_ERROR(reader.status());
  SELVEDGE_ASSIGN_OR_RETURN(m.candidate, ReadCandidate(json.value("candidate", Json())));
  reader.Read("error", &m.error);
  reader.Read("engine_version", &m.engine_version);
  reader.Read("precision", &m.precision);
  reader.Read("load_ms", &m.load_ms);
  reader.Read("runs", &m.runs);
  reader.Read("p50_ms", &m.p50_ms);
  reader.Read("p99_ms", &m.p99_ms);
  reader.Read("cpu_ms", &m.cpu_ms);
  reader.Read("throughput", &m.throughput);
  reader.Read("loaded_p50_ms", &m.loaded_p50_ms);
  reader.Read("loaded_p99_ms", &m.loaded_p99_ms);
  reader.Read("peak_bytes", &m.peak_bytes);
  SELVEDGE_RETURN_ERR_IF_ERROR(reader.status());
  return m;
}

}  // namespace

std::string ToJson(const TuneCandidate& candidate) {
  return Dump(CandidateJson(candidate));
}

Result<TuneCandidate> CandidateFromJson(std::string_view text) {
  return ReadCandidate(Parse(text));
}

std::string ToJson(const TuneMeasurement& measurement) {
  return Dump(MeasurementJson(measurement));
}

Result<TuneMeasurement> MeasurementFromJson(std::string_view text) {
  return ReadMeasurement(Parse(text));
}

std::string ToJson(const TuneReport& report) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < report.measurements.size(); ++i) {
    Json row = MeasurementJson(report.measurements[i]);
    row["verdict"] = i < report.choice.verdicts.size() ? report.choice.verdicts[i] : "";
    rows.push_back(std::move(row));
  }
  const TuneObjective& o = report.objective;
  Json objective = {{"slo_p99_ms", o.slo_p99_ms},
                    {"max_accuracy_drop", o.max_accuracy_drop},
                    {"wanted_fps", o.wanted_fps},
                    {"max_peak_mib", o.max_peak_mib},
                    {"prefer_throughput", o.prefer_throughput}};
  Json json = {{"chosen", report.choice.index},
               {"meets_objective", report.choice.meets_objective},
               {"why", report.choice.why},
               {"objective", std::move(objective)},
               {"hardware", report.hardware},
               {"cpus", report.cpus},
               {"from_cache", report.from_cache},
               {"seconds", report.seconds},
               {"key", report.key}};
  json[kMeasurements] = std::move(rows);
  return Dump(json, 2);
}

std::string CacheToJson(std::string_view key_facts,
                        const std::vector<TuneMeasurement>& measurements) {
  Json rows = Json::array();
  for (const TuneMeasurement& m : measurements) rows.push_back(MeasurementJson(m));
  Json json = {{"format", kCacheFormat}, {"key", Parse(key_facts)}};
  json[kMeasurements] = std::move(rows);
  return Dump(json, 1) + "\n";
}

Result<std::vector<TuneMeasurement>> CacheFromJson(std::string_view text,
                                                   std::string_view key_facts) {
  const Json json = Parse(text);
  Reader reader(json, "the cached measurement");
  int format = 0;
  reader.Read("format", &format);
  const Json* rows = reader.Array(kMeasurements);
  SELVEDGE_RETURN_ERR_IF_ERROR(reader.status());
  if (format != kCacheFormat || json.value("key", Json()) != Parse(key_facts)) {
    return Err(Status(StatusCode::kFailedPrecondition, "the cached measurement is of another key"));
  }
  std::vector<TuneMeasurement> measurements;
  for (const Json& row : *rows) {
    SELVEDGE_ASSIGN_OR_RETURN(TuneMeasurement m, ReadMeasurement(row));
    measurements.push_back(std::move(m));
  }
  return measurements;
}

}  // namespace selvedge
