#pragma once

// Registries for tests: ours on a port of its own, and one that misbehaves as told. Test code only.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/http_file.h"
#include "net/http_server.h"
#include "registry/content_store.h"
#include "registry/mirror.h"
#include "registry/oci_client.h"
#include "registry/oci_server.h"
#include "registry/oci_server_core.h"
#include "registry/registry_test_util.h"

namespace selvedge {

inline constexpr const char* kPushToken = "token-that-may-push";
inline constexpr const char* kPullToken = "token-that-may-pull";

// Until it holds, at most half a minute.
inline bool Await(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// An OciServer over plain HTTP on loopback, which can be away for a while.
class TestRegistry {
 public:
  explicit TestRegistry(const std::string& folder, const ContentStoreOptions& options = {}) {
    auto store = ContentStore::Open(folder, options);
    EXPECT_TRUE(store.has_value()) << store.error().ToString();
    store_ = *std::move(store);
  }
  ~TestRegistry() { Stop(); }
  TestRegistry(const TestRegistry&) = delete;
  TestRegistry& operator=(const TestRegistry&) = delete;

  // On the same port as before, if it was there before.
  void Start(Mirror* mirror = nullptr) {
    oci_ = std::make_unique<OciServer>(
        store_.get(),
        OciServerOptions{.authorize = &Authorize,
                         .mirror = mirror,
                         .on_pushed = [this](auto repository, auto tag, auto) {
                           const std::lock_guard lock(mutex_);
                           pushed_.push_back(std::string(repository) + ":" + std::string(tag));
                         }});
    HttpServerOptions options;
    options.port = port_;
    options.worker_threads = 4;
    server_ = std::make_unique<HttpServer>(options);
    oci_->Register(server_.get());
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
    port_ = server_->port();
  }
  void Stop() {
    if (server_ != nullptr) server_->Stop();
    server_.reset();
  }

  int port() const { return port_; }
  std::string url() const { return "http://localhost:" + std::to_string(port_); }
  ContentStore& store() { return *store_; }
  OciServer& oci() { return *oci_; }
  std::vector<std::string> pushed() {
    const std::lock_guard lock(mutex_);
    return pushed_;
  }
  OciClientOptions ClientOptions(const std::string& token = kPushToken) const {
    OciClientOptions options;
    options.url = url();
    options.token = token;
    options.tries = 2;
    return options;
  }
  // An image of one layer; returns the manifest's digest.
  std::string AddImage(const std::string& repository, const std::string& tag,
                       const std::string& layer) {
    EXPECT_TRUE(store_->Add(repository, "config").has_value());
    EXPECT_TRUE(store_->Add(repository, layer).has_value());
    const auto put = store_->PutManifest(repository, tag, kManifestType,
                                         ManifestOf(Describe("config"), {Describe(layer)}));
    EXPECT_TRUE(put.has_value()) << put.error().ToString();
    return put ? put->digest : "";
  }

 private:
  static Status Authorize(const OciCaller& caller, OciAction action, std::string_view) {
    if (caller.token == kPushToken) return OkStatus();
    if (caller.token != kPullToken) return UnauthenticatedError("log in with a token");
    return action == OciAction::kPull || action == OciAction::kList
               ? OkStatus()
               : PermissionDeniedError("this token may pull, not push or delete");
  }

  std::unique_ptr<ContentStore> store_;
  std::unique_ptr<OciServer> oci_;
  std::unique_ptr<HttpServer> server_;
  int port_ = 0;
  std::mutex mutex_;
  std::vector<std::string> pushed_;
};

// Answers as it is told; what it was asked is in `seen`. Blobs of any repository.
class FakeRegistry {
 public:
  struct Ways {
    std::uint64_t cut_after = 0;  // an answer with a blob ends after so many bytes, `cuts` times
    int cuts = 0;
    bool ignore_ranges = false;
    bool silent = false;             // never answers with a blob
    std::string redirect_to;         // blobs are there: "http://HOST:PORT"
    std::string challenge;           // asks everybody who does not send `want` to log in
    std::string want;                // Authorization
    std::uint64_t take_at_once = 0;  // of a PATCH; then it fails; 0: all
  };

  explicit FakeRegistry(std::string folder) : folder_(std::move(folder)) { Start(); }
  ~FakeRegistry() {
    server_->Stop();
    const std::lock_guard lock(mutex_);
    kept_.clear();
  }
  FakeRegistry(const FakeRegistry&) = delete;
  FakeRegistry& operator=(const FakeRegistry&) = delete;

  std::string url() const { return "http://localhost:" + std::to_string(server_->port()); }
  OciClientOptions ClientOptions() const {
    OciClientOptions options;
    options.url = url();
    options.tries = 3;
    return options;
  }
  // What it gives where `digest` is asked for.
  void Put(const std::string& digest, const std::string& content) {
    const std::lock_guard lock(mutex_);
    blobs_[digest] = content;
  }
  void Set(const Ways& ways) {
    const std::lock_guard lock(mutex_);
    ways_ = ways;
  }
  // "GET /v2/a/blobs/… [Range] [Authorization]"
  std::vector<std::string> seen() {
    const std::lock_guard lock(mutex_);
    return seen_;
  }
  std::string uploaded() {
    const std::lock_guard lock(mutex_);
    return upload_;
  }

 private:
  class Sink : public HttpBodySink {
   public:
    explicit Sink(FakeRegistry* registry) : registry_(*registry) {}
    Status Write(std::string_view bytes) override {
      const std::lock_guard lock(registry_.mutex_);
      const std::uint64_t limit = registry_.ways_.take_at_once;
      if (limit > 0 && taken_ + bytes.size() > limit) {
        registry_.upload_.append(bytes.substr(0, limit - taken_));
        registry_.ways_.take_at_once = 0;
        return UnavailableError("the line was cut");
      }
      registry_.upload_.append(bytes);
      taken_ += bytes.size();
      return OkStatus();
    }
    void Finish(const Status& status, HttpReply reply) override {
      reply(registry_.Uploaded(status.ok() ? 202 : 503));
    }
    void Abort() override {}

   private:
    FakeRegistry& registry_;
    std::uint64_t taken_ = 0;
  };

  void Start();
  HttpResponse Uploaded(int status) {
    HttpResponse response;
    response.status = status;
    response.headers = {{"Location", "/v2/a/blobs/uploads/1"},
                        {"Range", "0-" + std::to_string(upload_.empty() ? 0 : upload_.size() - 1)}};
    return response;
  }
  bool Challenged(const HttpRequest& request, HttpResponse* response) {
    seen_.push_back(request.method + " " + request.path + " [" +
                    std::string(request.Header("Range")) +
                    std::string(request.Header("Content-Range")) + "] [" +
                    std::string(request.Header("Authorization")) + "]");
    if (ways_.challenge.empty() || request.Header("Authorization") == ways_.want) return false;
    response->status = 401;
    response->headers = {{"WWW-Authenticate", ways_.challenge}};
    return true;
  }
  HttpResponse Blob(const HttpRequest& request, const std::string& content);
  void Get(const HttpRequest& request, const HttpReply& reply);
  HttpUpload Send(const HttpRequest& request);

  const std::string folder_;
  std::unique_ptr<HttpServer> server_;
  std::mutex mutex_;
  Ways ways_;
  std::map<std::string, std::string> blobs_;
  std::string upload_;
  std::vector<std::string> seen_;
  std::vector<HttpReply> kept_;
};

inline void FakeRegistry::Start() {
  HttpServerOptions options;
  options.port = 0;
  options.worker_threads = 2;
  server_ = std::make_unique<HttpServer>(options);
  server_->HandlePrefix(
      "GET", "/",
      [this](const HttpRequest& request, const HttpReply& reply) { Get(request, reply); },
      {.reply_timeout = std::chrono::minutes(2)});
  for (const char* method : {"POST", "PATCH", "PUT"}) {
    server_->HandleUpload(method, "/",
                          [this](const HttpRequest& request) { return Send(request); });
  }
  const Status status = server_->Start();
  EXPECT_TRUE(status.ok()) << status.ToString();
}

// A file that is shorter than what is promised ends the connection there.
inline HttpResponse FakeRegistry::Blob(const HttpRequest& request, const std::string& content) {
  const bool cut = ways_.cuts > 0;
  ways_.cuts -= cut ? 1 : 0;
  const std::string path = folder_ + "/blob-" + std::to_string(seen_.size());
  std::ofstream(path, std::ios::binary)
      << content.substr(0, cut ? ways_.cut_after : content.size());
  const auto file = HttpFile::Open(path);
  HttpResponse response;
  response.content_type = "application/octet-stream";
  response.file = *file;
  response.file_length = content.size();
  const auto range = ParseRange(request.Header("Range"), content.size());
  if (!ways_.ignore_ranges && range && *range) {
    response.status = 206;
    response.file_offset = (*range)->offset;
    response.file_length = (*range)->length;
    response.headers = {{"Content-Range", "bytes " + std::to_string((*range)->offset) + "-" +
                                              std::to_string(content.size() - 1) + "/" +
                                              std::to_string(content.size())}};
  }
  return response;
}

inline void FakeRegistry::Get(const HttpRequest& request, const HttpReply& reply) {
  const std::lock_guard lock(mutex_);
  HttpResponse response;
  if (request.path == "/token") {
    seen_.push_back("GET /token?" + request.query + " [" +
                    std::string(request.Header("Authorization")) + "]");
    response.body = R"({"token": "made-for-you"})";
    return reply(response);
  }
  if (Challenged(request, &response)) return reply(response);
  if (request.path == "/v2/") return reply(response);
  if (request.path == "/v2/a/blobs/uploads/1") return reply(Uploaded(204));
  const auto found = blobs_.find(request.path.substr(request.path.rfind('/') + 1));
  if (found == blobs_.end()) return reply(OciError(404, "BLOB_UNKNOWN", "there is no such blob"));
  if (ways_.silent) {
    kept_.push_back(reply);
    return;
  }
  if (!ways_.redirect_to.empty()) {
    response.status = 307;
    response.headers = {{"Location", ways_.redirect_to + request.path}};
    return reply(response);
  }
  reply(Blob(request, found->second));
}

inline HttpUpload FakeRegistry::Send(const HttpRequest& request) {
  const std::lock_guard lock(mutex_);
  HttpResponse response;
  if (Challenged(request, &response)) return response;
  if (request.method == "POST") return Uploaded(202);
  if (request.method == "PATCH") return std::make_unique<Sink>(this);
  response.status = 201;
  return response;
}

}  // namespace selvedge
