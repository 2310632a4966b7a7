#include "cloud/fleet/joining.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/topic.h"
#include "trust/token.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxHosts = 16;
constexpr std::size_t kMaxHost = 253;
constexpr std::size_t kMaxUrl = 300;
constexpr std::string_view kUserTokenPrefix = "slvt.";
constexpr std::int64_t kJoinTokenSeconds = 86'400;
constexpr std::int64_t kMaxTokenSeconds = std::int64_t{3660} * 86'400;

Status Refused(std::string_view why) {
  return UnauthenticatedError(
      fmt::format("the join token {}; make a new one with selvedge token create", why));
}

// Of numbers and dots, or with a colon: an address. Anything else that is a host is a name.
bool LooksLikeAddress(std::string_view host) {
  return host.find(':') != std::string_view::npos ||
         host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool IsHost(std::string_view host) {
  return !host.empty() && host.size() <= kMaxHost && std::ranges::all_of(host, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == ':';
  });
}

bool IsUrl(std::string_view url, std::initializer_list<std::string_view> schemes) {
  return url.size() <= kMaxUrl &&
         std::ranges::all_of(url, [](char c) { return c > ' ' && c <= '~'; }) &&
         std::ranges::any_of(schemes, [&](std::string_view scheme) {
           return url.starts_with(scheme) && url.size() > scheme.size();
         });
}

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

std::optional<UserRole> ParseUserRole(std::string_view name) {
  if (name == "viewer") return UserRole::kViewer;
  if (name == "operator") return UserRole::kOperator;
  if (name == "admin") return UserRole::kAdmin;
  return std::nullopt;
}

Joining::Joining(FleetTables* tables, CertificateAuthority authority,
                 std::vector<std::string> own_hosts, const Clock& clock)
    : tables_(tables),
      authority_(std::move(authority)),
      own_hosts_(std::move(own_hosts)),
      clock_(clock) {}

// ---- joining -----------------------------------------------------------------------------------

Result<TokenRecord> Joining::CheckToken(const JoinRequest& request) {
  SELVEDGE_ASSIGN_OR_RETURN(const auto token, tables_->FindToken(request.token_id));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, SecretDigest(request.secret));
  if (!token || !token->join || !EqualInConstantTime(token->secret_sha256, digest)) {
    return Err(Refused("is not one of this fleet's"));
  }
  if (token->expires_ms > 0 && NowMs() > token->expires_ms) return Err(Refused("has expired"));
  if (token->role != request.role) {
    return Err(Refused(fmt::format("is for a {}, not for a {}", token->role, request.role)));
  }
  return *token;
}

// Whether this name may be given to this key. *present: who has the name now, if anybody.
Status Joining::CheckName(const JoinRequest& request, const TokenRecord& token,
                          const std::string& key_sha256,
                          std::optional<FleetTables::JoinedNode>* present) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(*present, tables_->FindNode(request.name));
  if (*present && (*present)->key_sha256 != key_sha256) {
    return AlreadyExistsError(
        fmt::format("another {} holds the name {}; choose another name, or delete that one first",
                    (*present)->role == v1::GATEWAY ? "gateway" : "device", request.name));
  }
  const v1::Role role = token.role == "gateway" ? v1::GATEWAY : v1::DEVICE;
  if (*present && ((*present)->site != token.site || (*present)->role != role)) {
    return AlreadyExistsError(
        fmt::format("{} is a {} of site {} already; delete it there first", request.name,
                    (*present)->role == v1::GATEWAY ? "gateway" : "device", (*present)->site));
  }
  if (role != v1::GATEWAY) return OkStatus();
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const auto gateway, tables_->GatewayOf(token.site));
  if (gateway && gateway->name != request.name) {
    return AlreadyExistsError(fmt::format(
        "site {} has the gateway {} already; delete that one first", token.site, gateway->name));
  }
  return OkStatus();
}

Status Joining::CheckOffer(const JoinRequest& request) const {
  if (request.hosts.size() > kMaxHosts || request.mqtt.size() > kMaxHosts) {
    return InvalidArgumentError(fmt::format("at most {} hosts and addresses are taken", kMaxHosts));
  }
  for (const std::string& host : request.hosts) {
    if (!IsHost(host))
      return InvalidArgumentError("one of `hosts` is no name or address of a host");
    // Whoever holds such a certificate could pass for the control plane. Loopback reaches this
    // machine only.
    if (!IsLoopback(host) && std::ranges::find(own_hosts_, host) != own_hosts_.end()) {
      return InvalidArgumentError(host + " is the control plane's own name or address");
    }
  }
  const bool good =
      std::ranges::all_of(request.mqtt,
                          [](const auto& uri) { return IsUrl(uri, {"mqtts://", "wss://"}); }) &&
      (request.registry.empty() || IsUrl(request.registry, {"https://"}));
  return good ? OkStatus()
              : InvalidArgumentError(
                    "`mqtt` holds mqtts:// or wss:// addresses, `registry` an https:// one");
}

Result<JoinAnswer> Joining::Issue(const JoinRequest& request, const TokenRecord& token,
                                  const std::string& key_sha256) {
  CertificateOrder order{.name = request.name};
  if (token.role == "gateway") {
    order.server = true;
    for (const std::string& host : request.hosts) {
      (LooksLikeAddress(host) ? order.addresses : order.dns_names).push_back(host);
    }
  }
  SELVEDGE_ASSIGN_OR_RETURN(std::string certificate,
                            IssueCertificate(authority_, request.csr, order, clock_));
  SELVEDGE_ASSIGN_OR_RETURN(const CertificateInfo info, ReadCertificate(certificate));
  JoinAnswer answer{.certificate_pem = std::move(certificate), .changed = true};
  answer.record.name = request.name;
  answer.record.site = token.site;
  answer.record.role = token.role == "gateway" ? v1::GATEWAY : v1::DEVICE;
  answer.record.key_sha256 = key_sha256;
  answer.record.certificate_sha256 = info.sha256;
  answer.record.joined_ms = NowMs();
  if (answer.record.role == v1::GATEWAY) {
    answer.record.offered_mqtt = request.mqtt;
    answer.record.offered_registry = request.registry;
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(
      tables_->SaveJoin(answer.record, answer.certificate_pem, request.token_id));
  return answer;
}

Status Joining::AddAddresses(JoinAnswer* answer) {
  if (answer->record.role == v1::GATEWAY) return OkStatus();
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(auto gateway, tables_->GatewayOf(answer->record.site));
  if (!gateway) return OkStatus();
  answer->mqtt = std::move(gateway->mqtt);
  answer->registry = std::move(gateway->registry);
  return OkStatus();
}

Result<JoinAnswer> Joining::Join(const JoinRequest& request) {
  const std::lock_guard lock(mutex_);
  if (!IsNodeName(request.name)) {
    return Err(InvalidArgumentError(
        "a name is 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or a digit"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const TokenRecord token, CheckToken(request));
  if (request.name == kControlPlaneName) {
    return Err(
        AlreadyExistsError(request.name + " is the control plane's own name; choose another"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const CertificateRequestInfo csr, ReadCertificateRequest(request.csr));
  if (csr.name != request.name) {
    return Err(InvalidArgumentError("the certificate request is for another name"));
  }
  const bool again = token.spent_by == request.name && token.spent_key == csr.key_sha256;
  if (!token.spent_by.empty() && !again) return Err(Refused("is spent"));
  std::optional<FleetTables::JoinedNode> present;
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckName(request, token, csr.key_sha256, &present));
  if (again && !present) {
    return Err(Refused(fmt::format("is spent, and {} was deleted since", request.name)));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOffer(request));
  SELVEDGE_ASSIGN_OR_RETURN(JoinAnswer answer, Issue(request, token, csr.key_sha256));
  SELVEDGE_RETURN_ERR_IF_ERROR(AddAddresses(&answer));
  return answer;
}

// ---- tokens ------------------------------------------------------------------------------------

Result<Joining::MadeToken> Joining::MakeToken(const TokenOrder& order) {
  if (order.join) {
    if (!IsNodeName(order.site)) {
      return Err(
          InvalidArgumentError("site: a name is 1 to 63 of a-z, 0-9 and '-', beginning and "
                               "ending with a letter or a digit"));
    }
    if (order.role != "device" && order.role != "gateway") {
      return Err(InvalidArgumentError("role: a node is a device or a gateway"));
    }
    if (!order.via.empty() && !IsUrl(order.via, {"https://"})) {
      return Err(InvalidArgumentError("via: expected https://HOST:PORT of a gateway"));
    }
  } else {
    if (!ParseUserRole(order.role)) {
      return Err(InvalidArgumentError("role: a user is a viewer, an operator or an admin"));
    }
    if (!IsNodeName(order.name)) {
      return Err(InvalidArgumentError("name: say whose it is, in a-z, 0-9 and '-'"));
    }
  }
  if (order.expires_s < 0 || order.expires_s > kMaxTokenSeconds) {
    return Err(InvalidArgumentError(fmt::format("expires_s: at most {}", kMaxTokenSeconds)));
  }
  MadeToken made;
  SELVEDGE_ASSIGN_OR_RETURN(made.record.id, RandomText(12));
  SELVEDGE_ASSIGN_OR_RETURN(made.secret, RandomText(32));
  SELVEDGE_ASSIGN_OR_RETURN(made.record.secret_sha256, SecretDigest(made.secret));
  made.record.join = order.join;
  made.record.role = order.role;
  made.record.site = order.join ? order.site : "";
  made.record.name = order.join ? "" : order.name;
  made.record.via = order.via;
  made.record.created_ms = NowMs();
  const std::int64_t seconds =
      order.expires_s > 0 ? order.expires_s : (order.join ? kJoinTokenSeconds : 0);
  made.record.expires_ms = seconds > 0 ? NowMs() + seconds * 1000 : 0;
  SELVEDGE_RETURN_ERR_IF_ERROR(tables_->AddToken(made.record, NowMs()));
  return made;
}

std::string Joining::UserToken(const MadeToken& token) {
  return fmt::format("{}{}.{}", kUserTokenPrefix, token.record.id, token.secret);
}

Result<UserRole> Joining::RoleOf(std::string_view bearer) {
  if (!bearer.starts_with(kUserTokenPrefix) || bearer.size() > 256) return UserRole::kNone;
  bearer.remove_prefix(kUserTokenPrefix.size());
  const std::size_t dot = bearer.find('.');
  if (dot == std::string_view::npos) return UserRole::kNone;
  SELVEDGE_ASSIGN_OR_RETURN(const auto token, tables_->FindToken(bearer.substr(0, dot)));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, SecretDigest(bearer.substr(dot + 1)));
  if (!token || token->join || !EqualInConstantTime(token->secret_sha256, digest)) {
    return UserRole::kNone;
  }
  if (token->expires_ms > 0 && NowMs() > token->expires_ms) return UserRole::kNone;
  return ParseUserRole(token->role).value_or(UserRole::kNone);
}

}  // namespace selvedge
