#include "http_camera.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace selvedge {
namespace {

bool Send(int client, const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(client, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

// True while the peer is there; waits `milliseconds` for a sign that it is not.
bool StillThere(int client, int milliseconds) {
  pollfd poller{client, POLLIN | POLLRDHUP, 0};
  return poll(&poller, 1, milliseconds) == 0;
}

}  // namespace

HttpCamera::HttpCamera(Options options) : options_(std::move(options)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), length), 0);
  EXPECT_EQ(listen(listener_, 8), 0);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

HttpCamera::~HttpCamera() {
  stopping_.store(true);
  thread_.join();
  close(listener_);
}

void HttpCamera::Serve() {
  while (!stopping_.load()) {
    pollfd poller{listener_, POLLIN, 0};
    if (poll(&poller, 1, 10) <= 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) continue;
    ++connections_;
    Answer(client);
    close(client);
  }
}

void HttpCamera::Answer(int client) {
  std::string request;
  char buffer[2048];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const ssize_t n = recv(client, buffer, sizeof buffer, 0);
    if (n <= 0) return;
    request.append(buffer, static_cast<std::size_t>(n));
  }
  while (options_.silent && !stopping_.load() && StillThere(client, 10)) {
  }
  if (options_.silent) return;
  if (options_.status != 200) {
    Send(client, "HTTP/1.1 " + std::to_string(options_.status) +
                     " No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  if (!options_.authorization.empty() &&
      request.find("Authorization: " + options_.authorization + "\r\n") == std::string::npos) {
    Send(client,
         "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"camera\"\r\n"
         "Content-Length: 0\r\nConnection: close\r\n\r\n");
    return;
  }
  if (!Send(client,
            "HTTP/1.1 200 OK\r\nConnection: close\r\n"
            "Content-Type: multipart/x-mixed-replace; boundary=picture\r\n\r\n")) {
    return;
  }
  for (int i = 0; !stopping_.load() && (options_.pictures == 0 || i < options_.pictures); ++i) {
    const std::string part = "--picture\r\nContent-Type: image/jpeg\r\nContent-Length: " +
                             std::to_string(options_.jpeg.size()) + "\r\n\r\n" + options_.jpeg +
                             "\r\n";
    if (!Send(client, part) || !StillThere(client, 10)) return;
  }
  while (options_.stall && !stopping_.load() && StillThere(client, 10)) {
  }
}

}  // namespace selvedge
