// Applications and packages.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cloud/api/api_call.h"
#include "cloud/api/views.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

Json ApplicationOrNull(const Fleet& fleet, const std::string& name,
                       const std::vector<ApplicationPlacement>& placements) {
  const auto record = fleet.applications().find(name);
  const auto placement = std::ranges::find(placements, name, &ApplicationPlacement::application);
  if (record == fleet.applications().end() || placement == placements.end()) return {};
  return ApplicationJson(fleet, record->second, *placement);
}

void GetApplications(ApiCall& call) {
  const Result<int> limit = call.Limit();
  if (!limit) return call.Fail(limit.error());
  const std::string after = call.Query("after");
  Json items = Json::array();
  std::string next;
  call.plane.Read([&](const Fleet& fleet) {
    const auto placements = fleet.Placements();
    for (auto it = fleet.applications().upper_bound(after); it != fleet.applications().end();
         ++it) {
      if (items.size() == static_cast<std::size_t>(*limit)) {
        next = items.back()["name"];
        break;
      }
      items.push_back(ApplicationOrNull(fleet, it->first, placements));
    }
    return 0;
  });
  call.Answer({{"items", items}, {"next", next}});
}

Status NoApplication(const std::string& name) {
  return NotFoundError(fmt::format("there is no application {}", name));
}

void GetApplication(ApiCall& call) {
  const Json json = call.plane.Read([&](const Fleet& fleet) {
    return ApplicationOrNull(fleet, call.names[0], fleet.Placements());
  });
  if (json.is_null()) return call.Fail(NoApplication(call.names[0]));
  call.Answer(json);
}

void PostApplications(ApiCall& call) {
  const std::string dry_run = call.Query("dry_run");
  if (!dry_run.empty() && dry_run != "true" && dry_run != "false") {
    return call.Fail(InvalidArgumentError("dry_run: expected true or false"));
  }
  // What messages call it: the file's name as the client has it, where that is plain.
  std::string name = call.Query("name");
  const bool plain = !name.empty() && name.size() <= 255 && std::ranges::all_of(name, [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F &&
           static_cast<unsigned char>(c) < 0x80;
  });
  if (!plain) name = "manifest";
  const auto applied = call.plane.Apply(call.http.body, name, dry_run == "true");
  if (!applied) return call.Fail(applied.error());
  Json applications = Json::array();
  call.plane.Read([&](const Fleet& fleet) {
    for (const ApplicationRecord& record : applied->records) {
      const auto placement = std::ranges::find(applied->placements, record.application.name,
                                               &ApplicationPlacement::application);
      if (placement != applied->placements.end()) {
        applications.push_back(ApplicationJson(fleet, record, *placement));
      }
    }
    return 0;
  });
  call.Answer({{"applied", applied->applied}, {"applications", applications}});
}

void DeleteApplication(ApiCall& call) {
  const Status deleted = call.plane.DeleteApplication(call.names[0]);
  if (!deleted.ok()) return call.Fail(deleted);
  call.Answer({{"deleted", call.names[0]}});
}

void GetPackages(ApiCall& call) {
  const Result<int> limit = call.Limit();
  if (!limit) return call.Fail(limit.error());
  const std::string after = call.Query("after");
  Json items = Json::array();
  std::string next;
  if (Packages* packages = call.plane.packages(); packages != nullptr) {
    const auto list = packages->List();
    if (!list) return call.Fail(list.error());
    for (const PackageInfo& package : *list) {
      if (package.name <= after) continue;
      if (items.size() == static_cast<std::size_t>(*limit)) {
        next = items.back()["name"];
        break;
      }
      items.push_back(PackageJson(package));
    }
  }
  call.Answer({{"items", items}, {"next", next}});
}

void GetPackage(ApiCall& call) {
  Packages* packages = call.plane.packages();
  if (packages == nullptr) return call.Fail(NotFoundError("this control plane has no registry"));
  const auto package = packages->Find(call.names[0]);
  if (!package) return call.Fail(package.error());
  call.Answer(PackageJson(*package));
}

constexpr ApiEntry kRoutes[] = {
    {{"GET", "/applications", UserRole::kViewer}, GetApplications},
    {{"GET", "/applications/{name}", UserRole::kViewer}, GetApplication},
    {{"POST", "/applications", UserRole::kOperator}, PostApplications},
    {{"DELETE", "/applications/{name}", UserRole::kOperator}, DeleteApplication},
    {{"GET", "/packages", UserRole::kViewer}, GetPackages},
    {{"GET", "/packages/{path}", UserRole::kViewer}, GetPackage},
};

}  // namespace

std::span<const ApiEntry> DeploymentRoutes() {
  return kRoutes;
}

}  // namespace selvedge
