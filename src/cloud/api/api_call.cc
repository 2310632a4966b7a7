#include "cloud/api/api_call.h"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_limits.h"
#include "cloud/api/views.h"

namespace selvedge {
namespace {

constexpr int kDefaultLimit = 100;
constexpr int kMaxLimit = 1000;
constexpr int kMaxJsonDepth = 16;

}  // namespace

std::string ApiCall::Query(std::string_view key) const {
  return QueryValue(http.query, key);
}

Result<std::int64_t> ApiCall::QueryInt(std::string_view key, std::int64_t otherwise,
                                       std::int64_t min, std::int64_t max) const {
  const std::string text = Query(key);
  if (text.empty()) return otherwise;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < min || value > max) {
    return Err(InvalidArgumentError(
        fmt::format("{}: expected a whole number between {} and {}", key, min, max)));
  }
  return value;
}

Result<int> ApiCall::Limit() const {
  SELVEDGE_ASSIGN_OR_RETURN(const std::int64_t limit,
                            QueryInt("limit", kDefaultLimit, 1, kMaxLimit));
  return static_cast<int>(limit);
}

void ApiCall::AnswerText(std::string json, int status) const {
  reply({.status = status,
         .content_type = "application/json",
         .body = std::move(json),
         .headers = {{"Cache-Control", "no-store"}}});
}

void ApiCall::Answer(const nlohmann::json& json, int status) const {
  AnswerText(Dump(json), status);
}

void ApiCall::Fail(const Status& status) const {
  reply(HttpJsonError(status));
}

Result<nlohmann::json> ApiCall::Body() const {
  if (http.body.size() > kMaxJsonBody) {
    return Err(
        ResourceExhaustedError(fmt::format("a body of at most {} bytes is read", kMaxJsonBody)));
  }
  const std::string_view body = http.body.empty() ? std::string_view("{}") : http.body;
  // Deeper than any body of ours: refused before it can cost a stack.
  if (!JsonWithinLimits(body, kMaxJsonDepth, kMaxJsonBody / 4)) {
    return Err(InvalidArgumentError("the body has more values, or deeper ones, than any request"));
  }
  nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) {
    return Err(InvalidArgumentError("the body must be a JSON object"));
  }
  return json;
}

std::string ListJson(const std::vector<std::string>& items, std::string_view next) {
  std::string out = R"({"items":[)";
  for (const std::string& item : items) {
    if (&item != &items.front()) out += ',';
    out += item;
  }
  return out + R"(],"next":)" + Dump(nlohmann::json(next)) + "}";
}

}  // namespace selvedge
