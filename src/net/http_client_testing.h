#pragma once

// A server with a route for everything that the tests of HttpClient ask for. Test code only.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "net/http_server.h"

namespace selvedge {

inline StatusCode CodeOf(const Result<HttpAnswer>& answer) {
  return answer ? StatusCode::kOk : answer.error().code();
}

class HttpClientTest : public ::testing::Test {
 protected:
  HttpClientTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("selvedge-client-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~HttpClientTest() override {
    for (auto& server : servers_) server->Stop();
    std::filesystem::remove_all(folder_);
  }

  // A server with the routes of these tests.
  HttpServer& NewServer(HttpServerOptions options = {}) {
    options.port = 0;
    options.worker_threads = 2;
    servers_.push_back(std::make_unique<HttpServer>(std::move(options)));
    HttpServer& server = *servers_.back();
    const auto echo = [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.body = request.method + " " + request.path + "?" + request.query + " [" +
                      std::string(request.Header("Authorization")) + "] [" +
                      std::string(request.Header("X-Mine")) + "] " +
                      std::string(request.Header("Content-Type")) + " " + request.body;
      response.headers.emplace_back("X-Peer", request.peer_name);
      response.headers.emplace_back("X-Fingerprint", request.peer_fingerprint);
      reply(response);
    };
    for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
      server.HandlePrefix(method, "/echo", echo);
    }
    server.HandlePrefix("GET", "/status/", [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.status = std::stoi(request.path.substr(8));
      response.body = request.query;
      reply(response);
    });
    const auto redirect = [](const HttpRequest& request, HttpReply reply) {
      HttpResponse response;
      response.status = std::stoi(request.path.substr(10));
      response.headers.emplace_back("Location", QueryValue(request.query, "to"));
      response.body = "moved";
      reply(response);
    };
    server.HandlePrefix("GET", "/redirect/", redirect);
    server.HandlePrefix("POST", "/redirect/", redirect);
    server.HandlePrefix("GET", "/file/", [this](const HttpRequest& request, HttpReply reply) {
      const auto file = HttpFile::Open((folder_ / request.path.substr(6)).string());
      reply(file ? AnswerWithFile(request, *file, "application/octet-stream")
                 : HttpJsonError(file.error()));
    });
    server.Handle("GET", "/whole", [](const HttpRequest&) {
      HttpResponse response;
      response.body = "0123456789";
      return response;
    });
    server.HandleUpload("PUT", "/up/", [](const HttpRequest& request) -> HttpUpload {
      if (request.path == "/up/no") return HttpJsonError(PermissionDeniedError("not for you"));
      return CollectBody(10'000'000, [](const std::string& body, HttpReply reply) {
        HttpResponse response;
        response.body = std::to_string(body.size()) + " " + body.substr(0, 10);
        reply(response);
      });
    });
    server.HandleLater("GET", "/never", [this](const HttpRequest&, HttpReply reply) {
      const std::lock_guard lock(mutex_);
      kept_.push_back(std::move(reply));
    });
    const Status status = server.Start();
    EXPECT_TRUE(status.ok()) << status.ToString();
    return server;
  }
  static std::string Url(const HttpServer& server, const std::string& path,
                         const std::string& host = "localhost") {
    const std::string scheme = server.url().substr(0, server.url().find(':'));
    return scheme + "://" + host + ":" + std::to_string(server.port()) + path;
  }
  std::string File(const std::string& name, const std::string& content) {
    const std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  std::string Content(const std::string& name) {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const std::filesystem::path folder_;
  std::mutex mutex_;
  std::vector<HttpReply> kept_;
  std::vector<std::unique_ptr<HttpServer>> servers_;
  HttpClient client_;
};

}  // namespace selvedge
