#include "registry/oci_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "net/http_client.h"
#include "net/http_test_client.h"
#include "registry/oci_testing.h"

namespace selvedge {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

using Headers = std::vector<std::pair<std::string, std::string>>;

const std::string kNowhere = "sha256:" + std::string(64, '0');

// The code of the specification's error body; "" where it is none.
std::string ErrorOf(const HttpAnswer& answer) {
  const json body = json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (!body.is_object() || answer.Header("Content-Type") != "application/json") return "";
  const json& errors = body.value("errors", json::array());
  if (errors.size() != 1 || errors[0].value("message", "").empty()) return "";
  return errors[0].value("code", "");
}

class OciServerTest : public testing::Test {
 protected:
  void SetUp() override { registry_.Start(); }

  HttpAnswer Ask(const std::string& method, const std::string& path, const std::string& body = {},
                 const Headers& headers = {}, const std::string& token = kPushToken) {
    HttpCall call;
    call.method = method;
    call.url = registry_.url() + path;
    call.body = body;
    call.bearer = token;
    call.headers = headers;
    auto answer = client_.Call(call);
    EXPECT_TRUE(answer.has_value()) << method << " " << path << ": " << answer.error().ToString();
    return answer ? *std::move(answer) : HttpAnswer{};
  }
  // "404 BLOB_UNKNOWN"
  std::string Refusal(const std::string& method, const std::string& path,
                      const std::string& body = {}, const Headers& headers = {},
                      const std::string& token = kPushToken) {
    const HttpAnswer answer = Ask(method, path, body, headers, token);
    return std::to_string(answer.status) + " " + ErrorOf(answer);
  }
  std::string Begin() {
    const HttpAnswer answer = Ask("POST", "/v2/a/blobs/uploads/");
    EXPECT_EQ(answer.status, 202);
    return std::string(answer.Header("Location"));
  }
  static std::string Put(const std::string& upload, std::string_view content) {
    return upload + "?digest=" + PercentEncode(*DigestOf(content));
  }

  RegistryFolder folder_;
  TestRegistry registry_{folder_ / "store", {.max_blob_bytes = 1 << 20, .max_uploads = 5}};
  HttpClient client_;
};

TEST_F(OciServerTest, NobodyWithoutATokenReadsOrWrites) {
  registry_.AddImage("a", "1", "layer");
  const std::string blob = "/v2/a/blobs/" + Describe("layer").digest;
  struct {
    const char* method;
    std::string path;
    bool writes;
  } const requests[] = {
      {"GET", "/v2/", false},
      {"GET", "/v2/_catalog", false},
      {"GET", "/v2/a/tags/list", false},
      {"GET", "/v2/a/manifests/1", false},
      {"GET", blob, false},
      {"GET", "/v2/a/referrers/" + kNowhere, false},
      {"POST", "/v2/a/blobs/uploads/", true},
      {"PUT", "/v2/a/manifests/2", true},
      {"PATCH", "/v2/a/blobs/uploads/0123", true},
      {"GET", "/v2/a/blobs/uploads/0123", true},
      {"DELETE", "/v2/a/manifests/1", true},
      {"DELETE", blob, true},
  };
  for (const auto& [method, path, writes] : requests) {
    SCOPED_TRACE(std::string(method) + " " + path);
    for (const char* token : {"", "wrong"}) {
      const HttpAnswer answer = Ask(method, path, "", {}, token);
      EXPECT_EQ(answer.status, 401);
      EXPECT_EQ(ErrorOf(answer), "UNAUTHORIZED");
      EXPECT_THAT(std::string(answer.Header("WWW-Authenticate")), HasSubstr("Basic realm="));
    }
    const HttpAnswer pulling = Ask(method, path, "", {}, kPullToken);
    EXPECT_EQ(pulling.status, writes ? 403 : 200);
    EXPECT_EQ(ErrorOf(pulling), writes ? "DENIED" : "");
  }
  EXPECT_TRUE(registry_.store().GetManifest("a", "1").has_value());
  // As docker, skopeo and crane log in: whoever it is, with the token as the password.
  const Headers basic = {{"Authorization", "Basic YW55OnRva2VuLXRoYXQtbWF5LXB1c2g="}};
  EXPECT_EQ(Ask("GET", "/v2/", "", basic, "").status, 200);
}

TEST_F(OciServerTest, WhatIsNotThereIsSaidInTheSpecificationsWords) {
  registry_.AddImage("a", "1", "layer");
  EXPECT_EQ(Refusal("GET", "/v2/a/manifests/2"), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/a/manifests/" + kNowhere), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/b/manifests/1"), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/a/manifests/-"), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/a/blobs/" + kNowhere), "404 BLOB_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/b/blobs/" + Describe("layer").digest), "404 BLOB_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/b/tags/list"), "404 NAME_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/a/blobs/uploads/" + std::string(32, '0')),
            "404 BLOB_UPLOAD_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/a/nothing"), "404 NAME_UNKNOWN");
  EXPECT_EQ(Refusal("GET", "/v2/UPPER/tags/list"), "400 NAME_INVALID");
  EXPECT_EQ(Refusal("GET", "/v2/a/tags/list?n=x"), "400 UNSUPPORTED");
  EXPECT_EQ(Refusal("GET", "/v2/a/referrers/x"), "400 DIGEST_INVALID");
  EXPECT_EQ(Refusal("GET", "/v2/a/blobs/uploads/"), "405 UNSUPPORTED");
  EXPECT_EQ(Refusal("DELETE", "/v2/a/manifests/2"), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Refusal("DELETE", "/v2/a/blobs/" + kNowhere), "404 BLOB_UNKNOWN");
  EXPECT_EQ(Refusal("DELETE", "/v2/a/tags/list"), "405 UNSUPPORTED");
  EXPECT_EQ(Refusal("PUT", "/v2/a/tags/list"), "405 UNSUPPORTED");
  // HEAD says it without a body.
  EXPECT_EQ(Ask("HEAD", "/v2/a/manifests/2").status, 404);
  EXPECT_EQ(Ask("HEAD", "/v2/a/blobs/" + kNowhere).status, 404);
}

TEST_F(OciServerTest, BlobsAreServedWholeAndInRanges) {
  ASSERT_TRUE(registry_.store().Add("a", "0123456789").has_value());
  const std::string digest = *DigestOf(std::string_view("0123456789"));
  const std::string path = "/v2/a/blobs/" + digest;
  const HttpAnswer whole = Ask("GET", path);
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, "0123456789");
  EXPECT_EQ(whole.Header("Docker-Content-Digest"), digest);
  EXPECT_EQ(whole.Header("Accept-Ranges"), "bytes");
  const HttpAnswer head = Ask("HEAD", path);
  EXPECT_EQ(head.Header("Content-Length"), "10");
  EXPECT_EQ(head.body, "");
  struct {
    const char* range;
    int status;
    const char* body;
    const char* content_range;
  } const cases[] = {
      {"bytes=2-4", 206, "234", "bytes 2-4/10"}, {"bytes=7-", 206, "789", "bytes 7-9/10"},
      {"bytes=-3", 206, "789", "bytes 7-9/10"},  {"bytes=0-99", 206, "0123456789", "bytes 0-9/10"},
      {"bytes=0-0", 206, "0", "bytes 0-0/10"},   {"bytes=0-1,3-4", 200, "0123456789", ""},
      {"lines=0-1", 200, "0123456789", ""},      {"bytes=4-2", 200, "0123456789", ""},
  };
  for (const auto& [range, status, body, content_range] : cases) {
    SCOPED_TRACE(range);
    const HttpAnswer part = Ask("GET", path, "", {{"Range", range}});
    EXPECT_EQ(part.status, status);
    EXPECT_EQ(part.body, body);
    EXPECT_EQ(part.Header("Content-Range"), content_range);
  }
  for (const char* range : {"bytes=10-", "bytes=99-100", "bytes=-0"}) {
    const HttpAnswer beyond = Ask("GET", path, "", {{"Range", range}});
    EXPECT_EQ(beyond.status, 416) << range;
    EXPECT_EQ(ErrorOf(beyond), "SIZE_INVALID") << range;
    EXPECT_EQ(beyond.Header("Content-Range"), "bytes */10") << range;
  }
  EXPECT_EQ(Ask("GET", path, "", {{"If-None-Match", "\"" + digest + "\""}}).status, 304);
}

TEST_F(OciServerTest, AnUploadInChunksGoesOnWhereItWas) {
  const std::string upload = Begin();
  EXPECT_EQ(Ask("GET", upload).Header("Range"), "0-0");
  const auto chunk = [&](const std::string& range, const std::string& content) {
    return Ask("PATCH", upload, content, {{"Content-Range", range}});
  };
  const HttpAnswer first = chunk("0-4", "01234");
  EXPECT_EQ(first.status, 202);
  EXPECT_EQ(first.Header("Range"), "0-4");
  // Twice, and one too far: it says how far it is.
  for (const char* range : {"0-4", "7-11", "5-4", "x"}) {
    const HttpAnswer wrong = chunk(range, "01234");
    EXPECT_EQ(wrong.status, 416) << range;
    EXPECT_EQ(ErrorOf(wrong), "BLOB_UPLOAD_INVALID") << range;
    EXPECT_EQ(wrong.Header("Range"), "0-4") << range;
    EXPECT_EQ(wrong.Header("Location"), upload) << range;
  }
  const HttpAnswer status = Ask("GET", upload);
  EXPECT_EQ(status.status, 204);
  EXPECT_EQ(status.Header("Range"), "0-4");
  EXPECT_EQ(chunk("5-7", "567").status, 202);
  const HttpAnswer done = Ask("PUT", Put(upload, "0123456789"), "89", {{"Content-Range", "8-9"}});
  EXPECT_EQ(done.status, 201);
  EXPECT_EQ(done.Header("Location"), "/v2/a/blobs/" + *DigestOf(std::string_view("0123456789")));
  EXPECT_EQ(Ask("GET", std::string(done.Header("Location"))).body, "0123456789");
  EXPECT_EQ(Refusal("GET", upload), "404 BLOB_UPLOAD_UNKNOWN");
}

TEST_F(OciServerTest, AConnectionThatIsCutLosesNothingOfWhatArrived) {
  const std::string upload = Begin();
  {
    TestClient client(registry_.port());
    client.Send("PATCH " + upload + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " +
                kPushToken + "\r\nContent-Length: 100\r\n\r\n" + std::string(40, 'x'));
    ASSERT_TRUE(Await([&] { return Ask("GET", upload).Header("Range") == "0-39"; }));
  }
  // Until the server has seen that it is gone, the next one is told to come again.
  HttpAnswer rest;
  EXPECT_TRUE(Await([&] {
    rest = Ask("PATCH", upload, std::string(60, 'y'), {{"Content-Range", "40-99"}});
    return rest.status != 503;
  }));
  EXPECT_EQ(rest.status, 202);
  const std::string content = std::string(40, 'x') + std::string(60, 'y');
  EXPECT_EQ(Ask("PUT", Put(upload, content)).status, 201);
}

TEST_F(OciServerTest, TwoCannotWriteToOneUpload) {
  const std::string upload = Begin();
  const auto held = registry_.store().ContinueUpload("a", upload.substr(upload.rfind('/') + 1));
  ASSERT_TRUE(held.has_value());
  const HttpAnswer busy = Ask("PATCH", upload, "x");
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(ErrorOf(busy), "TOOMANYREQUESTS");
  EXPECT_NE(busy.Header("Retry-After"), "");
}

TEST_F(OciServerTest, AnUploadCanBeOnePieceOrCancelled) {
  const std::string digest = *DigestOf(std::string_view("hello"));
  EXPECT_EQ(Ask("POST", "/v2/a/blobs/uploads/?digest=" + digest, "hello").status, 201);
  EXPECT_TRUE(registry_.store().FindIn("a", digest).has_value());
  const std::string nothing = Begin();
  EXPECT_EQ(Ask("PUT", Put(nothing, "")).status, 201);
  const std::string cancelled = Begin();
  EXPECT_EQ(Ask("DELETE", cancelled).status, 204);
  EXPECT_EQ(Refusal("DELETE", cancelled), "404 BLOB_UPLOAD_UNKNOWN");
  EXPECT_EQ(Refusal("PATCH", cancelled, "x"), "404 BLOB_UPLOAD_UNKNOWN");
}

TEST_F(OciServerTest, WrongUploadsAreRefusedAndLeaveNothing) {
  EXPECT_EQ(Refusal("PUT", Put(Begin(), "other"), "hello"), "400 DIGEST_INVALID");
  EXPECT_EQ(Refusal("POST", "/v2/a/blobs/uploads/?digest=" + kNowhere, "hello"),
            "400 DIGEST_INVALID");
  const std::string upload = Begin();
  EXPECT_EQ(Refusal("PUT", upload, "hello"), "400 DIGEST_INVALID");
  EXPECT_EQ(Refusal("PUT", upload + "?digest=sha512:" + std::string(128, '0'), "hello"),
            "400 DIGEST_INVALID");
  EXPECT_EQ(Refusal("PATCH", upload, "hello", {{"Content-Range", "0-1"}}), "400 SIZE_INVALID");
  EXPECT_EQ(Refusal("PATCH", upload, std::string((1 << 20) + 1, 'x')), "507 DENIED");
  EXPECT_EQ(Ask("DELETE", upload).status, 204);
  EXPECT_EQ(registry_.store().Used()->blobs, 0U);
  for (int i = 0; i < 5; ++i) Begin();
  EXPECT_EQ(Refusal("POST", "/v2/a/blobs/uploads/"), "507 DENIED");
}

TEST_F(OciServerTest, ABlobIsMountedOnlyFromWhereTheCallerMayPull) {
  ASSERT_TRUE(registry_.store().Add("from", "hello").has_value());
  const std::string digest = *DigestOf(std::string_view("hello"));
  const std::string mount = "/v2/a/blobs/uploads/?mount=" + digest + "&from=";
  const HttpAnswer mounted = Ask("POST", mount + "from");
  EXPECT_EQ(mounted.status, 201);
  EXPECT_EQ(mounted.Header("Location"), "/v2/a/blobs/" + digest);
  EXPECT_EQ(Ask("GET", "/v2/a/blobs/" + digest).body, "hello");
  // From nowhere: an upload begins.
  EXPECT_EQ(Ask("POST", mount + "nowhere").status, 202);
  EXPECT_EQ(Ask("POST", mount + "../from").status, 202);
  EXPECT_EQ(Refusal("POST", "/v2/a/blobs/uploads/?mount=x&from=from"), "400 DIGEST_INVALID");
}

TEST_F(OciServerTest, ManifestsAreTakenWhereTheyAreWhole) {
  const std::string bytes = ManifestOf(Describe("config"), {Describe("layer")});
  const Headers type = {{"Content-Type", std::string(kManifestType)}};
  EXPECT_EQ(Refusal("PUT", "/v2/a/manifests/1", bytes, type), "404 MANIFEST_BLOB_UNKNOWN");
  ASSERT_TRUE(registry_.store().Add("a", "config").has_value());
  ASSERT_TRUE(registry_.store().Add("a", "layer").has_value());
  EXPECT_EQ(Refusal("PUT", "/v2/a/manifests/1", "{", type), "400 MANIFEST_INVALID");
  EXPECT_EQ(Refusal("PUT", "/v2/a/manifests/.1", bytes, type), "400 MANIFEST_INVALID");
  EXPECT_EQ(Refusal("PUT", "/v2/a/manifests/" + kNowhere, bytes, type), "400 DIGEST_INVALID");
  EXPECT_EQ(Ask("PUT", "/v2/a/manifests/1", std::string(kMaxManifestBytes + 1, ' '), type).status,
            413);
  const HttpAnswer put = Ask("PUT", "/v2/a/manifests/1", bytes, type);
  EXPECT_EQ(put.status, 201);
  const std::string digest = *DigestOf(bytes);
  EXPECT_EQ(put.Header("Location"), "/v2/a/manifests/" + digest);
  EXPECT_THAT(registry_.pushed(), ElementsAre("a:1"));
  for (const std::string& reference : {std::string("1"), digest}) {
    const HttpAnswer got = Ask("GET", "/v2/a/manifests/" + reference);
    EXPECT_EQ(got.body, bytes);
    EXPECT_EQ(got.Header("Content-Type"), kManifestType);
    EXPECT_EQ(got.Header("Docker-Content-Digest"), digest);
    const HttpAnswer head = Ask("HEAD", "/v2/a/manifests/" + reference);
    EXPECT_EQ(head.Header("Content-Length"), std::to_string(bytes.size()));
    EXPECT_EQ(head.Header("Docker-Content-Digest"), digest);
  }
  EXPECT_EQ(Ask("DELETE", "/v2/a/manifests/1").status, 202);
  EXPECT_EQ(Refusal("GET", "/v2/a/manifests/1"), "404 MANIFEST_UNKNOWN");
  EXPECT_EQ(Ask("DELETE", "/v2/a/manifests/" + digest).status, 202);
  EXPECT_EQ(Refusal("GET", "/v2/a/manifests/" + digest), "404 MANIFEST_UNKNOWN");
}

TEST_F(OciServerTest, ListsComeInPages) {
  for (const char* tag : {"1", "2", "3"}) registry_.AddImage("a", tag, "layer");
  registry_.AddImage("b/c", "1", "layer");
  const auto list = [&](const std::string& path, const char* key) {
    return json::parse(Ask("GET", path).body).at(key).get<std::vector<std::string>>();
  };
  EXPECT_THAT(list("/v2/a/tags/list", "tags"), ElementsAre("1", "2", "3"));
  EXPECT_THAT(list("/v2/a/tags/list?n=2", "tags"), ElementsAre("1", "2"));
  EXPECT_EQ(Ask("GET", "/v2/a/tags/list?n=2").Header("Link"),
            "</v2/a/tags/list?n=2&last=2>; rel=\"next\"");
  EXPECT_THAT(list("/v2/a/tags/list?n=2&last=2", "tags"), ElementsAre("3"));
  EXPECT_EQ(Ask("GET", "/v2/a/tags/list?n=2&last=2").Header("Link"), "");
  EXPECT_THAT(list("/v2/a/tags/list?n=0", "tags"), ElementsAre());
  EXPECT_THAT(list("/v2/_catalog", "repositories"), ElementsAre("a", "b/c"));
  EXPECT_THAT(list("/v2/_catalog?n=1", "repositories"), ElementsAre("a"));
  EXPECT_EQ(json::parse(Ask("GET", "/v2/b/c/tags/list").body)["name"], "b/c");
}

TEST_F(OciServerTest, ReferrersAreAnIndex) {
  const std::string subject = registry_.AddImage("a", "1", "layer");
  Manifest signature;
  signature.media_type = kManifestType;
  signature.artifact_type = "application/vnd.example.signature";
  signature.config = Describe("config");
  signature.subject =
      Descriptor{.media_type = std::string(kManifestType), .digest = subject, .size = 1};
  const std::string bytes = WriteManifest(signature);
  const HttpAnswer put = Ask("PUT", "/v2/a/manifests/" + *DigestOf(bytes), bytes,
                             {{"Content-Type", std::string(kManifestType)}});
  EXPECT_EQ(put.status, 201);
  EXPECT_EQ(put.Header("OCI-Subject"), subject);
  const auto find = [&](const std::string& query) {
    const HttpAnswer answer = Ask("GET", "/v2/a/referrers/" + subject + query);
    EXPECT_EQ(answer.Header("Content-Type"), kIndexType);
    return json::parse(answer.body).at("manifests").size();
  };
  EXPECT_EQ(find(""), 1U);
  EXPECT_EQ(find("?artifactType=application/vnd.example.signature"), 1U);
  EXPECT_EQ(find("?artifactType=other"), 0U);
  EXPECT_EQ(
      Ask("GET", "/v2/a/referrers/" + subject + "?artifactType=x").Header("OCI-Filters-Applied"),
      "artifactType");
}

TEST_F(OciServerTest, DamageOnTheDiskIsNotServed) {
  registry_.AddImage("a", "1", std::string(5000, 'x'));
  const std::string layer = *DigestOf(std::string(5000, 'x'));
  DamageBlob(folder_ / "store", layer);
  ASSERT_FALSE(registry_.store().Verify(layer).ok());
  EXPECT_EQ(Refusal("GET", "/v2/a/blobs/" + layer), "404 BLOB_UNKNOWN");
  // Pushed again it is there again.
  EXPECT_EQ(Ask("POST", "/v2/a/blobs/uploads/?digest=" + layer, std::string(5000, 'x')).status,
            201);
  EXPECT_EQ(Ask("GET", "/v2/a/blobs/" + layer).body, std::string(5000, 'x'));
}

}  // namespace
}  // namespace selvedge
