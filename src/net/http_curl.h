#pragma once

// What HttpClient and WebSocketClient share of curl. Internal to net/.

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http_client.h"

namespace selvedge {

struct CurlEnd {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using CurlHandle = std::unique_ptr<CURL, CurlEnd>;
using CurlList = std::unique_ptr<curl_slist, CurlEnd>;

// Null where memory is out. Sets curl up on first use.
CurlHandle NewCurl();

// Parts of an http, https, ws or wss URL, the latter two as the former.
struct UrlParts {
  std::string url;  // whole, without user, password and fragment
  std::string scheme;
  std::string host;
  std::string port;  // also where the URL names none
  std::string path;  // with the query
  std::string authority() const { return host + ":" + port; }
};
Result<UrlParts> ParseUrl(const std::string& url);
// Where `location`, of an answer from `base`, points.
Result<UrlParts> ResolveUrl(const std::string& base, const std::string& location);

// TLS and proxy. `with_identity`: shows the client's certificate too. Strings must outlive the
// transfer. Unimplemented where this curl lacks an option that matters for safety.
Status SetUpConnection(CURL* handle, const HttpClientTls& tls, const std::string& proxy,
                       const UrlParts& url, bool with_identity);

// One sentence for a transfer that failed.
Status CurlError(CURLcode code, const char* detail, const UrlParts& url);

// A peer that goes while OpenSSL writes raises SIGPIPE, which would end the process: while one of
// these lives it cannot reach this thread.
class SigpipeGuard {
 public:
  SigpipeGuard();
  ~SigpipeGuard();
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

 private:
  sigset_t previous_;
  bool was_pending_ = false;
};

}  // namespace selvedge
