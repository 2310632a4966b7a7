#include "net/tcp_meter.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace selvedge {
namespace {

struct Pair {
  int listener = -1;
  int client = -1;
  int server = -1;
  int port = 0;

  Pair() {
    listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener, any, size), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    getsockname(listener, any, &size);
    port = ntohs(address.sin_port);
    Connect();
  }
  void Connect() {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    client = socket(AF_INET, SOCK_STREAM, 0);
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    server = accept(listener, nullptr, nullptr);
  }
  void Disconnect() const {
    close(client);
    close(server);
  }
  void Send(std::size_t bytes) const {
    const std::string data(bytes, 'x');
    EXPECT_EQ(send(client, data.data(), bytes, 0), static_cast<ssize_t>(bytes));
    std::string back(bytes, '\0');
    EXPECT_EQ(recv(server, back.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
  }
  ~Pair() {
    Disconnect();
    close(listener);
  }
};

TEST(TcpMeterTest, CountsPayloadAndHeadersOfOnePort) {
  Pair pair;
  const Pair other;
  TcpMeter meter(pair.port);
  const Status asked = meter.Poll();
  if (asked.code() == StatusCode::kUnimplemented) GTEST_SKIP() << asked.message();
  ASSERT_TRUE(asked.ok()) << asked.message();
  const TcpMeter::Totals before = meter.totals();
  EXPECT_EQ(before.connections, 1u);
  pair.Send(10'000);
  other.Send(50'000);
  ASSERT_TRUE(meter.Poll().ok());
  const TcpMeter::Totals after = meter.totals();
  EXPECT_GE(after.sent - before.sent, 10'000u + 52);
  EXPECT_LE(after.sent - before.sent, 11'000u);
  EXPECT_LE(after.received - before.received, 1000u);  // acknowledgements only
}

TEST(TcpMeterTest, AddsUpOverConnections) {
  Pair pair;
  TcpMeter meter(pair.port);
  pair.Send(1000);
  const Status asked = meter.Poll();
  if (asked.code() == StatusCode::kUnimplemented) GTEST_SKIP() << asked.message();
  ASSERT_TRUE(asked.ok()) << asked.message();
  pair.Disconnect();
  ASSERT_TRUE(meter.Poll().ok());
  const std::uint64_t first = meter.totals().sent;
  pair.Connect();
  pair.Send(2000);
  ASSERT_TRUE(meter.Poll().ok());
  EXPECT_EQ(meter.totals().connections, 2u);
  EXPECT_GE(meter.totals().sent, first + 2000);
}

}  // namespace
}  // namespace selvedge
