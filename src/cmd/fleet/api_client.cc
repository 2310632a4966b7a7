#include "cmd/fleet/api_client.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace selvedge {
namespace {

using nlohmann::json;

HttpClientOptions OptionsOf(const cli::Connection& connection) {
  HttpClientOptions options;
  options.tls.ca_file = connection.ca;
  return options;
}

}  // namespace

ApiClient::ApiClient(cli::Connection connection)
    : connection_(std::move(connection)), client_(OptionsOf(connection_)) {}

Result<json> ApiClient::Call(HttpCall call) {
  call.url = connection_.url + "/api/v1" + call.url;
  call.bearer = connection_.token;
  SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer, client_.CallOk(call));
  if (answer.body.empty()) return json::object();
  json parsed = json::parse(answer.body, nullptr, false);
  if (parsed.is_discarded()) {
    return Err(DataLossError(HostOfUrl(call.url) +
                             " did not answer in JSON; is it the address of a control plane?"));
  }
  return parsed;
}

Result<json> ApiClient::Get(const std::string& path) {
  HttpCall call;
  call.url = path;
  return Call(std::move(call));
}

Result<json> ApiClient::Post(const std::string& path, const std::string& body,
                             const std::string& content_type) {
  HttpCall call;
  call.method = "POST";
  call.url = path;
  call.headers = {{"Content-Type", content_type}};
  call.body = body;
  return Call(std::move(call));
}

Result<json> ApiClient::Delete(const std::string& path) {
  HttpCall call;
  call.method = "DELETE";
  call.url = path;
  return Call(std::move(call));
}

Result<json> ApiClient::GetAll(const std::string& path, std::size_t limit) {
  json all = json::array();
  std::string after;
  const char* joint = path.find('?') == std::string::npos ? "?" : "&";
  do {
    std::string page = path + joint + "limit=1000";
    if (!after.empty()) page += "&after=" + PercentEncode(after);
    SELVEDGE_ASSIGN_OR_RETURN(const json answer, Get(page));
    const json items = answer.value("items", json::array());
    for (const json& item : items) all.push_back(item);
    after = items.empty() ? "" : answer.value("next", "");
  } while (!after.empty() && all.size() < limit);
  return all;
}

Result<std::unique_ptr<WebSocketClient>> ApiClient::Stream() {
  WebSocketClientOptions options;
  options.url = connection_.url + "/api/v1/stream";
  options.subprotocols = {"selvedge.v1", "bearer." + connection_.token};
  options.tls.ca_file = connection_.ca;
  return WebSocketClient::Connect(options);
}

}  // namespace selvedge
