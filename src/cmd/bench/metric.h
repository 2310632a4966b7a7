#pragma once

// What a benchmark says: metrics by name, each with value, unit, what it is compared with, and
// spread.

#include <string>
#include <vector>

namespace selvedge {

struct Metric {
  std::string name;         // "overlap_ratio"
  double value = 0;         // median over the runs
  std::string unit;         // "ratio", "ms", "MiB", "1/s"
  double baseline = 0;      // what it is compared with, 0 where nothing
  std::string baseline_of;  // "engine alone, 2 callers x 1 thread"
  double ratio = 0;  // value / baseline, the median of the runs' own ratios; 0 where no baseline
  double low = 0;    // smallest and largest of the runs
  double high = 0;
  int runs = 0;
  double target = 0;  // what we promise; 0 where nothing was promised
  bool target_is_minimum = false;
  std::string note;
};

double Median(std::vector<double> values);  // 0 for none
// A metric whose value is the median of `values`, spread their minimum and maximum.
Metric FromRuns(std::string name, std::string unit, const std::vector<double>& values);
// A metric whose value is the median of values[i] / baselines[i], interleaved runs.
Metric RatioOfRuns(std::string name, const std::vector<double>& values,
                   const std::vector<double>& baselines, std::string baseline_of);

struct BenchReport {
  std::string bench;
  std::vector<Metric> metrics;
  std::vector<std::string> skipped;  // "vs_python_2t: no python3 with cv2 and onnxruntime"
};

std::string ToTable(const BenchReport& report);
// One object: bench, machine, metrics by name {value, unit, baseline, ratio, spread, …}, skipped.
std::string ToJson(const BenchReport& report);

}  // namespace selvedge
