#include "registry/oci_client_core.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "base/backoff.h"
#include "registry/oci_challenge.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxScopes = 64;
constexpr std::uint64_t kMaxTokenAnswer = 256 * 1024;
constexpr std::chrono::minutes kMaxComingAgain{30};

HttpClientOptions WithLimits(HttpClientOptions options) {
  options.total_timeout = std::chrono::milliseconds(0);  // large files; stalls are watched for
  return options;
}

bool IsTransient(StatusCode code) {
  return code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded ||
         code == StatusCode::kAborted;
}

// False where it was stopped.
bool Pause(const std::stop_token& stop, Nanos time) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, std::chrono::nanoseconds(time), [] { return false; });
  return !stop.stop_requested();
}

bool IsLoopback(const std::string& url) {
  const std::string host = HostOfUrl(url);
  return host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("[::1]");
}

}  // namespace

OciClientCore::OciClientCore(OciClientOptions options)
    : options_([&] {
        while (options.url.ends_with('/')) options.url.pop_back();
        return std::move(options);
      }()),
      http_(WithLimits(options_.http)) {}

bool OciClientCore::Ours(const std::string& url) const {
  return url == options_.url || url.starts_with(options_.url + "/");
}

Result<std::string> OciClientCore::Locate(const HttpAnswer& answer) const {
  const std::string location(answer.Header("Location"));
  if (location.starts_with('/')) {
    const std::size_t scheme = options_.url.find("://");
    const std::size_t path = options_.url.find('/', scheme + 3);
    return options_.url.substr(0, path) + location;
  }
  if (location.starts_with("https://") || location.starts_with("http://")) return location;
  return Err(InternalError(HostOfUrl(options_.url) + " did not say where to upload to"));
}

Result<HttpAnswer> OciClientCore::Call(const std::string& repository, std::string_view actions,
                                       HttpCall call) {
  if (!options_.url.starts_with("https://") &&
      !(options_.url.starts_with("http://") && IsLoopback(options_.url))) {
    return Err(InvalidArgumentError("the registry " + options_.url +
                                    " must be https://, or http:// on this machine"));
  }
  const std::string scope =
      repository.empty() ? "" : "repository:" + repository + ":" + std::string(actions);
  const std::vector<std::pair<std::string, std::string>> headers = call.headers;
  for (int attempt = 0;; ++attempt) {
    call.headers = headers;
    if (Ours(call.url)) {
      const std::lock_guard lock(mutex_);
      if (const auto found = authorizations_.find(scope); found != authorizations_.end()) {
        call.headers.emplace_back("Authorization", found->second);
      } else if (!options_.token.empty()) {
        call.headers.emplace_back("Authorization", "Bearer " + options_.token);
      }
    }
    SELVEDGE_ASSIGN_OR_RETURN(HttpAnswer answer, http_.Call(call));
    if (answer.status != 401 || attempt > 0 || !Ours(answer.url)) return answer;
    SELVEDGE_ASSIGN_OR_RETURN(std::string authorization, LogIn(answer, scope, call.stop));
    if (authorization.empty()) return answer;
    const std::lock_guard lock(mutex_);
    if (authorizations_.size() >= kMaxScopes) authorizations_.clear();
    authorizations_[scope] = std::move(authorization);
  }
}

Result<HttpAnswer> OciClientCore::CallOk(const std::string& repository, std::string_view actions,
                                         HttpCall call) {
  SELVEDGE_ASSIGN_OR_RETURN(HttpAnswer answer, Call(repository, actions, std::move(call)));
  if (answer.status < 400) return answer;
  Status status = StatusOfAnswer(answer);
  if (answer.status == 503 && !answer.Header("Retry-After").empty()) {
    return Err(Status(StatusCode::kAborted, HostOfUrl(options_.url) + ": " + status.message()));
  }
  if (answer.status == 401) {
    return Err(UnauthenticatedError(
        status.message() + (options_.token.empty() && options_.user.empty()
                                ? "; give a token with --token-file or SELVEDGE_TOKEN"
                                : "; the token is not known there, or is no longer good")));
  }
  return Err(std::move(status));
}

Result<std::string> OciClientCore::LogIn(const HttpAnswer& answer, const std::string& scope,
                                         const std::stop_token& stop) {
  const auto challenge = ParseChallenge(answer.Header("WWW-Authenticate"));
  if (!challenge) return std::string();
  if (challenge->scheme == "basic") {
    if (!options_.user.empty()) return BasicAuthorization(options_.user, options_.password);
    if (!options_.token.empty()) return BasicAuthorization("selvedge", options_.token);
    return std::string();
  }
  const std::string realm = challenge->Value("realm");
  if (challenge->scheme != "bearer" || realm.empty()) return std::string();
  const std::string asked = challenge->Value("scope");
  return FetchToken(realm, challenge->Value("service"), asked.empty() ? scope : asked, stop);
}

Result<std::string> OciClientCore::FetchToken(const std::string& realm, const std::string& service,
                                              const std::string& scope,
                                              const std::stop_token& stop) {
  if (!realm.starts_with("https://") && !(realm.starts_with("http://") && IsLoopback(realm))) {
    return Err(PermissionDeniedError(HostOfUrl(options_.url) + " sends logins to " +
                                     HostOfUrl(realm) + " without TLS, which is not followed"));
  }
  HttpCall call;
  call.url = realm + (realm.find('?') == std::string::npos ? "?" : "&") +
             "service=" + PercentEncode(service) + "&scope=" + PercentEncode(scope);
  if (!options_.user.empty()) {
    call.headers.emplace_back("Authorization",
                              BasicAuthorization(options_.user, options_.password));
  }
  call.max_answer_bytes = kMaxTokenAnswer;
  call.total_timeout = std::chrono::seconds(30);
  call.stop = stop;
  SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer, http_.CallOk(call));
  const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"token", "access_token"}) {
    if (!json.is_object() || !json.contains(key) || !json[key].is_string()) continue;
    return "Bearer " + json[key].get<std::string>();
  }
  return Err(UnauthenticatedError(HostOfUrl(realm) + " gave no token"));
}

Status OciClientCore::WithRetries(std::stop_token stop,
                                  const std::function<Status(bool* progress)>& once) const {
  std::mt19937 random(std::random_device{}());
  Backoff backoff(200 * kMillisecond, 10 * kSecond,
                  [&] { return std::uniform_real_distribution<double>(0, 1)(random); });
  const auto begun = std::chrono::steady_clock::now();
  int failures = 0;
  for (;;) {
    bool progress = false;
    Status status = once(&progress);
    if (status.ok() || !IsTransient(status.code())) return status;
    if (stop.stop_requested()) return CancelledError("stopped: " + status.message());
    const bool come_again = status.code() == StatusCode::kAborted &&
                            std::chrono::steady_clock::now() - begun < kMaxComingAgain;
    if (progress) {
      failures = 0;
      backoff.Reset();
    } else if (!come_again && ++failures >= options_.tries) {
      return status;
    }
    if (!Pause(stop, backoff.Next())) return CancelledError("stopped: " + status.message());
  }
}

}  // namespace selvedge
