#pragma once

// What a run tells its agent about itself, once a second.

#include "base/clock.h"
#include "device/publish/device_status.h"

namespace selvedge {

namespace v1 {
class PipelineMetrics;
}

// The share of one processor that this process used since the call before. One per thread.
class CpuShare {
 public:
  double Update(Nanos now);

 private:
  Nanos last_time_ = 0;
  Nanos last_cpu_ = 0;
};

// All but the counts of events, which the link knows. `opened`: the engine runs, and the source was
// started; before that the pipeline is not ready and `phase` says what it does instead.
void FillMetrics(const PipelineStatus& status, int http_port, bool opened, std::string_view phase,
                 v1::PipelineMetrics* metrics);

}  // namespace selvedge
