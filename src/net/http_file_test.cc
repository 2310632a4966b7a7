#include "net/http_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "net/http_server.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;

std::string Show(std::string_view header, std::uint64_t size) {
  const auto range = ParseRange(header, size);
  if (!range) return std::string(StatusCodeName(range.error().code()));
  if (!*range) return "all";
  return std::to_string((*range)->offset) + "+" + std::to_string((*range)->length);
}

TEST(ParseRange, MeansWhatTheRfcSays) {
  struct Case {
    const char* header;
    std::uint64_t size;
    const char* expected;
  };
  const Case cases[] = {
      {"bytes=0-99", 1000, "0+100"},
      {"bytes=0-0", 1000, "0+1"},
      {"bytes=999-", 1000, "999+1"},
      {"bytes=500-5000", 1000, "500+500"},
      {"bytes=-1", 1000, "999+1"},
      {"bytes=-5000", 1000, "0+1000"},
      {"bytes= 1 - 2 ", 1000, "1+2"},
      {"bytes=18446744073709551615-", 1000, "OUT_OF_RANGE"},
      {"bytes=0-18446744073709551615", 1000, "0+1000"},
      {"bytes=1000-", 1000, "OUT_OF_RANGE"},
      {"bytes=-0", 1000, "OUT_OF_RANGE"},
      {"bytes=0-", 0, "OUT_OF_RANGE"},
      {"bytes=-1", 0, "OUT_OF_RANGE"},
      {"", 1000, "all"},
      {"bytes=", 1000, "all"},
      {"bytes=-", 1000, "all"},
      {"bytes=5-4", 1000, "all"},
      {"bytes=0-1,3-4", 1000, "all"},
      {"bytes=a-b", 1000, "all"},
      {"bytes=1-b", 1000, "all"},
      {"bytes=+1-2", 1000, "all"},
      {"bytes=18446744073709551616-", 1000, "all"},
      {"items=0-1", 1000, "all"},
      {"Bytes=0-1", 1000, "all"},
  };
  for (const Case& c : cases) EXPECT_EQ(Show(c.header, c.size), c.expected) << c.header;
}

class AnswerWithFileTest : public ::testing::Test {
 protected:
  AnswerWithFileTest()
      : path_(std::filesystem::temp_directory_path() /
              ("selvedge-http-file-" + std::to_string(getpid()))) {
    std::ofstream(path_) << "0123456789";
  }
  ~AnswerWithFileTest() override { std::filesystem::remove(path_); }
  HttpResponse Answer(HttpHeaders headers) {
    HttpRequest request;
    request.headers = std::move(headers);
    const auto file = HttpFile::Open(path_.string());
    EXPECT_TRUE(file.has_value());
    return AnswerWithFile(request, *file, "text/plain", "\"v1\"");
  }
  static std::string Header(const HttpResponse& response, std::string_view name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return {};
  }
  const std::filesystem::path path_;
};

TEST_F(AnswerWithFileTest, GivesAllOrTheRangeAsked) {
  HttpResponse all = Answer({});
  EXPECT_EQ(all.status, 200);
  EXPECT_EQ(all.file_length, 10U);
  EXPECT_EQ(Header(all, "Accept-Ranges"), "bytes");
  HttpResponse part = Answer({{"Range", "bytes=4-"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.file_offset, 4U);
  EXPECT_EQ(part.file_length, 6U);
  EXPECT_EQ(Header(part, "Content-Range"), "bytes 4-9/10");
  char bytes[10];
  EXPECT_EQ(part.file->ReadAt(part.file_offset, bytes, 10).value(), 6U);
  EXPECT_EQ(std::string(bytes, 6), "456789");
  HttpResponse none = Answer({{"Range", "bytes=10-"}});
  EXPECT_EQ(none.status, 416);
  EXPECT_EQ(Header(none, "Content-Range"), "bytes */10");
  EXPECT_EQ(none.file, nullptr);
}

TEST_F(AnswerWithFileTest, HonoursConditions) {
  EXPECT_EQ(Answer({{"If-None-Match", "\"v0\", W/\"v1\""}}).status, 304);
  EXPECT_EQ(Answer({{"If-None-Match", "*"}}).status, 304);
  EXPECT_EQ(Answer({{"If-None-Match", "\"v0\""}}).status, 200);
  EXPECT_EQ(Answer({{"Range", "bytes=4-"}, {"If-Range", "\"v1\""}}).status, 206);
  EXPECT_EQ(Answer({{"Range", "bytes=4-"}, {"If-Range", "\"v0\""}}).status, 200);
}

TEST(HttpFileTest, SaysWhatIsWrongWithAPath) {
  const auto missing = HttpFile::Open("/nonexistent/file");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.error().message(), HasSubstr("/nonexistent/file"));
  const auto folder = HttpFile::Open("/");
  ASSERT_FALSE(folder.has_value());
  EXPECT_EQ(folder.error().code(), StatusCode::kInvalidArgument);
}

TEST(HttpJsonErrorTest, HasTheShapeOfOurApis) {
  const HttpResponse response = HttpJsonError(NotFoundError("no device \"x\xff\""));
  EXPECT_EQ(response.status, 404);
  EXPECT_EQ(response.content_type, "application/json");
  EXPECT_EQ(
      response.body,
      "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"no device \\\"x\xEF\xBF\xBD\\\"\"}}\n");
}

}  // namespace
}  // namespace selvedge
