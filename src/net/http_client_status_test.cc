// What an answer means.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/http_client.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

HttpAnswer Answered(int status, std::string body, const std::string& type = "application/json") {
  HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  answer.url = "https://user:pw@host:8443/x";
  answer.headers = {{"Content-Type", type}};
  return answer;
}

TEST(StatusOfAnswerTest, TakesTheMessageOfTheBody) {
  EXPECT_TRUE(StatusOfAnswer(Answered(204, "")).ok());
  EXPECT_EQ(StatusOfAnswer(Answered(404, R"({"error":{"code":"NOT_FOUND","message":"no x"}})")),
            NotFoundError("host:8443: no x"));
  EXPECT_EQ(
      StatusOfAnswer(Answered(409, R"({"error":{"code":"FAILED_PRECONDITION","message":"m"}})")),
      FailedPreconditionError("host:8443: m"));
  EXPECT_EQ(StatusOfAnswer(Answered(401, R"({"errors":[{"code":"X","message":"who?"}]})")),
            UnauthenticatedError("host:8443: who?"));
  EXPECT_EQ(StatusOfAnswer(Answered(503, "too busy\nmore\n", "text/plain; charset=utf-8")),
            UnavailableError("host:8443: too busy"));
  EXPECT_EQ(StatusOfAnswer(Answered(502, "<html>", "text/html")),
            UnavailableError("host:8443 answered 502 (Bad Gateway)"));
}

TEST(StatusOfAnswerTest, BelievesNothingAboutTheBody) {
  for (const char* body : {"", "null", "[]", "{\"error\":1}", "{\"errors\":[]}", "{\"errors\":[1]}",
                           "{\"error\":{\"message\":{}}}", "{\"error\":", "\xff\xfe"}) {
    const Status status = StatusOfAnswer(Answered(500, body));
    EXPECT_EQ(status.message(), "host:8443 answered 500 (Internal Server Error)") << body;
  }
  const std::string wild =
      R"({"error":{"message":"a\nb\u001b[31m)" + std::string(5000, 'x') + "\"}}";
  const Status status = StatusOfAnswer(Answered(400, wild));
  EXPECT_THAT(status.message(), HasSubstr("a b [31m"));
  EXPECT_LT(status.message().size(), 600U);
}

TEST(PercentEncodeTest, EscapesAllButTheUnreserved) {
  EXPECT_EQ(PercentEncode("a-Z_0.~"), "a-Z_0.~");
  EXPECT_EQ(PercentEncode("a b/ä"), "a%20b%2F%C3%A4");
  EXPECT_EQ(HostOfUrl("https://u:p@h:1/x?y@z"), "h:1");
}

}  // namespace
}  // namespace selvedge
