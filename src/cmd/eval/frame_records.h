#pragma once

// The detections of a pipeline's frame records, read back from its event file.
//
// Frame records are what `selvedge run --every-frame` writes: events without a rule, one per frame,
// frames counted from 0. Other events are passed over. Errors say file and line.

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "base/status.h"
#include "core/detection.h"

namespace selvedge {

struct FrameRecords {
  // By MOTChallenge frame number: the first frame of a source is 1. A Detection's track_id is -1
  // where the record says 0 (not tracked).
  std::map<std::int64_t, Detections> frames;
  std::set<std::string> labels;   // of every detection, those of other classes included
  std::int64_t other_events = 0;  // events of rules
};

struct FrameRecordFilter {
  std::string label;   // detections of this class only; empty for all
  std::string source;  // events of this source only; empty where the file has one source
};

// InvalidArgument for a line that is no event, two records of one frame, several sources and none
// chosen, or a file without frame records; NotFound and so on where it cannot be read.
Result<FrameRecords> ReadFrameRecords(const std::string& path, const FrameRecordFilter& filter);

}  // namespace selvedge
