#include "cmd/bench/metric.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/cpu.h"

namespace selvedge {
namespace {

using nlohmann::json;

json MachineJson() {
  return {{"architecture", MachineArchitecture()},
          {"usable_cpus", UsableCpus()},
          {"cpu", CpuFingerprint()}};
}

bool Met(const Metric& m) {
  return m.target_is_minimum ? m.value >= m.target : m.value <= m.target;
}

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Metric FromRuns(std::string name, std::string unit, const std::vector<double>& values) {
  Metric m{.name = std::move(name), .value = Median(values), .unit = std::move(unit)};
  m.runs = static_cast<int>(values.size());
  if (!values.empty()) {
    m.low = *std::ranges::min_element(values);
    m.high = *std::ranges::max_element(values);
  }
  return m;
}

Metric RatioOfRuns(std::string name, const std::vector<double>& values,
                   const std::vector<double>& baselines, std::string baseline_of) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < std::min(values.size(), baselines.size()); ++i) {
    if (baselines[i] > 0) ratios.push_back(values[i] / baselines[i]);
  }
  Metric m = FromRuns(std::move(name), "ratio", ratios);
  m.baseline = Median(baselines);
  m.baseline_of = std::move(baseline_of);
  m.ratio = m.value;
  return m;
}

std::string ToTable(const BenchReport& report) {
  std::string out = fmt::format("{:<26} {:>10} {:<6} {:>23} {:>9}  {}\n", "metric", "median",
                                "unit", "spread", "target", "");
  for (const Metric& m : report.metrics) {
    const std::string spread = m.runs > 1 ? fmt::format("{:.3f} .. {:.3f}", m.low, m.high) : "";
    std::string target;
    std::string verdict = m.note;
    if (m.target > 0) {
      target = fmt::format("{} {:.4g}", m.target_is_minimum ? ">=" : "<=", m.target);
      verdict = (Met(m) ? "met   " : "MISSED ") + m.note;
    }
    if (!m.baseline_of.empty()) {
      verdict += fmt::format("{}against {} ({:.4g})", m.note.empty() ? "" : "; ", m.baseline_of,
                             m.baseline);
    }
    out += fmt::format("{:<26} {:>10.3f} {:<6} {:>23} {:>9}  {}\n", m.name, m.value, m.unit, spread,
                       target, verdict);
  }
  for (const std::string& skipped : report.skipped) out += "skipped: " + skipped + '\n';
  return out;
}

std::string ToJson(const BenchReport& report) {
  json metrics = json::object();
  for (const Metric& m : report.metrics) {
    json entry = {{"value", m.value},
                  {"unit", m.unit},
                  {"baseline", m.baseline_of.empty() ? json() : json(m.baseline)},
                  {"ratio", m.ratio == 0 ? json() : json(m.ratio)},
                  {"spread", {m.low, m.high}},
                  {"runs", m.runs}};
    if (!m.baseline_of.empty()) entry["baseline_of"] = m.baseline_of;
    if (m.target > 0) {
      entry["target"] = m.target;
      entry["target_is"] = m.target_is_minimum ? "at least" : "at most";
      entry["met"] = Met(m);
    }
    if (!m.note.empty()) entry["note"] = m.note;
    metrics[m.name] = std::move(entry);
  }
  const json object = {{"bench", report.bench},
                       {"machine", MachineJson()},
                       {"metrics", std::move(metrics)},
                       {"skipped", report.skipped}};
  return object.dump(2);
}

}  // namespace selvedge
