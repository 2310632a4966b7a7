// Joining, tokens, the fleet's CA.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cloud/api/api_call.h"
#include "cloud/api/views.h"
#include "trust/certificate.h"
#include "trust/token.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxListed = 64;  // of hosts and addresses, before they are looked at

void GetCa(ApiCall& call) {
  call.reply({.content_type = "application/x-pem-file",
              .body = call.plane.joining().authority().certificate_pem});
}

Status ReadText(const Json& value, std::string_view key, std::string* out) {
  if (!value.is_string()) return InvalidArgumentError(fmt::format("{}: expected text", key));
  *out = value.get<std::string>();
  return OkStatus();
}

Status ReadTexts(const Json& value, std::string_view key, std::vector<std::string>* out) {
  const bool good = value.is_array() && value.size() <= kMaxListed &&
                    std::ranges::all_of(value, [](const Json& item) { return item.is_string(); });
  if (!good) return InvalidArgumentError(fmt::format("{}: expected a short list of texts", key));
  *out = value.get<std::vector<std::string>>();
  return OkStatus();
}

// What it does not know is let pass: a newer node may say more.
Result<JoinRequest> ReadJoin(const Json& body) {
  JoinRequest request;
  const std::pair<const char*, std::string*> texts[] = {{"token_id", &request.token_id},
                                                        {"secret", &request.secret},
                                                        {"name", &request.name},
                                                        {"role", &request.role},
                                                        {"csr", &request.csr}};
  for (const auto& [key, out] : texts) {
    if (!body.contains(key)) {
      return Err(InvalidArgumentError(fmt::format("{} is missing", key)));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadText(body[key], key, out));
  }
  if (body.contains("hosts")) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadTexts(body["hosts"], "hosts", &request.hosts));
  }
  if (body.contains("mqtt")) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadTexts(body["mqtt"], "mqtt", &request.mqtt));
  }
  if (body.contains("registry")) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadText(body["registry"], "registry", &request.registry));
  }
  return request;
}

void PostJoin(ApiCall& call) {
  const auto body = call.Body();
  if (!body) return call.Fail(body.error());
  const auto request = ReadJoin(*body);
  if (!request) return call.Fail(request.error());
  const auto answer = call.plane.Join(*request);
  if (!answer) return call.Fail(answer.error());
  call.Answer({{"site", answer->record.site},
               {"name", answer->record.name},
               {"certificate", answer->certificate_pem},
               {"ca", call.plane.joining().authority().certificate_pem},
               {"mqtt", answer->mqtt},
               {"registry", answer->registry}});
}

// ---- tokens ------------------------------------------------------------------------------------

void GetTokens(ApiCall& call) {
  const Result<int> limit = call.Limit();
  if (!limit) return call.Fail(limit.error());
  auto tokens = call.plane.tables().ListTokens(call.Query("after"), *limit + 1);
  if (!tokens) return call.Fail(tokens.error());
  std::string next;
  if (tokens->size() > static_cast<std::size_t>(*limit)) {
    tokens->resize(static_cast<std::size_t>(*limit));
    next = tokens->back().id;
  }
  Json items = Json::array();
  for (const TokenRecord& token : *tokens) {
    // Who may not make it does not see it.
    if (token.join || call.role == UserRole::kAdmin) items.push_back(TokenJson(token));
  }
  call.Answer({{"items", items}, {"next", next}});
}

Result<TokenOrder> ReadOrder(const Json& body) {
  TokenOrder order;
  std::string kind;
  for (const auto& [key, value] : body.items()) {
    if (key == "expires_s") {
      if (!value.is_number_integer()) {
        return Err(InvalidArgumentError("expires_s: expected a whole number"));
      }
      order.expires_s = value;
      continue;
    }
    std::string* out = key == "kind"   ? &kind
                       : key == "role" ? &order.role
                       : key == "site" ? &order.site
                       : key == "name" ? &order.name
                       : key == "via"  ? &order.via
                                       : nullptr;
    if (out == nullptr) {
      return Err(InvalidArgumentError(
          fmt::format("{} is unknown; there are kind, role, site, name, via and expires_s", key)));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadText(value, key, out));
  }
  if (kind != "join" && kind != "user") {
    return Err(InvalidArgumentError("kind: expected join or user"));
  }
  order.join = kind == "join";
  if (order.join && order.role.empty()) order.role = "device";
  return order;
}

Result<std::string> JoinTokenText(const ApiCall& call, const Joining::MadeToken& made) {
  SELVEDGE_ASSIGN_OR_RETURN(const CertificateInfo authority,
                            ReadCertificate(call.plane.joining().authority().certificate_pem));
  return FormatJoinToken(
      {.url = made.record.via.empty() ? call.plane.addresses().api : made.record.via,
       .ca_sha256 = authority.sha256,
       .id = made.record.id,
       .secret = made.secret,
       .role = made.record.role,
       .site = made.record.site});
}

void PostTokens(ApiCall& call) {
  const auto body = call.Body();
  if (!body) return call.Fail(body.error());
  const auto order = ReadOrder(*body);
  if (!order) return call.Fail(order.error());
  if (!order->join && call.role != UserRole::kAdmin) {
    return call.Fail(PermissionDeniedError("users' tokens take the role admin"));
  }
  const auto made = call.plane.joining().MakeToken(*order);
  if (!made) return call.Fail(made.error());
  Json json = TokenJson(made->record);
  if (order->join) {
    const auto text = JoinTokenText(call, *made);
    if (!text) return call.Fail(text.error());
    json["token"] = *text;
  } else {
    json["token"] = Joining::UserToken(*made);
  }
  call.Answer(json, 201);
}

void DeleteToken(ApiCall& call) {
  const std::string& id = call.names[0];
  const auto token = call.plane.tables().FindToken(id);
  if (!token) return call.Fail(token.error());
  if (!*token) return call.Fail(NotFoundError("there is no token " + id));
  if (!(*token)->join && call.role != UserRole::kAdmin) {
    return call.Fail(PermissionDeniedError("users' tokens take the role admin"));
  }
  const auto removed = call.plane.tables().RemoveToken(id);
  if (!removed) return call.Fail(removed.error());
  call.Answer({{"deleted", id}});
}

constexpr ApiEntry kRoutes[] = {
    {{"GET", "/ca", UserRole::kNone}, GetCa},
    {{"POST", "/join", UserRole::kNone}, PostJoin},
    {{"GET", "/tokens", UserRole::kOperator}, GetTokens},
    {{"POST", "/tokens", UserRole::kOperator}, PostTokens},
    {{"DELETE", "/tokens/{id}", UserRole::kOperator}, DeleteToken},
};

}  // namespace

std::span<const ApiEntry> AccessRoutes() {
  return kRoutes;
}

}  // namespace selvedge
