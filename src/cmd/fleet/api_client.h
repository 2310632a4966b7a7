#pragma once

// ApiClient: the control plane's API as a client verb sees it.
//
// One thread. Failure: the API's own sentence, or why it cannot be reached.

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/status.h"
#include "cmd/cli/context.h"
#include "net/http_client.h"
#include "net/websocket_client.h"

namespace selvedge {

class ApiClient {
 public:
  explicit ApiClient(cli::Connection connection);

  // `path` below /api/v1, with its query.
  Result<nlohmann::json> Get(const std::string& path);
  Result<nlohmann::json> Post(const std::string& path, const std::string& body,
                              const std::string& content_type = "application/json");
  Result<nlohmann::json> Delete(const std::string& path);
  // Every item of a list, page after page, at most `limit`.
  Result<nlohmann::json> GetAll(const std::string& path, std::size_t limit = 100'000);
  Result<std::unique_ptr<WebSocketClient>> Stream();

 private:
  Result<nlohmann::json> Call(HttpCall call);

  cli::Connection connection_;
  HttpClient client_;
};

}  // namespace selvedge
