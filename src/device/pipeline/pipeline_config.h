#pragma once

// The pipeline file: what `selvedge run` is told. Format: docs/formats/pipeline.md.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/status.h"
#include "core/model_card.h"
#include "device/capture/source.h"
#include "device/decide/rules.h"
#include "device/pipeline/pipeline.h"
#include "vision/tracker.h"

namespace selvedge {

// Which engine, variant and threads; empty or 0 is left to tune.
struct ModelChoice {
  std::string card_path;            // absolute, or relative to the working folder
  std::string engine;               // "onnxruntime", …; empty: tuned
  std::string variant;              // a variant's name; empty: tuned
  int threads = 0;                  // per inference; 0: tuned
  int workers = 0;                  // inferences at the same time; 0: tuned
  double max_accuracy_drop = 0.01;  // a variant may lose this much against the reference
  Nanos tune_time = 20 * kSecond;   // at most, at the first start on a machine
};

struct EventLogConfig {
  std::string path;  // empty: none; "-": stdout
  bool every_frame = false;
  std::int64_t max_bytes = 100'000'000;  // then a new file is begun
  int keep = 3;                          // older files kept
};

struct HttpConfig {
  bool enabled = true;  // metrics, health and status
  bool live_view = false;
  std::string address = "127.0.0.1";
  int port = 8090;  // the next free one of ten, where busy
  double live_fps = 10;
  int live_width = 960;
};

// What may leave the device besides words and numbers.
enum class Privacy { kLocalOnly, kCrops, kFrames };
std::string_view PrivacyName(Privacy privacy);  // "local-only"

// What a caller settles in place of the file; empty: as the file says.
struct PipelineOverrides {
  std::string card;  // path of the model card, which settles the labels that rules may name
};

struct PipelineConfig {
  PipelineOptions pipeline;
  SourceOptions source;
  ModelChoice model;
  ModelCard card;
  double slo_p99_ms = 50;
  double slo_fps = 0;  // frames a second to keep up with; 0: the source's own
  TrackerOptions tracker;
  RuleSet rules;
  EventLogConfig events;
  HttpConfig http;
  std::string device;  // name in events; default: host name
  Privacy privacy = Privacy::kLocalOnly;

  // Reads the file and the model card that it names. Relative paths are relative to the file that
  // names them.
  static Result<PipelineConfig> Load(const std::string& path,
                                     const PipelineOverrides& overrides = {});
  static Result<PipelineConfig> Parse(std::string_view yaml, const std::string& file,
                                      const PipelineOverrides& overrides = {});
  // The privacy policy against the rest, once everything is settled: whole pictures for other
  // machines need `frames`. InvalidArgument, one sentence.
  Status CheckPrivacy() const;
};

}  // namespace selvedge
