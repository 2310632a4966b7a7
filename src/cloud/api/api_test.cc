#include "cloud/api/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cloud/api/embedded_files.h"

// What the API answers is proved by test/integration/cloud, with real servers and clients.

namespace selvedge {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

TEST(OpenApi, DescribesEveryRouteAndNoOther) {
  const json description = json::parse(Api::Description(), nullptr, false);
  ASSERT_TRUE(description.is_object());
  EXPECT_EQ(description["openapi"], "3.1.0");
  std::set<std::string> described;
  for (const auto& [path, operations] : description["paths"].items()) {
    for (const auto& [method, operation] : operations.items()) {
      std::string name = method;
      described.insert(name.append(" ").append(path));
    }
  }
  std::set<std::string> served = {"get /stream"};
  for (const ApiRoute& route : Api::Routes()) {
    served.insert(Lower(route.method) + " " + std::string(route.path));
  }
  EXPECT_EQ(described, served);
}

TEST(OpenApi, SaysWhichRoleEachRouteTakes) {
  const json description = json::parse(Api::Description(), nullptr, false);
  for (const ApiRoute& route : Api::Routes()) {
    const json& operation = description["paths"][std::string(route.path)][Lower(route.method)];
    const char* const names[] = {"", "viewer", "operator", "admin"};
    EXPECT_EQ(operation.value("x-selvedge-role", ""), names[static_cast<int>(route.role)])
        << route.method << " " << route.path;
    EXPECT_EQ(operation["security"].empty(), route.role == UserRole::kNone);
  }
}

TEST(OpenApi, EveryReferenceIsThere) {
  const json description = json::parse(Api::Description(), nullptr, false);
  const json flat = description.flatten();
  int references = 0;
  for (const auto& [key, value] : flat.items()) {
    if (!key.ends_with("/$ref")) continue;
    ++references;
    const std::string target = std::string(value).substr(1);
    EXPECT_TRUE(description.contains(json::json_pointer(target))) << target;
  }
  EXPECT_GT(references, 20);
}

TEST(Dashboard, ItsPageRunsNothingButItsOwnFiles) {
  const HttpResponse page = AnswerWithDashboard({.method = "GET", .path = "/"});
  ASSERT_EQ(page.status, 200);
  EXPECT_THAT(page.body, HasSubstr("<div id=\"app\">"));
  std::string policy;
  for (const auto& [name, value] : page.headers) {
    if (name == "Content-Security-Policy") policy = value;
  }
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_EQ(policy.find("unsafe-eval"), std::string::npos);
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    EXPECT_EQ(file.content.find("<script>"), std::string_view::npos) << file.path;
  }
}

TEST(Dashboard, FilesComePackedAndNotTwice) {
  const HttpResponse packed = AnswerWithDashboard(
      {.method = "GET", .path = "/assets/app.js", .headers = {{"Accept-Encoding", "br, gzip"}}});
  const HttpResponse plain = AnswerWithDashboard({.method = "GET", .path = "/assets/app.js"});
  ASSERT_EQ(packed.status, 200);
  EXPECT_LT(packed.body.size(), plain.body.size() / 2);
  EXPECT_EQ(packed.content_type, "text/javascript; charset=utf-8");
  std::string etag;
  for (const auto& [name, value] : plain.headers) {
    if (name == "ETag") etag = value;
  }
  const HttpResponse again = AnswerWithDashboard(
      {.method = "GET", .path = "/assets/app.js", .headers = {{"If-None-Match", etag}}});
  EXPECT_EQ(again.status, 304);
  EXPECT_TRUE(again.body.empty());
  EXPECT_EQ(AnswerWithDashboard({.method = "GET", .path = "/nothing"}).status, 404);
  const HttpResponse refused = AnswerWithDashboard(
      {.method = "GET", .path = "/assets/app.js", .headers = {{"Accept-Encoding", "gzip;q=0"}}});
  EXPECT_EQ(refused.body.size(), plain.body.size());
}

}  // namespace
}  // namespace selvedge
