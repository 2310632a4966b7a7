#include "net/http_curl.h"

#include <ctime>
#include <mutex>

namespace selvedge {
namespace {

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

std::string Part(CURLU* url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK || text == nullptr) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

Result<UrlParts> TakeApart(CURLU* url, const std::string& text) {
  const auto bad = [&](std::string_view why) {
    return Err(
        InvalidArgumentError("\"" + HostOfUrl(text) + "\" cannot be called: " + std::string(why)));
  };
  UrlParts parts;
  parts.scheme = Part(url, CURLUPART_SCHEME);
  if (parts.scheme != "http" && parts.scheme != "https") return bad("only http and https are");
  parts.host = Part(url, CURLUPART_HOST);
  if (parts.host.empty()) return bad("the URL names no host");
  parts.port = Part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  parts.path = Part(url, CURLUPART_PATH);
  if (parts.path.empty()) parts.path = "/";
  const std::string query = Part(url, CURLUPART_QUERY);
  if (!query.empty()) parts.path += "?" + query;
  curl_url_set(url, CURLUPART_USER, nullptr, 0);
  curl_url_set(url, CURLUPART_PASSWORD, nullptr, 0);
  curl_url_set(url, CURLUPART_FRAGMENT, nullptr, 0);
  parts.url = Part(url, CURLUPART_URL);
  return parts;
}

std::string WithHttpScheme(const std::string& url) {
  if (url.starts_with("ws://")) return "http://" + url.substr(5);
  if (url.starts_with("wss://")) return "https://" + url.substr(6);
  return url;
}

Result<UrlParts> ParseAgainst(const std::string* base, const std::string& text) {
  const std::unique_ptr<CURLU, CurlEnd> url(curl_url());
  if (!url) return Err(ResourceExhaustedError("out of memory for a URL"));
  const unsigned flags = CURLU_NON_SUPPORT_SCHEME;
  if (base != nullptr) curl_url_set(url.get(), CURLUPART_URL, base->c_str(), flags);
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), flags) != CURLUE_OK) {
    return Err(InvalidArgumentError("\"" + HostOfUrl(text) +
                                    "\" is no URL: it should read https://HOST:PORT/PATH"));
  }
  return TakeApart(url.get(), text);
}

void SetBlob(CURL* handle, CURLoption option, const std::string& pem) {
  curl_blob blob{const_cast<char*>(pem.data()), pem.size(), CURL_BLOB_COPY};
  curl_easy_setopt(handle, option, &blob);
}

}  // namespace

CurlHandle NewCurl() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  return CurlHandle(curl_easy_init());
}

Result<UrlParts> ParseUrl(const std::string& url) {
  return ParseAgainst(nullptr, WithHttpScheme(url));
}

Result<UrlParts> ResolveUrl(const std::string& base, const std::string& location) {
  return ParseAgainst(&base, location);
}

Status SetUpConnection(CURL* handle, const HttpClientTls& tls, const std::string& proxy,
                       const UrlParts& url, bool with_identity) {
  curl_easy_setopt(handle, CURLOPT_URL, url.url.c_str());
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(handle, CURLOPT_BUFFERSIZE, 64L * 1024);
  curl_easy_setopt(handle, CURLOPT_MAXCONNECTS, 2L);
  curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
  if (proxy == "none" || (proxy.empty() && IsLoopback(url.host))) {
    curl_easy_setopt(handle, CURLOPT_PROXY, "");
  } else if (!proxy.empty()) {
    curl_easy_setopt(handle, CURLOPT_PROXY, proxy.c_str());
    curl_easy_setopt(handle, CURLOPT_NOPROXY, "");
  }
  CURLcode safe = curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  if (safe == CURLE_OK) {
    safe = curl_easy_setopt(handle, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  }
  if (tls.insecure) {
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 0L);
  } else if (!tls.ca_file.empty() || !tls.ca_pem.empty()) {
    // The given CA alone: not beside the machine's folder of them, which curl has by default.
    if (safe == CURLE_OK) safe = curl_easy_setopt(handle, CURLOPT_CAPATH, nullptr);
    if (tls.ca_pem.empty()) {
      curl_easy_setopt(handle, CURLOPT_CAINFO, tls.ca_file.c_str());
    } else {
      curl_easy_setopt(handle, CURLOPT_CAINFO, nullptr);
      SetBlob(handle, CURLOPT_CAINFO_BLOB, tls.ca_pem);
    }
  }
  if (with_identity && !tls.certificate_file.empty()) {
    curl_easy_setopt(handle, CURLOPT_SSLCERT, tls.certificate_file.c_str());
    curl_easy_setopt(handle, CURLOPT_SSLKEY, tls.key_file.c_str());
  }
  if (safe == CURLE_OK) return OkStatus();
  return UnimplementedError("this machine's libcurl (" +
                            std::string(curl_version_info(CURLVERSION_NOW)->version) +
                            ") is too old: install 7.85 or newer");
}

Status CurlError(CURLcode code, const char* detail, const UrlParts& url) {
  const std::string host = url.authority();
  const std::string why =
      detail != nullptr && *detail != '\0' ? std::string(detail) : curl_easy_strerror(code);
  // With TLS 1.3 a server's verdict on a client's certificate comes with the first read.
  const bool refused_us =
      why.find("alert") != std::string::npos &&
      (why.find("certificate") != std::string::npos || why.find("unknown ca") != std::string::npos);
  if (refused_us) {
    return UnauthenticatedError(host + " does not accept this machine's certificate: " + why);
  }
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return UnavailableError("cannot find " + url.host +
                              ": no address for that name; check it, and this machine's DNS");
    case CURLE_COULDNT_RESOLVE_PROXY:
      return UnavailableError("cannot reach " + host +
                              ": no address for the proxy's name; check the proxy setting");
    case CURLE_COULDNT_CONNECT:
      return UnavailableError("cannot connect to " + host + ": " + why +
                              "; is it running, and reachable from here?");
    case CURLE_OPERATION_TIMEDOUT:
      return DeadlineExceededError("no answer from " + host + " in time: " + why);
    case CURLE_PEER_FAILED_VERIFICATION:
      return UnauthenticatedError("the certificate of " + host + " is not to be trusted: " + why +
                                  "; check the CA that was given, and the host's name");
    case CURLE_SSL_CONNECT_ERROR:
      return UnavailableError("no TLS connection to " + host + ": " + why);
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
      return InvalidArgumentError("cannot use a certificate or key for " + host + ": " + why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return InvalidArgumentError("\"" + host + "\" cannot be called: " + why);
    case CURLE_OUT_OF_MEMORY:
      return ResourceExhaustedError("out of memory while talking to " + host);
    case CURLE_ABORTED_BY_CALLBACK: return CancelledError("the call to " + host + " was cancelled");
    default: return UnavailableError("the connection to " + host + " failed: " + why);
  }
}

SigpipeGuard::SigpipeGuard() {
  sigset_t pending;
  sigpending(&pending);
  was_pending_ = sigismember(&pending, SIGPIPE) == 1;
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, &previous_);
}

SigpipeGuard::~SigpipeGuard() {
  if (!was_pending_) {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const timespec now{};
    while (sigtimedwait(&pipe, nullptr, &now) == SIGPIPE) {
    }
  }
  pthread_sigmask(SIG_SETMASK, &previous_, nullptr);
}

}  // namespace selvedge
