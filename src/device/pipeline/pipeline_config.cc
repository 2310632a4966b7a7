#include "device/pipeline/pipeline_config.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "base/config.h"
#include "base/file.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxFileBytes = 1 << 20;

bool IsLocalPath(const std::string& uri) {
  return uri.find("://") == std::string::npos;
}

void ReadSource(ConfigMap& root, const std::string& file, SourceOptions* source) {
  auto map = root.RequiredMap("source");
  if (!map) return;
  map->Required("uri", &source->uri);
  if (IsLocalPath(source->uri)) source->uri = ResolvePath(source->uri, file);
  map->Optional("realtime", &source->realtime);
  map->Optional("loop", &source->loop);
  map->Optional("speed", &source->speed, Range{0.01, 1000});
  map->Optional("fps", &source->fps, Range{0, 1000});
  map->Optional("width", &source->width, Range{0, 16384});
  map->Optional("height", &source->height, Range{0, 16384});
  map->Optional("user", &source->user);
  map->Optional("password_file", &source->password_file);
  if (!source->password_file.empty()) {
    source->password_file = ResolvePath(source->password_file, file);
  }
  int transport = 0;
  map->OptionalChoice("transport", {"tcp", "udp"}, &transport);
  source->transport = transport == 0 ? "tcp" : "udp";
  map->Optional("latency_ms", &source->latency_ms, Range{0, 10'000});
  map->OptionalDuration("timeout", &source->timeout);
  map->OptionalDuration("backoff_first", &source->backoff_first);
  map->OptionalDuration("backoff_max", &source->backoff_max);
  if (source->timeout <= 0) map->Error("timeout", "must be longer than 0");
  if (source->backoff_first <= 0) map->Error("backoff_first", "must be longer than 0");
  if (source->backoff_max < source->backoff_first) {
    map->Error("backoff_max", "must not be shorter than backoff_first");
  }
  map->Optional("decoder_threads", &source->decoder_threads, Range{1, 64});
  map->Optional("hardware", &source->hardware);
  map->Optional("fail_fast", &source->fail_fast);
}

// "auto" (0) or a whole number.
void ReadAutoNumber(ConfigMap& map, std::string_view key, int max, int* out) {
  const auto value = map.Value(key);
  if (!value) return;
  if (const auto text = value->String(); text && *text == "auto") {
    *out = 0;
    return;
  }
  const auto number = value->Integer();
  if (!number) return;
  if (*number < 1 || *number > max) {
    value->Error("must be auto, or a whole number from 1 to " + std::to_string(max));
    return;
  }
  *out = static_cast<int>(*number);
}

void ReadAutoWord(ConfigMap& map, std::string_view key, std::string* out) {
  map.Optional(key, out);
  if (*out == "auto") out->clear();
}

void ReadModel(ConfigMap& root, const std::string& file, const PipelineOverrides& overrides,
               ModelChoice* model) {
  auto map = root.RequiredMap("model");
  if (!map) return;
  map->Required("card", &model->card_path);
  model->card_path = overrides.card.empty() ? ResolvePath(model->card_path, file) : overrides.card;
  ReadAutoWord(*map, "engine", &model->engine);
  ReadAutoWord(*map, "variant", &model->variant);
  ReadAutoNumber(*map, "threads", 256, &model->threads);
  ReadAutoNumber(*map, "workers", 64, &model->workers);
  map->Optional("max_accuracy_drop", &model->max_accuracy_drop, Range{0, 1});
  map->OptionalDuration("tune_time", &model->tune_time);
}

void ReadQueue(ConfigMap& root, PipelineOptions* options) {
  auto map = root.OptionalMap("queue");
  if (!map) return;
  int capacity = static_cast<int>(options->queue_capacity);
  map->Optional("capacity", &capacity, Range{1, 1024});
  options->queue_capacity = static_cast<std::size_t>(capacity);
  int policy = static_cast<int>(options->queue_policy);
  map->OptionalChoice("policy",
                      {DropPolicyName(DropPolicy::kBlock), DropPolicyName(DropPolicy::kDropOldest),
                       DropPolicyName(DropPolicy::kDropNewest)},
                      &policy);
  options->queue_policy = static_cast<DropPolicy>(policy);
  map->OptionalDuration("max_age", &options->max_age);
}

void ReadTracker(ConfigMap& root, TrackerOptions* tracker) {
  auto map = root.OptionalMap("tracker");
  if (!map) return;
  map->Optional("high_score", &tracker->high_score, Range{0, 1});
  map->Optional("low_score", &tracker->low_score, Range{0, 1});
  map->Optional("new_track_score", &tracker->new_track_score, Range{0, 1});
  map->Optional("match_iou", &tracker->match_iou, Range{0, 1});
  map->Optional("low_match_iou", &tracker->low_match_iou, Range{0, 1});
  map->Optional("match_buffer", &tracker->match_buffer, Range{0, 2});
  map->OptionalDuration("max_lost", &tracker->max_lost);
  map->Optional("min_hits", &tracker->min_hits, Range{1, 100});
  map->Optional("max_tracks", &tracker->max_tracks, Range{1, 1024});
  if (const Status valid = tracker->Validate(); !valid.ok()) {
    root.Error("tracker", valid.message());
  }
}

void ReadEvents(ConfigMap& root, const std::string& file, EventLogConfig* events) {
  auto map = root.OptionalMap("events");
  if (!map) return;
  map->Required("path", &events->path);
  if (events->path != "-") events->path = ResolvePath(events->path, file);
  map->Optional("every_frame", &events->every_frame);
  map->Optional("max_bytes", &events->max_bytes, Range{0, 1e15});
  map->Optional("keep", &events->keep, Range{0, 100});
}

void ReadHttp(ConfigMap& root, HttpConfig* http) {
  auto map = root.OptionalMap("http");
  if (!map) return;
  map->Optional("enabled", &http->enabled);
  map->Optional("address", &http->address);
  map->Optional("port", &http->port, Range{0, 65535});
  if (auto live = map->OptionalMap("live_view")) {
    live->Optional("enabled", &http->live_view);
    live->Optional("fps", &http->live_fps, Range{0.1, 60});
    live->Optional("width", &http->live_width, Range{160, 3840});
  }
}

// Whether only this machine can reach what listens there.
bool IsLoopback(const std::string& address) {
  if (address == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, address.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, address.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 && name[0] != 0 ? name : "device";
}

}  // namespace

std::string_view PrivacyName(Privacy privacy) {
  switch (privacy) {
    case Privacy::kLocalOnly: return "local-only";
    case Privacy::kCrops: return "crops";
    case Privacy::kFrames: return "frames";
  }
  return "local-only";
}

Status PipelineConfig::CheckPrivacy() const {
  const bool shown = http.enabled && http.live_view;
  if (!shown || privacy == Privacy::kFrames || IsLoopback(http.address)) return OkStatus();
  return InvalidArgumentError(
      "pipeline " + pipeline.name + ": privacy is " + std::string(PrivacyName(privacy)) +
      ", so the live view may listen on this machine only, not on " + http.address +
      "; set privacy: frames in the pipeline file, or the address to 127.0.0.1");
}

Result<PipelineConfig> PipelineConfig::Load(const std::string& path,
                                            const PipelineOverrides& overrides) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  return Parse(text, path, overrides);
}

Result<PipelineConfig> PipelineConfig::Parse(std::string_view yaml, const std::string& file,
                                             const PipelineOverrides& overrides) {
  SELVEDGE_ASSIGN_OR_RETURN(ConfigDocument document, ConfigDocument::Parse(yaml, file));
  PipelineConfig config;
  config.device = HostName();
  {
    ConfigMap root = document.Root();
    root.Required("pipeline", &config.pipeline.name);
    root.Optional("device", &config.device);
    int privacy = 0;
    root.OptionalChoice("privacy", {"local-only", "crops", "frames"}, &privacy);
    config.privacy = static_cast<Privacy>(privacy);
    root.Optional("confidence_threshold", &config.pipeline.confidence_threshold, Range{0, 1});
    ReadSource(root, file, &config.source);
    ReadModel(root, file, overrides, &config.model);
    if (auto slo = root.OptionalMap("slo")) {
      slo->Optional("p99_ms", &config.slo_p99_ms, Range{0.1, 60'000});
      slo->Optional("fps", &config.slo_fps, Range{0, 1000});
    }
    ReadQueue(root, &config.pipeline);
    ReadTracker(root, &config.tracker);
    ReadEvents(root, file, &config.events);
    ReadHttp(root, &config.http);
    // The card before the rules: they name its classes. What is wrong in this file so far comes
    // first, without calling the keys unknown that are read afterwards.
    for (const char* later : {"zones", "lines", "rules"}) (void)root.Has(later);
    SELVEDGE_RETURN_ERR_IF_ERROR(document.status());
    SELVEDGE_ASSIGN_OR_RETURN(config.card, ModelCard::Load(config.model.card_path));
    config.rules = RuleSet::Parse(&root, config.card.labels);
    root.Finish();
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(document.status());
  const auto& variants = config.card.variants;
  if (!config.model.variant.empty() && std::ranges::none_of(variants, [&](const auto& v) {
        return v.name == config.model.variant;
      })) {
    std::string all;
    for (const ModelVariant& variant : variants) all += (all.empty() ? "" : ", ") + variant.name;
    return Err(InvalidArgumentError(file + ": model.variant: the card " + config.model.card_path +
                                    " has no variant \"" + config.model.variant +
                                    "\"; it has: " + all));
  }
  return config;
}

}  // namespace selvedge
