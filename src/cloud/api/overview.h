#pragma once

// The numbers of the home page, and what is wrong, worst first (docs/formats/api.md, "Overview").
// Any thread.

#include <string>
#include <vector>

#include "cloud/api/control_plane.h"

namespace selvedge {

std::string OverviewJson(ControlPlane& plane);
std::string OverviewMessage(ControlPlane& plane);  // of the stream
// The same as metrics, in OpenMetrics or Prometheus' text form.
std::string MetricsText(ControlPlane& plane, bool open_metrics);

// At most `limit`; the last line counts those beyond.
std::vector<TroubleLine> FindTrouble(const Fleet& fleet, const ControlPlane::Numbers& numbers,
                                     std::size_t limit = 50);

}  // namespace selvedge
