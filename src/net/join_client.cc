#include "net/join_client.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/file.h"
#include "core/topic.h"
#include "net/http_client.h"
#include "trust/certificate.h"

namespace selvedge {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxAnswer = std::size_t{256} * 1024;
constexpr std::size_t kMaxBrokers = 8;
constexpr std::size_t kMaxUrl = 300;

Status Untrusted(std::string_view what) {
  return UnauthenticatedError("joining failed: " + std::string(what));
}

std::optional<std::string> TextField(const Json& json, const char* name) {
  const auto found = json.find(name);
  if (found == json.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

bool IsUrl(std::string_view text, std::initializer_list<std::string_view> schemes) {
  const bool plain = std::ranges::all_of(text, [](char c) { return c > ' ' && c <= '~'; });
  return plain && text.size() <= kMaxUrl &&
         std::ranges::any_of(schemes, [&](std::string_view scheme) {
           return text.starts_with(scheme) && text.size() > scheme.size();
         });
}

// The fields that node.json and the control plane's answer share.
Result<NodeIdentity> ReadNode(const Json& json) {
  const auto bad = [](std::string_view field) {
    return Err(InvalidArgumentError("its `" + std::string(field) + "` is missing or malformed"));
  };
  NodeIdentity node;
  const auto site = TextField(json, "site");
  if (!site || !IsNodeName(*site)) return bad("site");
  const auto name = TextField(json, "name");
  if (!name || !IsNodeName(*name)) return bad("name");
  const auto registry = TextField(json, "registry");
  if (!registry || !IsUrl(*registry, {"https://"})) return bad("registry");
  const auto mqtt = json.find("mqtt");
  if (mqtt == json.end() || !mqtt->is_array() || mqtt->empty() || mqtt->size() > kMaxBrokers) {
    return bad("mqtt");
  }
  for (const Json& uri : *mqtt) {
    if (!uri.is_string() || !IsUrl(uri.get_ref<const std::string&>(), {"mqtts://", "wss://"})) {
      return bad("mqtt");
    }
    node.mqtt.push_back(uri.get<std::string>());
  }
  node.site = *site;
  node.name = *name;
  node.registry = *registry;
  return node;
}

void SetPaths(const std::string& folder, NodeIdentity* node) {
  const std::filesystem::path absolute = std::filesystem::absolute(folder);
  node->ca_file = (absolute / "ca.pem").string();
  node->certificate_file = (absolute / "certificate.pem").string();
  node->key_file = (absolute / "key.pem").string();
}

Status MakeFolder(const std::string& folder) {
  std::error_code error;
  const std::filesystem::path path(folder);
  if (std::filesystem::is_directory(path, error)) return OkStatus();
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0) return ErrnoError(errno, "cannot make " + folder);
  return OkStatus();
}

// Anybody may answer here; what makes it the fleet's is its digest.
Result<std::string> FetchAuthority(const JoinToken& token, const JoinOptions& options) {
  HttpClient client({.tls = {.insecure = true},
                     .proxy = options.proxy,
                     .total_timeout = std::chrono::milliseconds(30'000)});
  HttpCall call;
  call.url = token.url + "/api/v1/ca";
  call.max_answer_bytes = kMaxPemBytes;
  call.stop = options.stop;
  SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer, client.CallOk(call));
  const Result<CertificateInfo> authority = ReadCertificate(answer.body);
  if (!authority || authority->sha256 != token.ca_sha256) {
    return Err(Untrusted(HostOfUrl(token.url) +
                         " shows another fleet's CA than the one that the join token names; check "
                         "the address, and make a new token"));
  }
  return answer.body;
}

Result<Json> AskToJoin(const JoinToken& token, const JoinOptions& options,
                       const std::string& authority, const std::string& request) {
  Json body = {{"token_id", token.id},
               {"secret", token.secret},
               {"name", options.name},
               {"role", token.role},
               {"csr", request}};
  if (token.role == "gateway") {
    body["hosts"] = options.hosts;
    body["mqtt"] = options.mqtt;
    body["registry"] = options.registry;
  }
  HttpClient client({.tls = {.ca_pem = authority},
                     .proxy = options.proxy,
                     .total_timeout = std::chrono::milliseconds(30'000)});
  HttpCall call;
  call.method = "POST";
  call.url = token.url + "/api/v1/join";
  call.headers = {{"Content-Type", "application/json"}};
  call.body = body.dump();
  call.max_answer_bytes = kMaxAnswer;
  call.stop = options.stop;
  SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer, client.CallOk(call));
  Json json = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return Err(Untrusted(HostOfUrl(token.url) + " did not answer with JSON"));
  }
  return json;
}

// Whatever was answered must fit what was asked: a mistake found here is not found by a device that
// no longer connects.
Status CheckAnswer(const NodeIdentity& node, const JoinToken& token, const std::string& authority,
                   const std::string& certificate, const std::string& key,
                   const JoinOptions& options) {
  if (node.name != options.name || node.site != token.site) {
    return Untrusted("the certificate is for " + node.site + "/" + node.name + ", not for " +
                     token.site + "/" + options.name);
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const CertificateInfo info, ReadCertificate(certificate));
  if (info.name != node.name) return Untrusted("the certificate carries the name " + info.name);
  SELVEDGE_RETURN_IF_ERROR(CheckKeyFits(certificate, key));
  return CheckIssuedBy(certificate, authority);
}

}  // namespace

Result<NodeIdentity> LoadIdentity(const std::string& folder) {
  const std::string path = folder + "/node.json";
  SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxAnswer));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto damaged = [&](std::string_view what) {
    return Err(FailedPreconditionError(folder + " cannot be used: " + std::string(what) +
                                       "; move it away and join anew"));
  };
  if (!json.is_object()) return damaged("node.json is damaged");
  Result<NodeIdentity> node = ReadNode(json);
  const auto role = TextField(json, "role");
  if (!node || !role) return damaged("node.json is damaged");
  node->role = *role;
  node->url = TextField(json, "url").value_or("");
  SetPaths(folder, &*node);
  const Result<std::string> certificate = ReadFile(node->certificate_file, kMaxPemBytes);
  if (!certificate) return damaged(certificate.error().message());
  const Result<std::string> authority = ReadFile(node->ca_file, kMaxPemBytes);
  if (!authority) return damaged(authority.error().message());
  const Result<std::string> key = ReadFile(node->key_file, kMaxPemBytes);
  if (!key) return damaged(key.error().message());
  if (const Status fits = CheckKeyFits(*certificate, *key); !fits.ok()) {
    return damaged(fits.message());
  }
  if (const Status issued = CheckIssuedBy(*certificate, *authority); !issued.ok()) {
    return damaged(issued.message());
  }
  return *std::move(node);
}

Result<NodeIdentity> JoinFleet(const std::string& folder, const JoinToken& token,
                               const JoinOptions& options) {
  if (!IsNodeName(options.name)) {
    return Err(InvalidArgumentError("\"" + options.name.substr(0, 64) +
                                    "\" is no name for a node: 1 to 63 of a-z, 0-9 and '-', "
                                    "beginning and ending with a letter or a digit"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(MakeFolder(folder));
  NodeIdentity paths;
  SetPaths(folder, &paths);
  SELVEDGE_ASSIGN_OR_RETURN(const std::string key, LoadOrMakePrivateKey(paths.key_file));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string request, MakeCertificateRequest(key, options.name));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string authority, FetchAuthority(token, options));
  SELVEDGE_ASSIGN_OR_RETURN(const Json answer, AskToJoin(token, options, authority, request));

  Result<NodeIdentity> node = ReadNode(answer);
  const auto certificate = TextField(answer, "certificate");
  if (!node) return Err(Untrusted("the answer of the control plane: " + node.error().message()));
  if (!certificate) return Err(Untrusted("the control plane sent no certificate"));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckAnswer(*node, token, authority, *certificate, key, options));
  node->role = token.role;
  node->url = token.url;
  SetPaths(folder, &*node);
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(node->ca_file, authority));
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(node->certificate_file, *certificate));
  const Json saved = {{"site", node->site}, {"name", node->name}, {"role", node->role},
                      {"mqtt", node->mqtt}, {"url", node->url},   {"registry", node->registry}};
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteSecretFile(folder + "/node.json", saved.dump(2) + "\n"));
  return *std::move(node);
}

}  // namespace selvedge
