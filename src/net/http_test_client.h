#pragma once

// A bare socket for tests: sends any bytes, well-formed or not, and reads with a time limit. Test
// code only.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace selvedge {

class TestClient {
 public:
  static constexpr int kPatienceMillis = 10'000;

  explicit TestClient(int port, bool v6 = false) {
    fd_ = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in v4_address{};
    v4_address.sin_family = AF_INET;
    v4_address.sin_port = htons(static_cast<std::uint16_t>(port));
    v4_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sockaddr_in6 v6_address{};
    v6_address.sin6_family = AF_INET6;
    v6_address.sin6_port = v4_address.sin_port;
    v6_address.sin6_addr = in6addr_loopback;
    connected_ =
        v6 ? connect(fd_, reinterpret_cast<sockaddr*>(&v6_address), sizeof v6_address) == 0
           : connect(fd_, reinterpret_cast<sockaddr*>(&v4_address), sizeof v4_address) == 0;
  }
  TestClient(TestClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_) {}
  TestClient& operator=(TestClient&&) = delete;
  ~TestClient() { Close(); }

  bool connected() const { return connected_; }

  void Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;  // the server has closed: what it said is still read
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void Get(std::string_view path, std::string_view headers = "") {
    Send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(headers) +
         "\r\n");
  }

  // Up to and including `mark`; what came until then where the server closes or patience ends.
  std::string ReadUntil(std::string_view mark) {
    for (;;) {
      if (const std::size_t at = kept_.find(mark); at != std::string::npos) {
        std::string out = kept_.substr(0, at + mark.size());
        kept_.erase(0, at + mark.size());
        return out;
      }
      if (!Fill()) return std::exchange(kept_, {});
    }
  }
  std::string ReadBytes(std::size_t count) {
    while (kept_.size() < count && Fill()) {
    }
    std::string out = kept_.substr(0, count);
    kept_.erase(0, out.size());
    return out;
  }
  // Everything until the server closes. closed() tells whether it did.
  std::string ReadAll() {
    while (Fill()) {
    }
    return std::exchange(kept_, {});
  }
  // One response with a Content-Length: head and body.
  std::string ReadResponse() {
    std::string head = ReadUntil("\r\n\r\n");
    const std::size_t at = head.find("Content-Length: ");
    if (at == std::string::npos) return head;
    return head + ReadBytes(std::stoul(head.substr(at + 16)));
  }
  bool closed() const { return closed_; }

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd() const { return fd_; }

 private:
  bool Fill() {
    pollfd waiting{fd_, POLLIN, 0};
    if (fd_ < 0 || poll(&waiting, 1, kPatienceMillis) <= 0) return false;
    char block[16384];
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): polled before, and in tests only
    const ssize_t got = recv(fd_, block, sizeof block, 0);
    if (got <= 0) {
      closed_ = true;
      return false;
    }
    kept_.append(block, static_cast<std::size_t>(got));
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool closed_ = false;
  std::string kept_;
};

}  // namespace selvedge
