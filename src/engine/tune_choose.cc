#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "engine/tune.h"

namespace selvedge {
namespace {

// Differences below this are noise between two runs of the same candidate.
constexpr double kTie = 1.03;

std::string Fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", digits, value);
  return text;
}

// Latency that a frame sees while the candidate's callers are all busy.
double P99(const TuneMeasurement& m) {
  return m.loaded_p99_ms > 0 ? m.loaded_p99_ms : m.p99_ms;
}

double PeakMib(const TuneMeasurement& m) {
  return static_cast<double>(m.peak_bytes) / (1 << 20);
}

// Why the accuracy floor excludes a variant; empty where it holds.
std::string AccuracyObjection(const std::string& name, const std::vector<ModelVariant>& variants,
                              double max_drop) {
  if (max_drop >= 1 || variants.empty() || name == variants.front().name) return {};
  const auto variant = std::ranges::find(variants, name, &ModelVariant::name);
  const double reference = variants.front().accuracy;
  if (variant == variants.end() || variant->accuracy < 0 || reference < 0) {
    return "its accuracy was not measured";
  }
  const double drop = reference - variant->accuracy;
  // Accuracies are written with a few decimals: their difference is not exact in binary.
  if (drop <= max_drop + 1e-9) return {};
  return "its accuracy is " + Fixed(drop, 3) + " below the reference, " + Fixed(max_drop, 3) +
         " is allowed";
}

std::string ObjectiveObjection(const TuneMeasurement& m, const TuneObjective& objective) {
  if (objective.slo_p99_ms > 0 && P99(m) > objective.slo_p99_ms) {
    return "its p99 of " + Fixed(P99(m), 1) + " ms is above the objective of " +
           Fixed(objective.slo_p99_ms, 1) + " ms";
  }
  if (objective.wanted_fps > 0 && m.throughput < objective.wanted_fps) {
    return "its " + Fixed(m.throughput, 1) + " inferences a second are below the wanted " +
           Fixed(objective.wanted_fps, 1);
  }
  if (objective.max_peak_mib > 0 && PeakMib(m) > objective.max_peak_mib) {
    return "its " + Fixed(PeakMib(m), 0) + " MiB of memory are above the " +
           Fixed(objective.max_peak_mib, 0) + " MiB allowed";
  }
  return {};
}

// Smaller is better.
double Cost(const TuneMeasurement& m, const TuneObjective& objective) {
  if (!objective.prefer_throughput) return m.p50_ms;
  return m.throughput > 0 ? 1000 / m.throughput : 1e9;
}

// How far from the objective; 1 where it is met.
double Shortfall(const TuneMeasurement& m, const TuneObjective& objective) {
  double shortfall = 1;
  if (objective.slo_p99_ms > 0) shortfall = std::max(shortfall, P99(m) / objective.slo_p99_ms);
  if (objective.wanted_fps > 0) {
    shortfall = std::max(shortfall, objective.wanted_fps / std::max(m.throughput, 1e-3));
  }
  if (objective.max_peak_mib > 0) {
    shortfall = std::max(shortfall, PeakMib(m) / objective.max_peak_mib);
  }
  return shortfall;
}

// Index of the best of `pool` by `cost`: the lowest, then within a tie the least processor time,
// then the fewest callers (less memory, shorter queues), then the first.
int Best(const std::vector<TuneMeasurement>& all, const std::vector<int>& pool,
         const std::function<double(const TuneMeasurement&)>& cost) {
  double lowest = 1e300;
  for (const int i : pool) lowest = std::min(lowest, cost(all[static_cast<std::size_t>(i)]));
  int best = -1;
  for (const int i : pool) {
    const TuneMeasurement& m = all[static_cast<std::size_t>(i)];
    if (cost(m) > lowest * kTie) continue;
    if (best < 0) {
      best = i;
      continue;
    }
    const TuneMeasurement& b = all[static_cast<std::size_t>(best)];
    const bool cheaper = m.cpu_ms * kTie < b.cpu_ms;
    const bool same = m.cpu_ms < b.cpu_ms * kTie;
    if (cheaper || (same && m.candidate.callers < b.candidate.callers)) best = i;
  }
  return best;
}

std::string Describe(const TuneMeasurement& m, const TuneObjective& objective) {
  std::string text = m.candidate.ToString() + ": p50 " + Fixed(m.p50_ms, 1) + " ms, p99 " +
                     Fixed(P99(m), 1) + " ms, " + Fixed(m.throughput, 1) + " inferences a second";
  return (objective.prefer_throughput ? "highest throughput, " : "lowest latency, ") + text;
}

std::string VerdictAgainst(const TuneMeasurement& m, const TuneMeasurement& chosen,
                           const TuneObjective& objective) {
  const double ratio = Cost(m, objective) / std::max(Cost(chosen, objective), 1e-9);
  if (ratio > kTie) {
    return Fixed((ratio - 1) * 100, 0) + " % slower" +
           (objective.prefer_throughput ? " in throughput" : "");
  }
  if (m.cpu_ms > chosen.cpu_ms * kTie) {
    return "as fast, but takes " + Fixed((m.cpu_ms / chosen.cpu_ms - 1) * 100, 0) +
           " % more processor time";
  }
  return "as fast, and no better otherwise";
}

}  // namespace

TuneChoice Choose(const std::vector<TuneMeasurement>& measurements,
                  const std::vector<ModelVariant>& variants, const TuneObjective& objective) {
  TuneChoice choice;
  choice.verdicts.resize(measurements.size());
  std::vector<int> accurate;
  std::vector<int> good;
  std::vector<int> ran;
  for (std::size_t i = 0; i < measurements.size(); ++i) {
    const TuneMeasurement& m = measurements[i];
    std::string& verdict = choice.verdicts[i];
    const int index = static_cast<int>(i);
    if (!m.ok()) {
      verdict = m.error;
      continue;
    }
    ran.push_back(index);
    verdict = AccuracyObjection(m.candidate.variant, variants, objective.max_accuracy_drop);
    if (!verdict.empty()) continue;
    accurate.push_back(index);
    verdict = ObjectiveObjection(m, objective);
    if (verdict.empty()) good.push_back(index);
  }
  if (ran.empty()) {
    choice.why = "no candidate ran";
    return choice;
  }
  if (!good.empty()) {
    choice.index =
        Best(measurements, good, [&](const TuneMeasurement& m) { return Cost(m, objective); });
    choice.meets_objective = true;
  } else {
    // Too slow is better than wrong: accuracy is given up last.
    choice.index = Best(measurements, accurate.empty() ? ran : accurate,
                        [&](const TuneMeasurement& m) { return Shortfall(m, objective); });
  }
  const auto chosen_at = static_cast<std::size_t>(choice.index);
  const TuneMeasurement& chosen = measurements[chosen_at];
  choice.why = Describe(chosen, objective);
  if (!choice.meets_objective) {
    choice.why = "no candidate meets the objective; this one comes nearest (" +
                 choice.verdicts[chosen_at] + "): " + choice.why;
  }
  for (const int i : good) {
    choice.verdicts[static_cast<std::size_t>(i)] =
        VerdictAgainst(measurements[static_cast<std::size_t>(i)], chosen, objective);
  }
  choice.verdicts[chosen_at] = "chosen";
  return choice;
}

std::string TuneCandidate::ToString() const {
  std::string text = engine + " " + variant;
  if (device != "cpu") text += " on " + device;
  text += ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads");
  if (callers > 1) text += " x " + std::to_string(callers) + " callers";
  return text;
}

std::string ToTable(const TuneReport& report) {
  std::vector<std::size_t> order(report.measurements.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
    const TuneMeasurement& left = report.measurements[a];
    const TuneMeasurement& right = report.measurements[b];
    if (left.ok() != right.ok()) return left.ok();
    return left.ok() && Cost(left, report.objective) < Cost(right, report.objective);
  });
  std::string table;
  char line[160];
  std::snprintf(line, sizeof(line), "  %-12s %-8s %7s %7s %8s %8s %8s %8s %8s  %s\n", "engine",
                "variant", "threads", "callers", "p50 ms", "p99 ms", "cpu ms", "fps", "peak MiB",
                "");
  table += line;
  for (const std::size_t i : order) {
    const TuneMeasurement& m = report.measurements[i];
    const TuneCandidate& c = m.candidate;
    const char mark = static_cast<int>(i) == report.choice.index ? '*' : ' ';
    if (m.ok()) {
      std::snprintf(line, sizeof(line), "%c %-12s %-8s %7d %7d %8.2f %8.2f %8.2f %8.1f %8lld  ",
                    mark, c.engine.c_str(), c.variant.c_str(), c.threads, c.callers, m.p50_ms,
                    P99(m), m.cpu_ms, m.throughput, static_cast<long long>(m.peak_bytes >> 20));
    } else {
      std::snprintf(line, sizeof(line), "%c %-12s %-8s %7d %7d %8s %8s %8s %8s %8s  ", mark,
                    c.engine.c_str(), c.variant.c_str(), c.threads, c.callers, "-", "-", "-", "-",
                    "-");
    }
    table += line;
    if (i < report.choice.verdicts.size()) table += report.choice.verdicts[i];
    table += '\n';
  }
  return table + "  " + report.choice.why + '\n';
}

}  // namespace selvedge
