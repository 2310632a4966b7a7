#include "device/decide/rules.h"

#include <algorithm>
#include <utility>

#include "device/decide/place_parse.h"
#include "device/decide/rule.h"
#include "device/decide/rule_kinds.h"

namespace selvedge {

namespace {

constexpr int kFirstSlots = 256;

Point Scaled(Point p, double x, double y) {
  return {p.x * x, p.y * y};
}

}  // namespace

void RuleSet::Impl::Prepare() {
  scaled_zones.resize(zones.size());
  for (std::size_t i = 0; i < zones.size(); ++i) {
    scaled_zones[i].points.resize(zones[i].points.size());
  }
  scaled_lines.resize(lines.size());
  for (ScaledPlace& line : scaled_lines) line.points.resize(2);
  memories.resize(rules.size());
  frame_slots.reserve(TrackSlots::kMaxSlots);
  GrowTo(kFirstSlots);
}

void RuleSet::Impl::Reset() {
  for (RuleMemory& memory : memories) {
    std::vector<TrackMemory> tracks = std::move(memory.tracks);
    std::ranges::fill(tracks, TrackMemory());
    memory = RuleMemory();
    memory.tracks = std::move(tracks);
  }
  slots.Clear();
  width = 0;
  height = 0;
  frame = 0;
  clock = 0;
}

void RuleSet::Impl::GrowTo(int slots_needed) {
  while (slots_ready < slots_needed) slots_ready = std::max(kFirstSlots, 2 * slots_ready);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    // A presence remembers no tracks.
    if (rules[i].kind == RuleKind::kPresence) continue;
    memories[i].tracks.resize(static_cast<std::size_t>(slots_ready));
  }
}

void RuleSet::Impl::Resize(int new_width, int new_height) {
  if (new_width == width && new_height == height) return;
  const auto scale = [&](CoordinateUnit unit, std::span<const Point> points, ScaledPlace* out) {
    std::ranges::transform(points, out->points.begin(),
                           [&](Point p) { return ToPixels(p, unit, new_width, new_height); });
    out->unit_margin = unit == CoordinateUnit::kPixel ? 1 : new_height;
  };
  for (std::size_t i = 0; i < zones.size(); ++i)
    scale(zones[i].unit, zones[i].points, &scaled_zones[i]);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Point ends[] = {lines[i].from, lines[i].to};
    scale(lines[i].unit, ends, &scaled_lines[i]);
  }
  if (width > 0 && height > 0) {
    const double x = static_cast<double>(new_width) / width;
    const double y = static_cast<double>(new_height) / height;
    for (RuleMemory& memory : memories) {
      for (TrackMemory& track : memory.tracks) track.last = Scaled(track.last, x, y);
    }
  }
  width = new_width;
  height = new_height;
}

void RuleSet::Impl::Step(Nanos time) {
  const Nanos step = frame == 0 ? 0 : std::max<Nanos>(0, time - last_time);
  last_time = time;
  clock += step;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    memories[i].clock += std::min(step, rules[i].max_gap);
  }
  ++frame;
}

void RuleSet::Impl::EndSlot(int slot, std::vector<RuleFiring>* out) {
  const std::int64_t id = slots.IdOf(slot);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].kind == RuleKind::kPresence) continue;
    EndTrackOfRule(RuleTurn{*this, i, memories[i], out}, slot, id);
  }
  slots.Release(slot);
}

int RuleSet::Impl::NewSlot(std::int64_t id, std::vector<RuleFiring>* out) {
  int slot = slots.Acquire(id);
  if (slot < 0) {
    const int oldest = slots.Oldest(frame);
    if (oldest < 0) return -1;
    EndSlot(oldest, out);
    slot = slots.Acquire(id);
  }
  if (slot >= slots_ready) GrowTo(slot + 1);
  for (RuleMemory& memory : memories) {
    if (!memory.tracks.empty()) memory.tracks[static_cast<std::size_t>(slot)] = TrackMemory();
  }
  return slot;
}

void RuleSet::Impl::AssignSlots(std::span<const Track> tracks, std::vector<RuleFiring>* out) {
  frame_slots.clear();
  // Known tracks first, so that a new one does not take the slot of one that is in this frame.
  for (const Track& track : tracks) {
    const int slot = slots.Find(track.id);
    if (slot >= 0) slots.Touch(slot, frame);
    frame_slots.push_back(slot);
  }
  for (std::size_t i = 0; i < tracks.size(); ++i) {
    if (frame_slots[i] >= 0 || !IsSeen(tracks[i])) continue;
    int slot = slots.Find(tracks[i].id);  // the same id twice in a frame
    if (slot < 0) slot = NewSlot(tracks[i].id, out);
    if (slot >= 0) slots.Touch(slot, frame);
    frame_slots[i] = slot;
  }
}

void RuleSet::Impl::Evaluate(const RuleInput& input, std::vector<RuleFiring>* out) {
  Step(input.time);
  Resize(input.width, input.height);
  for (const std::int64_t id : input.ended) {
    if (const int slot = slots.Find(id); slot >= 0) EndSlot(slot, out);
  }
  const std::span<const Track> tracks =
      input.tracks.first(std::min<std::size_t>(input.tracks.size(), TrackSlots::kMaxSlots));
  AssignSlots(tracks, out);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    EvaluateRule(RuleTurn{*this, i, memories[i], out}, tracks, frame_slots);
  }
}

RuleSet::RuleSet() : RuleSet(std::make_unique<Impl>()) {}
RuleSet::RuleSet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
RuleSet::~RuleSet() = default;
RuleSet::RuleSet(RuleSet&&) noexcept = default;
RuleSet& RuleSet::operator=(RuleSet&&) noexcept = default;

void RuleSet::Evaluate(const RuleInput& input, std::vector<RuleFiring>* out) {
  if (!impl_->rules.empty()) impl_->Evaluate(input, out);
}

Status RuleSet::CheckPicture(int width, int height) const {
  for (const Zone& zone : impl_->zones) {
    if (zone.unit != CoordinateUnit::kPixel) continue;
    SELVEDGE_RETURN_IF_ERROR(
        CheckInPicture("zone \"" + zone.name + '"', zone.points, width, height));
  }
  for (const Line& line : impl_->lines) {
    if (line.unit != CoordinateUnit::kPixel) continue;
    const Point ends[] = {line.from, line.to};
    SELVEDGE_RETURN_IF_ERROR(CheckInPicture("line \"" + line.name + '"', ends, width, height));
  }
  return OkStatus();
}

void RuleSet::Reset() {
  impl_->Reset();
}
std::size_t RuleSet::size() const {
  return impl_->rules.size();
}
std::span<const Zone> RuleSet::zones() const {
  return impl_->zones;
}
std::span<const Line> RuleSet::lines() const {
  return impl_->lines;
}

}  // namespace selvedge
