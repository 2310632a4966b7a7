#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/tune.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

// One line of a case: engine and variant, threads x callers, and what was measured.
struct Row {
  const char* engine;
  const char* variant;
  int threads;
  int callers;
  double p50;
  double p99;
  double cpu;
  double fps;
  const char* error = "";
};

TuneMeasurement FromRow(const Row& row) {
  TuneMeasurement m;
  m.candidate = {
      .engine = row.engine, .variant = row.variant, .threads = row.threads, .callers = row.callers};
  m.error = row.error;
  m.p50_ms = row.p50;
  m.p99_ms = row.p99;
  m.loaded_p99_ms = row.p99;
  m.cpu_ms = row.cpu;
  m.throughput = row.fps;
  return m;
}

struct Case {
  const char* name;
  std::vector<Row> rows;
  TuneObjective objective;
  int chosen;
  bool meets;
  const char* why;                    // part of the reason
  std::vector<const char*> verdicts;  // parts, one per row
};

const std::vector<ModelVariant>& Variants() {
  static const std::vector<ModelVariant> variants = {{.name = "fp32", .accuracy = 0.64},
                                                     {.name = "int8", .accuracy = 0.635},
                                                     {.name = "tiny", .accuracy = 0.5},
                                                     {.name = "new", .accuracy = -1}};
  return variants;
}

// length: a table, one case an entry
const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"lowest latency wins",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ov", "fp32", 1, 1, 12, 15, 12, 83}},
       {},
       1,
       true,
       "lowest latency, ov fp32, 1 thread: p50 12.0 ms",
       {"8 % slower", "chosen"}},
      {"a tie goes to the lower processor time",
       {{"ort", "fp32", 2, 1, 10.0, 12, 19, 100}, {"ov", "fp32", 2, 1, 10.2, 12, 15, 98}},
       {},
       1,
       true,
       "ov fp32, 2 threads",
       {"as fast, but takes 27 % more processor time", "chosen"}},
      {"beyond 3 % it is no tie",
       {{"ort", "fp32", 2, 1, 10.0, 12, 19, 100}, {"ov", "fp32", 2, 1, 10.4, 12, 15, 98}},
       {},
       0,
       true,
       "ort",
       {"chosen", "4 % slower"}},
      {"a full tie goes to fewer callers, wherever it stands",
       {{"ort", "fp32", 1, 2, 13.0, 28, 13, 140}, {"ort", "fp32", 1, 1, 13.1, 15, 13.1, 77}},
       {},
       1,
       true,
       "1 thread: p50",
       {"no better otherwise", "chosen"}},
      {"a variant within the floor may win",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ort", "int8", 1, 1, 9, 11, 9, 110}},
       {},
       1,
       true,
       "int8",
       {"44 % slower", "chosen"}},
      {"a variant below the floor may not",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ort", "tiny", 1, 1, 3, 4, 3, 300}},
       {},
       0,
       true,
       "fp32",
       {"chosen", "its accuracy is 0.140 below the reference"}},
      {"a drop of exactly the allowance is allowed",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ort", "tiny", 1, 1, 3, 4, 3, 300}},
       {.max_accuracy_drop = 0.14},
       1,
       true,
       "tiny",
       {"slower", "chosen"}},
      {"unmeasured accuracy is not trusted",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ort", "new", 1, 1, 3, 4, 3, 300}},
       {},
       0,
       true,
       "fp32",
       {"chosen", "its accuracy was not measured"}},
      {"unless accuracy is waived",
       {{"ort", "fp32", 1, 1, 13, 15, 13, 77}, {"ort", "new", 1, 1, 3, 4, 3, 300}},
       {.max_accuracy_drop = 1},
       1,
       true,
       "new",
       {"slower", "chosen"}},
      {"p99 excludes the fastest median",
       {{"ort", "fp32", 2, 1, 8, 90, 15, 100}, {"ov", "fp32", 1, 1, 12, 15, 12, 83}},
       {.slo_p99_ms = 50},
       1,
       true,
       "ov",
       {"its p99 of 90.0 ms is above the objective of 50.0 ms", "chosen"}},
      {"throughput excludes what cannot keep up",
       {{"ort", "fp32", 2, 1, 8, 9, 15, 100}, {"ort", "fp32", 1, 2, 13, 20, 13, 141}},
       {.wanted_fps = 120},
       1,
       true,
       "2 callers",
       {"100.0 inferences a second are below", "chosen"}},
      {"as fast as it goes takes the throughput",
       {{"ort", "fp32", 2, 1, 8, 9, 15, 115}, {"ort", "fp32", 1, 2, 13, 20, 13, 141}},
       {.prefer_throughput = true},
       1,
       true,
       "highest throughput",
       {"23 % slower in throughput", "chosen"}},
      {"where none meets the objective the nearest is taken and it is said",
       {{"ort", "fp32", 1, 1, 80, 99, 80, 12}, {"ov", "fp32", 1, 1, 60, 75, 60, 16}},
       {.slo_p99_ms = 50},
       1,
       false,
       "no candidate meets the objective",
       {"its p99 of 99.0 ms", "chosen"}},
      {"too slow is better than wrong",
       {{"ort", "fp32", 1, 1, 80, 99, 80, 12}, {"ort", "tiny", 1, 1, 3, 4, 3, 300}},
       {.slo_p99_ms = 50},
       0,
       false,
       "fp32",
       {"chosen", "its accuracy is"}},
      {"wrong is better than nothing",
       {{"ort", "fp32", 1, 1, 0, 0, 0, 0, "crashed"}, {"ort", "tiny", 1, 1, 3, 4, 3, 300}},
       {},
       1,
       false,
       "its accuracy is 0.140 below",
       {"crashed", "chosen"}},
      {"failures keep their reason",
       {{"tflite", "fp32", 1, 1, 0, 0, 0, 0, "no such operator"},
        {"ort", "fp32", 1, 1, 13, 15, 13, 77}},
       {},
       1,
       true,
       "ort",
       {"no such operator", "chosen"}},
      {"nothing ran",
       {{"ort", "fp32", 1, 1, 0, 0, 0, 0, "crashed"}},
       {},
       -1,
       false,
       "no candidate ran",
       {"crashed"}},
      {"nothing was there", {}, {}, -1, false, "no candidate ran", {}},
  };
  return cases;
}

TEST(TuneChoose, Cases) {
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.name);
    std::vector<TuneMeasurement> measurements;
    measurements.reserve(c.rows.size());
    for (const Row& row : c.rows) measurements.push_back(FromRow(row));
    const TuneChoice choice = Choose(measurements, Variants(), c.objective);
    EXPECT_EQ(choice.index, c.chosen);
    EXPECT_EQ(choice.meets_objective, c.meets);
    EXPECT_THAT(choice.why, HasSubstr(c.why));
    ASSERT_EQ(choice.verdicts.size(), c.verdicts.size());
    for (std::size_t i = 0; i < c.verdicts.size(); ++i) {
      EXPECT_THAT(choice.verdicts[i], HasSubstr(c.verdicts[i]));
    }
  }
}

TEST(TuneChoose, OrderOfMeasurementsDoesNotMatterToWhatIsChosen) {
  for (const Case& c : Cases()) {
    if (c.rows.size() != 2) continue;
    SCOPED_TRACE(c.name);
    const TuneChoice choice =
        Choose({FromRow(c.rows[1]), FromRow(c.rows[0])}, Variants(), c.objective);
    EXPECT_EQ(choice.index, 1 - c.chosen);
  }
}

TEST(TuneChoose, MemoryExcludesTheFastest) {
  std::vector<TuneMeasurement> measurements = {FromRow({"ort", "fp32", 1, 1, 14, 15, 14, 71}),
                                               FromRow({"ov", "fp32", 1, 1, 12, 15, 12, 83})};
  measurements[0].peak_bytes = 74 << 20;
  measurements[1].peak_bytes = 108 << 20;
  EXPECT_EQ(Choose(measurements, Variants(), {}).index, 1);
  TuneChoice choice = Choose(measurements, Variants(), {.max_peak_mib = 90});
  EXPECT_EQ(choice.index, 0);
  EXPECT_TRUE(choice.meets_objective);
  EXPECT_EQ(choice.verdicts[1], "its 108 MiB of memory are above the 90 MiB allowed");
  choice = Choose(measurements, Variants(), {.max_peak_mib = 60});
  EXPECT_EQ(choice.index, 0);
  EXPECT_FALSE(choice.meets_objective);
}

TEST(TuneTable, MarksTheChosenAndPutsFailuresLast) {
  TuneReport report;
  report.measurements = {FromRow({"tflite", "fp32", 1, 1, 0, 0, 0, 0, "no such operator"}),
                         FromRow({"ort", "fp32", 1, 1, 13, 15, 13, 77}),
                         FromRow({"ov", "fp32", 1, 1, 12, 15, 12, 83})};
  report.choice = Choose(report.measurements, Variants(), {});
  const std::string table = ToTable(report);
  const std::size_t ov = table.find("* ov ");
  const std::size_t ort = table.find("  ort ");
  const std::size_t tflite = table.find("  tflite ");
  ASSERT_NE(ov, std::string::npos) << table;
  ASSERT_NE(ort, std::string::npos) << table;
  ASSERT_NE(tflite, std::string::npos) << table;
  EXPECT_LT(ov, ort);
  EXPECT_LT(ort, tflite);
  EXPECT_THAT(table, HasSubstr("no such operator\n"));
  EXPECT_THAT(table, HasSubstr(report.choice.why));
}

}  // namespace
}  // namespace selvedge
