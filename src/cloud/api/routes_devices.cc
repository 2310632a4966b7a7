// Devices, sites, series and commands.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cloud/api/api_call.h"
#include "cloud/api/overview.h"
#include "cloud/api/views.h"
#include "core/topic.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr Nanos kCommandTimeout = 10 * kSecond;
constexpr std::int64_t kMaxLogLines = 5000;

void GetOverview(ApiCall& call) {
  call.AnswerText(OverviewJson(call.plane));
}

void GetDevices(ApiCall& call) {
  const Result<int> limit = call.Limit();
  if (!limit) return call.Fail(limit.error());
  const std::string after = call.Query("after");
  const std::string site = call.Query("site");
  Json items = Json::array();
  std::string next;
  call.plane.Read([&](const Fleet& fleet) {
    for (auto it = fleet.nodes().upper_bound(after); it != fleet.nodes().end(); ++it) {
      const Node& node = it->second;
      if (node.role == v1::GATEWAY || (!site.empty() && node.site != site)) continue;
      if (items.size() == static_cast<std::size_t>(*limit)) {
        next = items.back()["name"];
        break;
      }
      items.push_back(DeviceJson(node));
    }
    return 0;
  });
  call.Answer({{"items", items}, {"next", next}});
}

Status NoDevice(const std::string& name) {
  return NotFoundError(fmt::format("there is no device {}", name));
}

void GetDevice(ApiCall& call) {
  const Json json = call.plane.Read([&](const Fleet& fleet) {
    const Node* node = fleet.Find(call.names[0]);
    return node == nullptr ? Json() : DeviceJson(*node);
  });
  if (json.is_null()) return call.Fail(NoDevice(call.names[0]));
  call.Answer(json);
}

void DeleteDevice(ApiCall& call) {
  const Status deleted = call.plane.DeleteNode(call.names[0]);
  if (!deleted.ok()) return call.Fail(deleted);
  call.Answer({{"deleted", call.names[0]}});
}

void GetSeries(ApiCall& call) {
  const auto minutes = call.QueryInt("minutes", 60, 1, 60);
  if (!minutes) return call.Fail(minutes.error());
  const auto window =
      call.plane.Read([&](const Fleet& fleet) -> std::optional<SeriesTable::Window> {
        if (fleet.Find(call.names[0]) == nullptr) return std::nullopt;
        return fleet.series().Read(call.names[0], Clock::System().Wall(),
                                   static_cast<int>(*minutes));
      });
  if (!window) return call.Fail(NoDevice(call.names[0]));
  call.Answer(SeriesJson(*window));
}

void GetSites(ApiCall& call) {
  const Json sites = call.plane.Read([](const Fleet& fleet) { return SitesJson(fleet); });
  call.Answer({{"items", sites}, {"next", ""}});
}

// ---- commands ----------------------------------------------------------------------------------

struct CommandTarget {
  std::string application;
  std::string service;
  std::int64_t lines = 0;
};

Result<CommandTarget> ReadTarget(const ApiCall& call, bool service_needed) {
  SELVEDGE_ASSIGN_OR_RETURN(const Json body, call.Body());
  CommandTarget target;
  for (const auto& [key, value] : body.items()) {
    if (key == "application" && value.is_string()) {
      target.application = value;
    } else if (key == "service" && value.is_string()) {
      target.service = value;
    } else if (key == "lines" && value.is_number_integer() && value >= 0 && value <= kMaxLogLines) {
      target.lines = value;
    } else {
      return Err(InvalidArgumentError(fmt::format(
          "{}: expected application and service (text) and lines (0 to {})", key, kMaxLogLines)));
    }
  }
  if (service_needed && (target.application.empty() || target.service.empty())) {
    return Err(InvalidArgumentError("application and service are needed"));
  }
  for (const std::string& name : {target.application, target.service}) {
    if (!name.empty() && !IsNodeName(name)) {
      return Err(InvalidArgumentError("application and service are names of a-z, 0-9 and '-'"));
    }
  }
  return target;
}

// What the device itself says about a command that it did not do.
Status RefusedByDevice(const std::string& error) {
  return FailedPreconditionError(error);
}

void PostLogs(ApiCall& call) {
  const auto target = ReadTarget(call, false);
  if (!target) return call.Fail(target.error());
  v1::Command command;
  command.mutable_logs()->set_application(target->application);
  command.mutable_logs()->set_service(target->service);
  command.mutable_logs()->set_lines(static_cast<std::uint32_t>(target->lines));
  call.plane.Command(
      call.names[0], std::move(command), kCommandTimeout,
      [reply = call.reply](Result<v1::CommandResult> result) {
        if (!result) return reply(HttpJsonError(result.error()));
        if (!result->error().empty()) {
          return reply(HttpJsonError(RefusedByDevice(result->error())));
        }
        reply({.content_type = "application/json", .body = Dump({{"text", result->text()}})});
      });
}

void PostRestart(ApiCall& call) {
  const auto target = ReadTarget(call, true);
  if (!target) return call.Fail(target.error());
  v1::Command command;
  command.mutable_restart()->set_application(target->application);
  command.mutable_restart()->set_service(target->service);
  call.plane.Command(call.names[0], std::move(command), kCommandTimeout,
                     [reply = call.reply](Result<v1::CommandResult> result) {
                       if (!result) return reply(HttpJsonError(result.error()));
                       if (!result->error().empty()) {
                         return reply(HttpJsonError(RefusedByDevice(result->error())));
                       }
                       reply({.content_type = "application/json",
                              .body = Dump({{"text", result->text()}, {"restarted", true}})});
                     });
}

// What the last state says of the service's privacy; "local-only" where it says nothing.
std::string PrivacyOf(const ApiCall& call, const CommandTarget& target) {
  return call.plane.Read([&](const Fleet& fleet) {
    std::string privacy = "local-only";
    const Node* node = fleet.Find(call.names[0]);
    if (node == nullptr) return privacy;
    for (const v1::ServiceStatus& service : node->state.services()) {
      if (service.application() == target.application && service.name() == target.service &&
          !service.pipeline().privacy().empty()) {
        privacy = service.pipeline().privacy();
      }
    }
    return privacy;
  });
}

void PostSnapshot(ApiCall& call) {
  const auto target = ReadTarget(call, true);
  if (!target) return call.Fail(target.error());
  // The device decides, and does not send what its policy keeps; the answer then is a plain no.
  const std::string privacy = PrivacyOf(call, *target);
  v1::Command command;
  command.mutable_snapshot()->set_application(target->application);
  command.mutable_snapshot()->set_service(target->service);
  call.plane.Command(
      call.names[0], std::move(command), kCommandTimeout,
      [reply = call.reply, privacy](Result<v1::CommandResult> result) {
        if (!result) return reply(HttpJsonError(result.error()));
        if (!result->error().empty()) {
          return reply(HttpJsonError(privacy != "frames" ? PermissionDeniedError(result->error())
                                                         : RefusedByDevice(result->error())));
        }
        if (result->jpeg().empty()) {
          return reply(HttpJsonError(UnavailableError("the device sent no picture")));
        }
        reply({.content_type = "image/jpeg",
               .body = std::move(*result->mutable_jpeg()),
               .headers = {{"Cache-Control", "no-store"}}});
      });
}

constexpr ApiEntry kRoutes[] = {
    {{"GET", "/overview", UserRole::kViewer}, GetOverview},
    {{"GET", "/devices", UserRole::kViewer}, GetDevices},
    {{"GET", "/devices/{name}", UserRole::kViewer}, GetDevice},
    {{"DELETE", "/devices/{name}", UserRole::kOperator}, DeleteDevice},
    {{"GET", "/devices/{name}/series", UserRole::kViewer}, GetSeries},
    {{"POST", "/devices/{name}/logs", UserRole::kViewer}, PostLogs},
    {{"POST", "/devices/{name}/restart", UserRole::kOperator}, PostRestart},
    {{"POST", "/devices/{name}/snapshot", UserRole::kOperator}, PostSnapshot},
    {{"GET", "/sites", UserRole::kViewer}, GetSites},
};

}  // namespace

std::span<const ApiEntry> DeviceRoutes() {
  return kRoutes;
}

}  // namespace selvedge
