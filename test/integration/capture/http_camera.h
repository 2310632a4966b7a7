#pragma once

// HttpCamera: a tiny MJPEG-over-HTTP server for tests, one client at a time, that can misbehave.

#include <atomic>
#include <string>
#include <thread>

namespace selvedge {

class HttpCamera {
 public:
  struct Options {
    std::string jpeg;           // sent as every picture
    std::string authorization;  // the exact header value wanted, "Basic …"; empty: none
    int status = 200;           // the answer to everybody
    int pictures = 0;           // then the connection is closed; 0: endless
    bool silent = false;        // takes the request and says nothing
    bool stall = false;         // after `pictures`: keeps the connection and sends no more
  };
  explicit HttpCamera(Options options);
  ~HttpCamera();
  HttpCamera(const HttpCamera&) = delete;
  HttpCamera& operator=(const HttpCamera&) = delete;

  std::string Uri() const { return "http://127.0.0.1:" + std::to_string(port_) + "/video"; }
  int Connections() const { return connections_.load(); }

 private:
  void Serve();
  void Answer(int client);

  const Options options_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace selvedge
