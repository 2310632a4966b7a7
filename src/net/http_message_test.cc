#include "net/http_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(HttpMessageTest, PercentDecodes) {
  EXPECT_EQ(PercentDecode("/a%20b%2Fc"), "/a b/c");
  EXPECT_EQ(PercentDecode(""), "");
  for (const char* bad : {"%", "%4", "%zz", "a%0", "%00", "%-1"}) {
    EXPECT_EQ(PercentDecode(bad), std::nullopt) << bad;
  }
}

TEST(HttpMessageTest, ParsesTargets) {
  const auto plain = ParseTarget("/a%20b?x=1?2");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->path, "/a b");
  EXPECT_EQ(plain->query, "x=1?2");
  EXPECT_EQ(plain->host, "");

  const auto absolute = ParseTarget("HTTP://evil.example:80/x");
  ASSERT_TRUE(absolute);
  EXPECT_EQ(absolute->path, "/x");
  EXPECT_EQ(absolute->host, "evil.example:80");
  EXPECT_EQ(ParseTarget("http://h?q")->path, "/");
  EXPECT_EQ(ParseTarget("http://h?q")->query, "q");

  for (const char* bad : {"", "*", "a/b", "ftp://h/", "http://", "http:///x", "/%", "?q"}) {
    EXPECT_FALSE(ParseTarget(bad)) << bad;
  }
}

TEST(HttpMessageTest, KeepsForeignNamesOut) {
  struct Case {
    const char* host;
    bool allowed;
  };
  const Case cases[] = {
      {"localhost", true},
      {"LOCALHOST:8090", true},
      {"localhost.", true},
      {"127.0.0.1:8090", true},
      {"[::1]:8090", true},
      {"[::1]", true},
      {"192.168.7.20:80", true},
      {"camera-7", true},
      {"Camera-7.local:80", true},
      {"proxy.example", true},
      {"PROXY.example:443", true},
      {"evil.example", false},
      {"localhost.evil", false},
      {"127.0.0.1.evil", false},
      {"127.0.0.1:80@evil", false},
      {"", false},
      {":80", false},
      {"[::1", false},
      {"[::1]evil:80", false},
      {"[localhost]x", false},
      {"camera-7.local.evil", false},
      {"0x7f000001", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(HostAllowed(c.host, "camera-7", {"proxy.example"}), c.allowed) << c.host;
  }
  EXPECT_TRUE(HostAllowed("evil.example", "", {"*"}));
  EXPECT_FALSE(HostAllowed("x", "", {}));
}

TEST(HttpMessageTest, WritesHeads) {
  HttpResponse response;
  response.status = 404;
  response.headers = {{"X-One", "1"}, {"X-Split", "a\r\nSet-Cookie: b"}, {"Bad\nName", "c"}};
  const std::string head = ResponseHead(response, 7, true);
  EXPECT_TRUE(head.starts_with("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_TRUE(head.ends_with("\r\n\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Length: 7\r\n"));
  EXPECT_THAT(head, HasSubstr("Connection: keep-alive\r\n"));
  EXPECT_THAT(head, HasSubstr("X-One: 1\r\n"));
  EXPECT_THAT(head, HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(head, HasSubstr("Cache-Control: no-store\r\n"));
  EXPECT_THAT(head, HasSubstr(" GMT\r\n"));
  EXPECT_THAT(head, Not(HasSubstr("Set-Cookie")));
  EXPECT_THAT(head, Not(HasSubstr("Name")));

  response.headers = {{"cache-control", "max-age=60"}};
  EXPECT_THAT(ResponseHead(response, -1, false), Not(HasSubstr("no-store")));
  EXPECT_THAT(ResponseHead(response, -1, false), Not(HasSubstr("Content-Length")));
  response.status = 204;
  EXPECT_THAT(ResponseHead(response, 0, false),
              AllOf(Not(HasSubstr("Content-Length: ")), Not(HasSubstr("\nContent-Type: "))));
}

TEST(HttpMessageTest, FindsQueryValues) {
  EXPECT_EQ(QueryValue("a=1&b=x%20y+z&c", "b"), "x y z");
  EXPECT_EQ(QueryValue("a=1&b=2", "a"), "1");
  EXPECT_EQ(QueryValue("a=1&a=2", "a"), "1");
  EXPECT_EQ(QueryValue("c", "c"), "");
  EXPECT_EQ(QueryValue("", "a"), "");
  EXPECT_EQ(QueryValue("&&=&a=%zz", "a"), "");
}

TEST(HttpMessageTest, FindsHeadersInAnyCase) {
  HttpRequest request;
  request.headers = {{"Accept", "text/plain"}, {"ACCEPT", "second"}};
  EXPECT_EQ(request.Header("accept"), "text/plain");
  EXPECT_EQ(request.Header("host"), "");
}

}  // namespace
}  // namespace selvedge
