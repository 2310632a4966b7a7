// References, routes, challenges: what strangers write into URLs and headers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "registry/oci_challenge.h"
#include "registry/oci_route.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using Kind = OciRoute::Kind;
using testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ReferenceTest, NamesOfRepositories) {
  for (const char* good : {"a", "safety/person-detector", "a.b_c__d-e---f/0", "library/alpine"}) {
    EXPECT_TRUE(IsRepositoryName(good)) << good;
  }
  for (const char* bad : {"", "/", "a/", "/a", "a//b", "A", "a b", "-a", "a-", "a..b", "a___b",
                          "a._b", "../a", "a/..", "a:b", "ä"}) {
    EXPECT_FALSE(IsRepositoryName(bad)) << bad;
  }
  EXPECT_TRUE(IsRepositoryName(std::string(255, 'a')));
  EXPECT_FALSE(IsRepositoryName(std::string(256, 'a')));
}

TEST(ReferenceTest, TagsAndDigests) {
  EXPECT_TRUE(IsTag("1.0") && IsTag("_x") && IsTag("A-b.C") && IsTag(std::string(128, 't')));
  EXPECT_FALSE(IsTag("") || IsTag(".x") || IsTag("-x") || IsTag("a b") || IsTag("a/b") ||
               IsTag(std::string(129, 't')));
  EXPECT_TRUE(IsDigest(kDigest));
  EXPECT_FALSE(IsDigest("sha256:abc") || IsDigest("sha512:" + std::string(128, 'a')) ||
               IsDigest("sha256:" + std::string(64, 'A')) ||
               IsDigest("sha256:" + std::string(64, '/')));
}

TEST(ReferenceTest, IsParsed) {
  const auto plain = ParseReference("safety/person-detector:1.0");
  EXPECT_EQ(plain->host, "");
  EXPECT_EQ(plain->repository, "safety/person-detector");
  EXPECT_EQ(plain->target(), "1.0");
  const auto hosted = ParseReference("registry.example.com:5000/a/b:x@" + kDigest);
  EXPECT_EQ(hosted->host, "registry.example.com:5000");
  EXPECT_EQ(hosted->repository, "a/b");
  EXPECT_EQ(hosted->tag, "x");
  EXPECT_EQ(hosted->target(), kDigest);
  EXPECT_EQ(hosted->ToString(), "registry.example.com:5000/a/b:x@" + kDigest);
  EXPECT_EQ(ParseReference("localhost/a:1")->host, "localhost");
  EXPECT_EQ(ParseReference("a@" + kDigest)->digest, kDigest);
}

TEST(ReferenceTest, WhatIsNoneSaysWhy) {
  const auto why = [](const std::string& text) { return ParseReference(text).error().message(); };
  EXPECT_THAT(why("person"), HasSubstr("tag is missing"));
  EXPECT_THAT(why("Person:1"), HasSubstr("a-z"));
  EXPECT_THAT(why("a:b:c"), HasSubstr("a-z"));
  EXPECT_THAT(why("a@sha256:12"), HasSubstr("64 digits"));
  EXPECT_THAT(why("a:" + std::string(200, 't')), HasSubstr("1 to 128"));
  EXPECT_THAT(why("a\nb:1"), testing::Not(HasSubstr("\n")));
  EXPECT_EQ(ParseReference("").error().code(), StatusCode::kInvalidArgument);
}

TEST(OciRouteTest, PathsOfTheSpecification) {
  const auto is = [](const std::string& path, Kind kind, const std::string& name = "",
                     const std::string& item = "") {
    const OciRoute route = ParseOciRoute(path);
    EXPECT_EQ(route.kind, kind) << path;
    if (kind == Kind::kNone) return;
    EXPECT_EQ(route.name, name) << path;
    EXPECT_EQ(route.item, item) << path;
  };
  is("/v2/", Kind::kBase);
  is("/v2/_catalog", Kind::kCatalog);
  is("/v2/a/b/tags/list", Kind::kTags, "a/b", "list");
  is("/v2/a/b/manifests/1.0", Kind::kManifest, "a/b", "1.0");
  is("/v2/a/blobs/" + kDigest, Kind::kBlob, "a", kDigest);
  is("/v2/a/blobs/uploads/", Kind::kUploads, "a");
  is("/v2/a/blobs/uploads", Kind::kUploads, "a");
  is("/v2/a/blobs/uploads/0123", Kind::kUpload, "a", "0123");
  is("/v2/a/referrers/" + kDigest, Kind::kReferrers, "a", kDigest);
  // Names may hold the words of the paths.
  is("/v2/blobs/manifests/manifests/x", Kind::kManifest, "blobs/manifests", "x");
  is("/v2/a/blobs/b/blobs/x", Kind::kBlob, "a/blobs/b", "x");
  for (const char* none :
       {"/", "/v1/", "/v2/x", "/v2/a/tags/other", "/v2/a/blobs/x/y", "/v2//blobs/x"}) {
    EXPECT_TRUE(ParseOciRoute(none).kind == Kind::kNone ||
                !IsRepositoryName(ParseOciRoute(none).name))
        << none;
  }
}

TEST(OciRouteTest, ChunkRanges) {
  EXPECT_EQ(ParseChunkRange("10-19")->first, 10U);
  EXPECT_EQ(ParseChunkRange("10-19")->last, 19U);
  EXPECT_EQ(ParseChunkRange("0-0")->last, 0U);
  for (const char* bad : {"", "-", "5", "5-", "-5", "5-4", "a-b", "1-2-3", "1-2/3", " 1-2",
                          "99999999999999999999-1"}) {
    EXPECT_FALSE(ParseChunkRange(bad)) << bad;
  }
}

HttpRequest Asking(const std::string& authorization) {
  HttpRequest request;
  request.headers = {{"Authorization", authorization}};
  return request;
}

TEST(OciRouteTest, WhoAsks) {
  EXPECT_EQ(CallerOf(Asking("Bearer abc")).token, "abc");
  EXPECT_EQ(CallerOf(Asking("bearer  abc")).token, "abc");
  EXPECT_EQ(CallerOf(Asking(BasicAuthorization("any user", "a:b"))).token, "a:b");
  for (const char* bad : {"", "Bearer", "Basic ???", "Basic YWJj", "Digest x", "Basic "}) {
    EXPECT_EQ(CallerOf(Asking(bad)).token, "") << bad;
  }
  EXPECT_EQ(CallerOf(Asking("Bearer " + std::string(10'000, 'x'))).token, "");
  HttpRequest certified;
  certified.peer_name = "cam-1";
  EXPECT_EQ(CallerOf(certified).peer_name, "cam-1");
}

TEST(OciRouteTest, HowLongTheyWait) {
  EXPECT_EQ(PreferredWait("wait=20"), 20);
  EXPECT_EQ(PreferredWait("respond-async, wait=5"), 5);
  EXPECT_EQ(PreferredWait("wait=999999"), 3600);
  for (const char* none : {"", "wait", "wait=", "wait=-1", "wait=x", "waits=3"}) {
    EXPECT_EQ(PreferredWait(none), std::nullopt) << none;
  }
}

TEST(OciChallengeTest, IsRead) {
  const auto bearer = ParseChallenge(
      R"(Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a/b:pull,push")");
  ASSERT_TRUE(bearer.has_value());
  EXPECT_EQ(bearer->scheme, "bearer");
  EXPECT_EQ(bearer->Value("realm"), "https://auth.example.com/token");
  EXPECT_EQ(bearer->Value("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(bearer->Value("nothing"), "");
  EXPECT_EQ(ParseChallenge("Basic realm=\"a\\\"b\", charset=UTF-8")->Value("realm"), "a\"b");
  EXPECT_EQ(ParseChallenge("Basic realm=x, Bearer realm=y")->scheme, "basic");
  EXPECT_EQ(ParseChallenge("Negotiate")->scheme, "negotiate");
  for (const char* bad : {"", "=", "Basic realm=\"open", "Basic realm=\"a\"b", "\x01"}) {
    EXPECT_FALSE(ParseChallenge(bad)) << bad;
  }
  EXPECT_FALSE(ParseChallenge("Basic x=" + std::string(10'000, 'y')));
}

TEST(Base64Test, ThereAndBack) {
  // RFC 4648, section 10.
  EXPECT_EQ(Base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(Base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(Base64("foob"), "Zm9vYg==");
  EXPECT_EQ(Base64(""), "");
  for (const std::string text : {"", "f", "fo", "foo", "\xff\x00\x80"}) {
    EXPECT_EQ(FromBase64(Base64(text)), text);
  }
  EXPECT_FALSE(FromBase64("a b"));
}

}  // namespace
}  // namespace selvedge
