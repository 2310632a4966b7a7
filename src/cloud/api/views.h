#pragma once

// The JSON of the control plane's API (docs/formats/api.md), as text. Pure functions.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/api/packages.h"
#include "cloud/events/event_tables.h"
#include "cloud/fleet/fleet.h"
#include "cloud/fleet/fleet_tables.h"

namespace selvedge {

nlohmann::json DeviceJson(const Node& node);
nlohmann::json ApplicationJson(const Fleet& fleet, const ApplicationRecord& record,
                               const ApplicationPlacement& placement);
nlohmann::json SitesJson(const Fleet& fleet);  // a list, by name
nlohmann::json SeriesJson(const SeriesTable::Window& window);
nlohmann::json PackageJson(const PackageInfo& package);
nlohmann::json TokenJson(const TokenRecord& token);
// One object, text: made from the event's own JSON line.
std::string EventJson(const StoredEvent& stored);
std::string AggregateJson(const StoredAggregate& stored);

// Messages of the stream.
std::string DeviceMessage(const Node& node);
std::string RemovedMessage(std::string_view name);
// `removed` with `application`, where it is gone.
std::string ApplicationMessage(const Fleet& fleet, const std::string& name,
                               const std::vector<ApplicationPlacement>& placements);

// Text that others wrote may hold what is not UTF-8; it is replaced.
std::string Dump(const nlohmann::json& json);

}  // namespace selvedge
