#include "net/free_port.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace selvedge {
namespace {

TEST(FreePortTest, APortIsFreeUntilSomebodyListens) {
  const auto port = FindFreePort("127.0.0.1");
  ASSERT_TRUE(port.has_value());
  EXPECT_EQ(CheckPort("127.0.0.1", *port), OkStatus());
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(*port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  const Status taken = CheckPort("127.0.0.1", *port);
  EXPECT_EQ(taken.code(), StatusCode::kUnavailable);
  EXPECT_THAT(taken.message(), testing::HasSubstr("port " + std::to_string(*port)));
  EXPECT_THAT(taken.message(), testing::HasSubstr("taken by another program"));
  EXPECT_EQ(CheckPort("0.0.0.0", *port).code(), StatusCode::kUnavailable);
  close(listener);
  EXPECT_EQ(CheckPort("127.0.0.1", *port), OkStatus());
}

TEST(FreePortTest, AnAddressOfAnotherMachineIsToldAsSuch) {
  const Status status = CheckPort("203.0.113.1", 8883);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(status.message(), testing::HasSubstr("203.0.113.1"));
}

}  // namespace
}  // namespace selvedge
