#include "cmd/demo/relay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>

namespace selvedge::demo {
namespace {

// Answers every byte with itself, for one connection after the other.
class EchoServer {
 public:
  EchoServer() : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 4), 0);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (int peer = accept(listener_, nullptr, nullptr); peer >= 0;
           peer = accept(listener_, nullptr, nullptr)) {
        char byte = 0;
        while (recv(peer, &byte, 1, 0) == 1 && send(peer, &byte, 1, MSG_NOSIGNAL) == 1) {
        }
        close(peer);
      }
    });
  }
  ~EchoServer() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  int port() const { return port_; }

 private:
  int listener_;
  int port_ = 0;
  std::thread thread_;
};

int Connect(int port) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  return socket_fd;
}

std::string Echoed(int socket_fd, const std::string& text) {
  if (send(socket_fd, text.data(), text.size(), MSG_NOSIGNAL) < 0) return "";
  std::string back(text.size(), '\0');
  const ssize_t got = recv(socket_fd, back.data(), back.size(), MSG_WAITALL);
  return back.substr(0, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
}

TEST(RelayTest, PassesBytesUntilItIsCutAndAgainAfterwards) {
  const EchoServer server;
  auto relay = Relay::Start(server.port());
  ASSERT_TRUE(relay.has_value()) << relay.error().message();
  const int first = Connect((*relay)->port());
  EXPECT_EQ(Echoed(first, "hello"), "hello");
  EXPECT_EQ((*relay)->bytes(), 10u);

  (*relay)->Cut();
  char byte = 0;
  EXPECT_LE(recv(first, &byte, 1, 0), 0);  // awaits the close
  close(first);
  const int during = Connect((*relay)->port());
  EXPECT_LE(recv(during, &byte, 1, 0), 0);
  close(during);

  (*relay)->Restore();
  const int after = Connect((*relay)->port());
  EXPECT_EQ(Echoed(after, "again"), "again");
  close(after);
}

TEST(RelayTest, EndsWithOpenConnections) {
  const EchoServer server;
  auto relay = Relay::Start(server.port());
  ASSERT_TRUE(relay.has_value());
  const int open = Connect((*relay)->port());
  EXPECT_EQ(Echoed(open, "x"), "x");
  relay->reset();
  char byte = 0;
  EXPECT_LE(recv(open, &byte, 1, 0), 0);
  close(open);
}

}  // namespace
}  // namespace selvedge::demo
