#include "registry/oci_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "registry/oci_testing.h"

namespace selvedge {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// Larger than what the server sends at once, so that it can be cut in the middle.
std::string Large(std::size_t size = 300'000) {
  std::mt19937 random(7);
  std::string content(size, '\0');
  std::ranges::generate(content, [&] { return static_cast<char>(random()); });
  return content;
}

class OciClientTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }
  void Reopen() {
    store_.reset();
    store_ = *ContentStore::Open(folder_ / "store");
  }
  int Asked(const std::string& what) {
    return static_cast<int>(std::ranges::count_if(
        fake_.seen(), [&](const std::string& one) { return one.find(what) != std::string::npos; }));
  }
  std::uint64_t Blobs() { return store_->Used()->blobs; }
  // Neither blobs nor beginnings of any.
  bool NothingKept() {
    return Blobs() == 0 && std::filesystem::is_empty(folder_ / "store/uploads");
  }

  RegistryFolder folder_;
  std::unique_ptr<ContentStore> store_;
  FakeRegistry fake_{folder_.path()};
};

TEST_F(OciClientTest, ADownloadThatIsCutGoesOnWhereItWas) {
  const std::string content = Large();
  const Descriptor blob = Describe(content);
  fake_.Put(blob.digest, content);
  fake_.Set({.cut_after = 131'072, .cuts = 2});
  OciClient client(fake_.ClientOptions());
  std::uint64_t done = 0;
  const Status status =
      client.Download("a", blob, store_.get(), [&](std::uint64_t now, std::uint64_t total) {
        EXPECT_GE(now, done);
        EXPECT_EQ(total, content.size());
        done = now;
      });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(done, content.size());
  EXPECT_TRUE(ReadAll(*store_->Path(blob.digest)) == content);
  EXPECT_TRUE(store_->FindIn("a", blob.digest).has_value());
  EXPECT_EQ(Asked("[bytes=131072-"), 2);  // the second cut gave nothing further
  EXPECT_EQ(Asked("GET"), 3);
  // Once there it is not asked for.
  EXPECT_TRUE(client.Download("b", blob, store_.get()).ok());
  EXPECT_TRUE(store_->FindIn("b", blob.digest).has_value());
  EXPECT_EQ(Asked("GET"), 3);
}

TEST_F(OciClientTest, AnotherProcessGoesOnWhereTheFirstWasCut) {
  const std::string content = Large();
  const Descriptor blob = Describe(content);
  fake_.Put(blob.digest, content);
  fake_.Set({.cut_after = 131'072, .cuts = 100});
  EXPECT_EQ(OciClient(fake_.ClientOptions()).Download("a", blob, store_.get()).code(),
            StatusCode::kUnavailable);
  EXPECT_FALSE(store_->Find(blob.digest).has_value());
  Reopen();
  fake_.Set({.ignore_ranges = true});  // all of it again: what is there is skipped
  EXPECT_TRUE(OciClient(fake_.ClientOptions()).Download("a", blob, store_.get()).ok());
  EXPECT_TRUE(ReadAll(*store_->Path(blob.digest)) == content);
}

TEST_F(OciClientTest, OtherContentIsRefusedAndNothingOfItKept) {
  const Descriptor blob = Describe("expected");
  fake_.Put(blob.digest, "xxpected");
  OciClient client(fake_.ClientOptions());
  const Status status = client.Download("a", blob, store_.get());
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), AllOf(HasSubstr(blob.digest), HasSubstr("twice")));
  EXPECT_EQ(Asked("GET"), 2);
  EXPECT_TRUE(NothingKept());
  EXPECT_EQ(client.GetBlob("a", blob).error().code(), StatusCode::kDataLoss);
  // Less and more than it is.
  fake_.Put(blob.digest, "exp");
  EXPECT_EQ(client.Download("a", blob, store_.get()).code(), StatusCode::kUnavailable);
  fake_.Put(blob.digest, "expected and more");
  EXPECT_FALSE(client.Download("a", blob, store_.get()).ok());
  EXPECT_EQ(Blobs(), 0U);
}

TEST_F(OciClientTest, ADamagedBeginningIsFetchedAnew) {
  const std::string content = Large();
  const Descriptor blob = Describe(content);
  fake_.Put(blob.digest, content);
  {
    auto earlier = store_->BeginDownload("a", blob.digest);
    ASSERT_TRUE((*earlier)->Write(std::string(1000, '?')).ok());
  }
  ASSERT_TRUE(OciClient(fake_.ClientOptions()).Download("a", blob, store_.get()).ok());
  EXPECT_TRUE(ReadAll(*store_->Path(blob.digest)) == content);
  EXPECT_EQ(Asked("[bytes=1000-"), 1);
  EXPECT_EQ(Asked(blob.digest + " [] ["), 1);
}

TEST_F(OciClientTest, BlobsMayLieElsewhereAndTheTokenStaysHere) {
  const Descriptor blob = Describe("content");
  RegistryFolder other_folder;
  FakeRegistry other(other_folder.path());
  other.Put(blob.digest, "content");
  fake_.Put(blob.digest, "");
  fake_.Set({.redirect_to = other.url()});
  OciClientOptions options = fake_.ClientOptions();
  options.token = kPullToken;
  ASSERT_TRUE(OciClient(options).Download("a", blob, store_.get()).ok());
  EXPECT_THAT(fake_.seen(), ElementsAre(HasSubstr(std::string("[Bearer ") + kPullToken)));
  EXPECT_THAT(other.seen(), ElementsAre(Not(HasSubstr(kPullToken))));
}

TEST_F(OciClientTest, WhoeverIsNotLetInHearsWhatToDo) {
  fake_.Set({.challenge = "Basic realm=\"x\"", .want = "nobody"});
  OciClient nobody(fake_.ClientOptions());
  const Status status = nobody.Check();
  EXPECT_EQ(status.code(), StatusCode::kUnauthenticated);
  EXPECT_THAT(status.message(), HasSubstr("--token-file"));
  OciClientOptions options = fake_.ClientOptions();
  options.token = kPullToken;
  EXPECT_THAT(OciClient(options).Check().message(), HasSubstr("no longer good"));
}

TEST_F(OciClientTest, LogsInAsItIsAsked) {
  fake_.Set({.challenge = "Basic realm=\"x\"", .want = "Basic dTpw"});
  OciClientOptions options = fake_.ClientOptions();
  options.user = "u";
  options.password = "p";
  EXPECT_TRUE(OciClient(options).Check().ok());
  // A token from where the challenge says, for what is to be done (RFC 6750 and the token
  // specification of the distribution project).
  const Descriptor blob = Describe("content");
  fake_.Put(blob.digest, "content");
  fake_.Set({.challenge = "Bearer realm=\"" + fake_.url() + "/token\",service=\"s\"",
             .want = "Bearer made-for-you"});
  OciClient client(options);
  ASSERT_TRUE(client.Download("a", blob, store_.get()).ok());
  EXPECT_EQ(Asked("GET /token?service=s&scope=repository%3Aa%3Apull [Basic dTpw]"), 1);
  EXPECT_EQ(*client.GetBlob("a", blob), "content");  // with the same token
  EXPECT_EQ(Asked("GET /token"), 1);
}

TEST_F(OciClientTest, NoLoginGoesInTheClear) {
  fake_.Set({.challenge = "Bearer realm=\"http://elsewhere.example/token\"", .want = "x"});
  OciClientOptions options = fake_.ClientOptions();
  options.user = "u";
  options.password = "p";
  EXPECT_EQ(OciClient(options).Check().code(), StatusCode::kPermissionDenied);
  options.url = "http://registry.example:5000";
  const Status plain = OciClient(options).Check();
  EXPECT_EQ(plain.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(plain.message(), HasSubstr("must be https://"));
}

TEST_F(OciClientTest, APushThatIsCutGoesOnWhereItWas) {
  const std::string content = Large(1'000'000);
  const std::string path = folder_.Write("weights", content);
  fake_.Set({.take_at_once = 400'000});
  const auto sent = OciClient(fake_.ClientOptions()).PushFile("a", Describe(content), path);
  ASSERT_TRUE(sent.has_value()) << sent.error().ToString();
  EXPECT_TRUE(*sent);
  EXPECT_TRUE(fake_.uploaded() == content);
  EXPECT_EQ(Asked("PATCH /v2/a/blobs/uploads/1 [400000-999999]"), 1);
  EXPECT_EQ(Asked("POST"), 1);
}

TEST_F(OciClientTest, AStopEndsADownloadAndKeepsWhatCame) {
  const std::string content = Large();
  const Descriptor blob = Describe(content);
  fake_.Put(blob.digest, content);
  std::stop_source stop;
  fake_.Set({.cut_after = 131'072, .cuts = 100});
  const Status status = OciClient(fake_.ClientOptions())
                            .Download(
                                "a", blob, store_.get(),
                                [&](std::uint64_t done, std::uint64_t) {
                                  if (done >= 100'000) stop.request_stop();
                                },
                                stop.get_token());
  EXPECT_EQ(status.code(), StatusCode::kCancelled);
  auto kept = store_->BeginDownload("a", blob.digest);
  EXPECT_GE((*kept)->offset(), 100'000U);
}

// With our own registry.
class OciClientWithOursTest : public OciClientTest {
 protected:
  void SetUp() override {
    OciClientTest::SetUp();
    registry_.Start();
  }
  RegistryFolder there_;
  TestRegistry registry_{there_ / "store"};
};

TEST_F(OciClientWithOursTest, PushesWhatIsNotThereAndPullsItAgain) {
  OciClient client(registry_.ClientOptions());
  const std::string content = Large();
  const std::string path = folder_.Write("weights", content);
  EXPECT_TRUE(client.Check().ok());
  EXPECT_TRUE(*client.PushFile("a/b", Describe(content), path));
  EXPECT_FALSE(*client.PushFile("a/b", Describe(content), path));
  EXPECT_TRUE(*client.PushBytes("a/b", Describe("config"), "config"));
  EXPECT_TRUE(*client.PushBytes("a/b", Describe(""), ""));
  const std::string manifest = ManifestOf(Describe("config"), {Describe(content)});
  const std::string digest = *DigestOf(manifest);
  ASSERT_TRUE(client.PushManifest("a/b", "1.0", kManifestType, manifest).ok());
  const auto resolved = client.Resolve("a/b", "1.0");
  EXPECT_EQ(resolved->digest, digest);
  EXPECT_EQ(resolved->size, manifest.size());
  EXPECT_EQ(client.GetManifest("a/b", digest)->bytes, manifest);
  EXPECT_THAT(*client.Tags("a/b"), ElementsAre("1.0"));
  EXPECT_EQ(*client.BlobSize("a/b", Describe(content).digest), content.size());
  ASSERT_TRUE(client.Download("a/b", Describe(content), store_.get()).ok());
  EXPECT_TRUE(ReadAll(*store_->Path(Describe(content).digest)) == content);
}

TEST_F(OciClientWithOursTest, WhatIsNotThereIsSaidInOneSentence) {
  OciClient client(registry_.ClientOptions());
  for (const Status& status :
       {client.Resolve("no/such", "1.0").error(), client.GetManifest("no/such", "1.0").error(),
        client.Download("no/such", Describe("x"), store_.get()), client.Tags("no/such").error()}) {
    EXPECT_EQ(status.code(), StatusCode::kNotFound) << status.ToString();
    EXPECT_THAT(status.message(), AllOf(Not(HasSubstr("\n")), HasSubstr("localhost")));
  }
  EXPECT_EQ(client.Resolve("NO", "1.0").error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Resolve("a", "../x").error().code(), StatusCode::kInvalidArgument);
  EXPECT_TRUE(NothingKept());
}

TEST_F(OciClientWithOursTest, WhoMayOnlyPullCannotPush) {
  OciClient client(registry_.ClientOptions(kPullToken));
  EXPECT_TRUE(client.Check().ok());
  EXPECT_EQ(client.PushBytes("a", Describe("x"), "x").error().code(),
            StatusCode::kPermissionDenied);
  EXPECT_EQ(registry_.store().Used()->blobs, 0U);
}

TEST_F(OciClientWithOursTest, ARegistryThatIsAwayIsUnavailable) {
  registry_.Stop();
  const Status status = OciClient(registry_.ClientOptions()).Check();
  EXPECT_EQ(status.code(), StatusCode::kUnavailable);
  EXPECT_THAT(status.message(), HasSubstr("localhost"));
}

}  // namespace
}  // namespace selvedge
