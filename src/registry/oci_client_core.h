#pragma once

// The inside of OciClient: logging in, trying again. For oci_client*.cc.

#include <functional>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http_client.h"
#include "registry/oci_client.h"

namespace selvedge {

class OciClientCore {
 public:
  explicit OciClientCore(OciClientOptions options);

  const OciClientOptions& options() const { return options_; }
  // Where a request goes: "/v2/" and what follows.
  std::string Url(const std::string& path) const { return options_.url + "/v2/" + path; }
  // A Location header of an answer to a request of `url`, made absolute.
  Result<std::string> Locate(const HttpAnswer& answer) const;

  // One request, logged in for `actions` ("pull", "pull,push") on a repository. An answer of
  // whatever status; 401 only where logging in did not help.
  Result<HttpAnswer> Call(const std::string& repository, std::string_view actions, HttpCall call);
  // The same, with errors as a Status, in words that say what to do. Aborted: come again, it is on
  // its way (503 with Retry-After).
  Result<HttpAnswer> CallOk(const std::string& repository, std::string_view actions, HttpCall call);

  // Runs `once` until it is OK, fails for good, or `tries` in a row made no progress. It says by
  // `*progress` whether it came further. Aborted is no failure, for half an hour.
  Status WithRetries(std::stop_token stop, const std::function<Status(bool* progress)>& once) const;

 private:
  bool Ours(const std::string& url) const;
  // An Authorization header that answers the challenge; empty where there is no way.
  Result<std::string> LogIn(const HttpAnswer& answer, const std::string& scope,
                            const std::stop_token& stop);
  Result<std::string> FetchToken(const std::string& realm, const std::string& service,
                                 const std::string& scope, const std::stop_token& stop);

  const OciClientOptions options_;
  HttpClient http_;
  std::mutex mutex_;
  std::map<std::string, std::string> authorizations_;  // by scope; at most a few
};

}  // namespace selvedge
