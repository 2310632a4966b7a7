#pragma once

// One call of the API on its way to its handler. Internal to api/.

#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloud/api/api.h"

namespace selvedge {

inline constexpr std::size_t kMaxJsonBody = std::size_t{64} * 1024;

struct ApiCall {
  ControlPlane& plane;
  const HttpRequest& http;
  std::vector<std::string> names;  // what stands in the path's {}, in order
  UserRole role;
  HttpReply reply;

  std::string Query(std::string_view key) const;
  // Whole numbers of the query; the error names the key.
  Result<std::int64_t> QueryInt(std::string_view key, std::int64_t otherwise, std::int64_t min,
                                std::int64_t max) const;
  Result<int> Limit() const;  // ?limit=

  void Answer(const nlohmann::json& json, int status = 200) const;
  void AnswerText(std::string json, int status = 200) const;
  void Fail(const Status& status) const;
  // The body, an object within limits.
  Result<nlohmann::json> Body() const;
};

using ApiHandler = void (*)(ApiCall&);

struct ApiEntry {
  ApiRoute route;
  ApiHandler handler;
};

// Of each part; api.cc puts them together.
std::span<const ApiEntry> DeviceRoutes();
std::span<const ApiEntry> DeploymentRoutes();
std::span<const ApiEntry> EventRoutes();
std::span<const ApiEntry> AccessRoutes();

// Items (texts of JSON objects) as a list with its cursor.
std::string ListJson(const std::vector<std::string>& items, std::string_view next);

}  // namespace selvedge
