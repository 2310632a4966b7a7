#include "gateway/aggregate.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace selvedge {
namespace {

constexpr double kStep = 1.05;
constexpr std::uint64_t kLongest = 3'600'000'000;  // µs
constexpr int kMaxBucket = 452;                    // of an hour
constexpr std::size_t kMaxName = 200;

std::uint16_t BucketOf(std::uint64_t micros) {
  const double value = static_cast<double>(std::clamp<std::uint64_t>(micros, 1, kLongest));
  return static_cast<std::uint16_t>(std::lround(std::log(value) / std::log(kStep)));
}

// The class of what made the rule fire; of a rule without a track, that of all that was seen, where
// it is one.
std::string LabelOf(const v1::Event& event) {
  for (const v1::DetectionRecord& detection : event.detections()) {
    if (event.decision().track() != 0 && detection.track() == event.decision().track()) {
      return detection.label();
    }
  }
  std::string label;
  for (const v1::DetectionRecord& detection : event.detections()) {
    if (label.empty()) label = detection.label();
    if (label != detection.label()) return "";
  }
  return label;
}

bool Ends(const v1::Decision& decision) {
  return decision.state() == "end" || decision.state() == "leave";
}

std::string Name(const std::string& text) {
  return text.substr(0, kMaxName);
}

}  // namespace

void LatencySketch::Add(std::uint64_t micros) {
  std::uint32_t& bucket = buckets_[BucketOf(micros)];
  if (bucket == UINT32_MAX) return;
  ++bucket;
  ++count_;
}

double LatencySketch::PercentileMillis(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(count_);
  const auto rank = std::max<std::uint64_t>(static_cast<std::uint64_t>(std::ceil(share)), 1);
  std::uint64_t seen = 0;
  for (const auto& [bucket, count] : buckets_) {
    seen += count;
    if (seen >= rank) return std::pow(kStep, bucket) / 1000;
  }
  return std::pow(kStep, buckets_.rbegin()->first) / 1000;
}

std::string LatencySketch::ToText() const {
  std::string text;
  for (const auto& [bucket, count] : buckets_) {
    if (!text.empty()) text += ' ';
    text.append(std::to_string(bucket)).append(":").append(std::to_string(count));
  }
  return text;
}

Result<LatencySketch> LatencySketch::Parse(std::string_view text) {
  LatencySketch sketch;
  const auto bad = [] { return Err(InvalidArgumentError("the latencies are malformed")); };
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at != end) {
    std::uint16_t bucket = 0;
    std::uint32_t count = 0;
    auto read = std::from_chars(at, end, bucket);
    if (read.ec != std::errc() || bucket > kMaxBucket || read.ptr == end || *read.ptr != ':') {
      return bad();
    }
    read = std::from_chars(read.ptr + 1, end, count);
    if (read.ec != std::errc() || count == 0 ||
        !sketch.buckets_.try_emplace(bucket, count).second) {
      return bad();
    }
    sketch.count_ += count;
    at = read.ptr;
    if (at == end) break;
    if (*at != ' ') return bad();
    ++at;
    if (at == end) return bad();
  }
  return sketch;
}

void AggregateWindow::Add(const v1::Event& event) {
  ++events_;
  latencies_.Add(event.times().total_us());
  if (!event.has_decision()) return;
  const v1::Decision& decision = event.decision();
  Key key{Name(LabelOf(event)), Name(decision.zone()), Name(decision.rule())};
  if (!counts_.contains(key) && counts_.size() >= kMaxCounts - 1) key = {};
  Count& count = counts_[key];
  if (IsCounted(decision)) ++count.count;
  count.dwell_seconds += NewDwellSeconds(decision);
}

bool AggregateWindow::IsCounted(const v1::Decision& decision) {
  if (decision.state() == "repeat") return false;
  const std::string rule = Name(decision.rule());
  if (Ends(decision)) return !carried_.beginning_rules.contains(rule);
  if (carried_.beginning_rules.size() < kMaxCounts) carried_.beginning_rules.insert(rule);
  return true;
}

double AggregateWindow::NewDwellSeconds(const v1::Decision& decision) {
  if (decision.kind() != "dwell" || !std::isfinite(decision.value())) return 0;
  const std::pair key(Name(decision.rule()), decision.track());
  const auto known = carried_.stay_seconds.find(key);
  const double before = known == carried_.stay_seconds.end() ? 0 : known->second;
  if (Ends(decision)) {
    if (known != carried_.stay_seconds.end()) carried_.stay_seconds.erase(known);
  } else {
    carried_.stay_seconds[key] = decision.value();
    // Of a rule without `end` stays are never taken back; older tracks have smaller numbers.
    while (carried_.stay_seconds.size() > kMaxStays) {
      carried_.stay_seconds.erase(std::ranges::min_element(
          carried_.stay_seconds, {}, [](const auto& entry) { return entry.first.second; }));
    }
  }
  return std::max(decision.value() - before, 0.0);
}

v1::Aggregate AggregateWindow::Counts() const {
  v1::Aggregate aggregate;
  aggregate.set_begin_unix_ns(begin_);
  aggregate.set_events(events_);
  for (const auto& [key, count] : counts_) {
    v1::ZoneCount* zone = aggregate.add_counts();
    zone->set_label(std::get<0>(key));
    zone->set_zone(std::get<1>(key));
    zone->set_rule(std::get<2>(key));
    zone->set_count(count.count);
    zone->set_dwell_seconds(count.dwell_seconds);
  }
  return aggregate;
}

v1::Aggregate AggregateWindow::Finish(Nanos end, std::string_view device,
                                      std::string_view application, std::string_view id) const {
  v1::Aggregate aggregate = Counts();
  aggregate.set_end_unix_ns(end);
  aggregate.set_device(std::string(device));
  aggregate.set_application(std::string(application));
  aggregate.set_latency_p50_ms(latencies_.PercentileMillis(50));
  aggregate.set_latency_p99_ms(latencies_.PercentileMillis(99));
  aggregate.set_id(std::string(id));
  return aggregate;
}

AggregateWindow AggregateWindow::NextWindow(Nanos begin) const {
  AggregateWindow next(begin);
  next.carried_ = carried_;
  return next;
}

AggregateWindow::Stored AggregateWindow::Store() const {
  v1::Aggregate carried;
  for (const std::string& rule : carried_.beginning_rules) carried.add_counts()->set_rule(rule);
  for (const auto& [stay, seconds] : carried_.stay_seconds) {
    v1::ZoneCount* entry = carried.add_counts();
    entry->set_rule(stay.first);
    entry->set_zone(std::to_string(stay.second));
    entry->set_dwell_seconds(seconds);
  }
  return {Counts().SerializeAsString(), latencies_.ToText(), carried.SerializeAsString()};
}

Result<AggregateWindow> AggregateWindow::Restore(const Stored& stored) {
  v1::Aggregate aggregate;
  if (!aggregate.ParseFromString(stored.counts)) {
    return Err(InvalidArgumentError("the counts are malformed"));
  }
  AggregateWindow window(aggregate.begin_unix_ns());
  window.events_ = aggregate.events();
  for (const v1::ZoneCount& zone : aggregate.counts()) {
    window.counts_[{zone.label(), zone.zone(), zone.rule()}] = {zone.count(), zone.dwell_seconds()};
  }
  SELVEDGE_ASSIGN_OR_RETURN(window.latencies_, LatencySketch::Parse(stored.latencies));
  v1::Aggregate carried;
  if (!carried.ParseFromString(stored.carried)) {
    return Err(InvalidArgumentError("what was carried over is malformed"));
  }
  for (const v1::ZoneCount& entry : carried.counts()) {
    if (entry.zone().empty()) {
      window.carried_.beginning_rules.insert(entry.rule());
      continue;
    }
    std::int64_t track = 0;
    std::from_chars(entry.zone().data(), entry.zone().data() + entry.zone().size(), track);
    window.carried_.stay_seconds[{entry.rule(), track}] = entry.dwell_seconds();
  }
  return window;
}

bool PassesRaw(v1::GatewayPolicy::Raw raw, const v1::Event& event) {
  switch (raw) {
    case v1::GatewayPolicy::ALL: return true;
    case v1::GatewayPolicy::NONE: return false;
    default:  // RULES; also what a newer control plane may say that we do not know
      return event.has_decision();
  }
}

}  // namespace selvedge
