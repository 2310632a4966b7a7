#include "cmd/eval/frame_records.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <utility>

#include "core/event_json.h"
#include "proto/event.pb.h"

namespace selvedge {
namespace {

// A source has fewer frames than this: 300 years at 1000 a second.
constexpr std::uint64_t kMostFrames = std::uint64_t{1} << 43U;

struct Reading {
  const FrameRecordFilter& filter;
  FrameRecords records;
  std::map<std::int64_t, std::size_t> line_of_frame;
  std::set<std::string> sources;
  std::size_t line = 0;
};

// Boxes and scores are finite: ParseEventLine refuses others.
void TakeDetections(const v1::Event& event, Reading* reading, Detections* out) {
  for (const v1::DetectionRecord& record : event.detections()) {
    reading->records.labels.insert(record.label());
    if (!reading->filter.label.empty() && record.label() != reading->filter.label) continue;
    Detection detection;
    detection.box = {record.box().x1(), record.box().y1(), record.box().x2(), record.box().y2()};
    detection.score = record.score();
    detection.class_id = record.class_id();
    detection.track_id = record.track() > 0 ? record.track() : -1;
    out->push_back(detection);
  }
}

Status TakeEvent(const v1::Event& event, Reading* reading) {
  if (!reading->filter.source.empty() && event.source() != reading->filter.source) {
    reading->sources.insert(event.source());
    return OkStatus();
  }
  if (!event.decision().rule().empty()) {
    ++reading->records.other_events;
    return OkStatus();
  }
  reading->sources.insert(event.source());
  if (reading->filter.source.empty() && reading->sources.size() > 1) {
    return InvalidArgumentError("frames of source \"" + *reading->sources.begin() + "\" and of \"" +
                                *reading->sources.rbegin() + "\"; choose one with --source");
  }
  if (event.frame() >= kMostFrames) return InvalidArgumentError("the frame number is too large");
  const auto frame = static_cast<std::int64_t>(event.frame()) + 1;
  const auto [first, is_new] = reading->line_of_frame.try_emplace(frame, reading->line);
  if (!is_new) {
    return InvalidArgumentError(
        "frame " + std::to_string(event.frame()) + " is recorded a second time (first in line " +
        std::to_string(first->second) + "); a file must hold one run of one pipeline");
  }
  TakeDetections(event, reading, &reading->records.frames[frame]);
  return OkStatus();
}

std::string NoRecords(const std::string& path, const Reading& reading) {
  if (!reading.filter.source.empty() && !reading.sources.contains(reading.filter.source) &&
      !reading.sources.empty()) {
    return path + ": nothing from source \"" + reading.filter.source + "\"; it has \"" +
           *reading.sources.begin() + "\"" + (reading.sources.size() > 1 ? " and others" : "");
  }
  const std::string others =
      reading.records.other_events > 0
          ? " (only " + std::to_string(reading.records.other_events) + " events of rules)"
          : "";
  return path + ": no frame records" + others +
         "; make them with selvedge run PIPELINE.yaml --every-frame --events FILE";
}

}  // namespace

Result<FrameRecords> ReadFrameRecords(const std::string& path, const FrameRecordFilter& filter) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  if (file == nullptr) return Err(ErrnoError(errno, "cannot open " + path));
  Reading reading{.filter = filter};
  std::string line;
  for (int c = 0; c != EOF;) {
    line.clear();
    // By hand rather than with getline: a line without an end must not fill the memory.
    while ((c = getc_unlocked(file.get())) != EOF && c != '\n') {
      if (line.size() <= kMaxEventLine) line += static_cast<char>(c);
    }
    if (std::ferror(file.get()) != 0) return Err(ErrnoError(errno, "cannot read " + path));
    ++reading.line;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string place = path + ":" + std::to_string(reading.line);
    const Result<v1::Event> event = ParseEventLine(line);
    if (!event) return Err(event.error().WithContext(place));
    if (Status taken = TakeEvent(*event, &reading); !taken.ok()) {
      return Err(taken.WithContext(place));
    }
  }
  if (reading.records.frames.empty()) return Err(InvalidArgumentError(NoRecords(path, reading)));
  return std::move(reading.records);
}

}  // namespace selvedge
