#include "registry/mirror.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "registry/oci_testing.h"
#include "registry/upkeep.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

class MirrorTest : public testing::Test {
 protected:
  void SetUp() override {
    upstream_.Start();
    Use({});
  }
  void TearDown() override {
    site_.Stop();
    mirror_.reset();
  }
  void Use(MirrorOptions options, const OciClientOptions* upstream = nullptr) {
    site_.Stop();
    options.upstream = upstream != nullptr ? *upstream : upstream_.ClientOptions(kPullToken);
    options.upstream.tries = 1;
    mirror_ = std::make_unique<Mirror>(&site_.store(), options);
    site_.Start(mirror_.get());
  }
  // What a device gets that has nothing.
  Status Pull(const std::string& content, const std::string& repository = "a") {
    RegistryFolder folder;
    auto store = *ContentStore::Open(folder / "store");
    OciClient client(site_.ClientOptions(kPullToken));
    return client.Download(repository, Describe(content), store.get());
  }
  std::string TagIs(const std::string& tag) {
    OciClient client(site_.ClientOptions(kPullToken));
    const auto manifest = client.GetManifest("a", tag);
    return manifest ? manifest->digest : std::string(StatusCodeName(manifest.error().code()));
  }

  RegistryFolder folder_;
  TestRegistry upstream_{folder_ / "upstream"};
  TestRegistry site_{folder_ / "site"};
  std::unique_ptr<Mirror> mirror_;
};

TEST_F(MirrorTest, ABlobCrossesTheUplinkOnceHoweverManyAsk) {
  const std::string layer(8 << 20, 'x');
  upstream_.AddImage("a", "1", layer);
  std::vector<std::thread> devices;
  std::atomic<int> good = 0;
  for (int i = 0; i < 8; ++i) {
    devices.emplace_back([&] { good += Pull(layer).ok() ? 1 : 0; });
  }
  for (std::thread& device : devices) device.join();
  EXPECT_EQ(good, 8);
  EXPECT_EQ(upstream_.oci().bytes_sent(), layer.size());
  EXPECT_EQ(mirror_->bytes_fetched(), layer.size());
  EXPECT_EQ(site_.oci().bytes_sent(), 8 * layer.size());
}

TEST_F(MirrorTest, ServesWhatItHasWhileTheUpstreamIsAway) {
  const std::string digest = upstream_.AddImage("a", "1", "layer");
  EXPECT_EQ(TagIs("1"), digest);
  EXPECT_TRUE(Pull("layer").ok());
  EXPECT_TRUE(upstream_.store().Add("a", "never asked for").has_value());
  upstream_.Stop();
  Use({.tag_life = std::chrono::milliseconds(0)});  // asks about every tag each time
  EXPECT_EQ(TagIs("1"), digest);
  EXPECT_EQ(TagIs(digest), digest);
  EXPECT_TRUE(Pull("layer").ok());
  EXPECT_EQ(TagIs("2"), "UNAVAILABLE");
  EXPECT_EQ(Pull("never asked for").code(), StatusCode::kUnavailable);
  upstream_.Start();
  EXPECT_TRUE(Pull("never asked for").ok());
}

TEST_F(MirrorTest, TagsMoveAndGoAsUpstream) {
  Use({.tag_life = std::chrono::milliseconds(0)});
  const std::string first = upstream_.AddImage("a", "1", "one");
  EXPECT_EQ(TagIs("1"), first);
  const std::string second = upstream_.AddImage("a", "1", "two");
  EXPECT_EQ(TagIs("1"), second);
  ASSERT_TRUE(upstream_.store().DeleteTag("a", "1").ok());
  EXPECT_EQ(TagIs("1"), "NOT_FOUND");
  EXPECT_EQ(TagIs(first), first);  // devices are told digests
  upstream_.Stop();
  EXPECT_EQ(TagIs("1"), "UNAVAILABLE");  // not what it was before it went
}

TEST_F(MirrorTest, ATagIsAskedForOnceInItsLife) {
  Use({.tag_life = std::chrono::hours(1)});
  const std::string first = upstream_.AddImage("a", "1", "one");
  EXPECT_EQ(TagIs("1"), first);
  upstream_.AddImage("a", "1", "two");
  EXPECT_EQ(TagIs("1"), first);
}

TEST_F(MirrorTest, WhatTheUpstreamDoesNotHaveIsNotThere) {
  EXPECT_EQ(TagIs("1"), "NOT_FOUND");
  EXPECT_EQ(Pull("x").code(), StatusCode::kNotFound);
}

TEST_F(MirrorTest, ABlobOfAnotherRepositoryIsNotGivenUnasked) {
  upstream_.AddImage("secret", "1", "layer");
  EXPECT_TRUE(Pull("layer", "secret").ok());
  EXPECT_EQ(Pull("layer", "a").code(), StatusCode::kNotFound);
}

TEST_F(MirrorTest, NothingCanBePushedOrDeleted) {
  upstream_.AddImage("a", "1", "layer");
  OciClient client(site_.ClientOptions(kPushToken));
  EXPECT_THAT(client.PushBytes("a", Describe("x"), "x").error().message(), HasSubstr("mirror"));
  HttpClient http;
  const auto answer = http.Call(
      {.method = "DELETE", .url = site_.url() + "/v2/a/manifests/1", .bearer = kPushToken});
  EXPECT_EQ(answer->status, 405);
}

TEST_F(MirrorTest, WhatWasLongestNotUsedMakesRoom) {
  Use({.max_bytes = 250'000});
  std::vector<std::string> layers;
  for (int i = 0; i < 4; ++i) {
    layers.emplace_back(100'000, static_cast<char>('a' + i));
    upstream_.AddImage("a", std::to_string(i), layers.back());
    ASSERT_TRUE(Pull(layers.back()).ok());
  }
  EXPECT_TRUE(Await([&] { return site_.store().Used()->bytes <= 250'000; }));
  EXPECT_FALSE(site_.store().Find(Describe(layers[0]).digest).has_value());
  EXPECT_TRUE(Pull(layers[0]).ok());  // fetched anew
  upstream_.AddImage("a", "large", std::string(300'000, 'l'));
  EXPECT_EQ(Pull(std::string(300'000, 'l')).code(), StatusCode::kResourceExhausted);
}

TEST_F(MirrorTest, DamageHereIsFetchedAnew) {
  const std::string layer(5000, 'x');
  upstream_.AddImage("a", "1", layer);
  ASSERT_TRUE(Pull(layer).ok());
  DamageBlob(folder_ / "site", Describe(layer).digest);
  ASSERT_FALSE(site_.store().Verify(Describe(layer).digest).ok());
  EXPECT_TRUE(Pull(layer).ok());
}

TEST_F(MirrorTest, AnUpstreamThatLiesIsNotPassedOn) {
  RegistryFolder folder;
  FakeRegistry liar(folder.path());
  const OciClientOptions options = liar.ClientOptions();
  Use({}, &options);
  liar.Put(Describe("expected").digest, "xxpected");
  EXPECT_FALSE(Pull("expected").ok());
  EXPECT_EQ(site_.store().Used()->blobs, 0U);
}

// Of calls to the mirror itself.
class Answers {
 public:
  Mirror::Done Next() {
    return [this](const Status& status) {
      const std::lock_guard lock(mutex_);
      codes_.push_back(status.code());
    };
  }
  bool Are(const std::vector<StatusCode>& codes) {
    const std::lock_guard lock(mutex_);
    return codes_ == codes;
  }

 private:
  std::mutex mutex_;
  std::vector<StatusCode> codes_;
};

TEST_F(MirrorTest, AnUpstreamThatDoesNotAnswerHoldsNobody) {
  RegistryFolder folder;
  FakeRegistry silent(folder.path());
  silent.Put(Describe("x").digest, "x");
  silent.Set({.silent = true});
  const OciClientOptions options = silent.ClientOptions();
  Use({.max_waiting = 2}, &options);
  using std::chrono::hours;
  using std::chrono::milliseconds;
  Answers impatient;
  Answers patient;
  mirror_->WantBlob("a", Describe("x").digest, milliseconds(0), impatient.Next());
  EXPECT_TRUE(Await([&] { return impatient.Are({StatusCode::kDeadlineExceeded}); }));
  mirror_->WantBlob("a", Describe("x").digest, hours(1), patient.Next());
  mirror_->WantBlob("a", Describe("x").digest, hours(1), patient.Next());
  mirror_->WantBlob("a", Describe("x").digest, hours(1), patient.Next());
  EXPECT_TRUE(patient.Are({StatusCode::kUnavailable}));  // too many wait
  site_.Stop();
  mirror_.reset();
  EXPECT_TRUE(
      patient.Are({StatusCode::kUnavailable, StatusCode::kCancelled, StatusCode::kCancelled}));
}

TEST(UpkeepTest, ClearsAwayAndLooksForDamageAtLeisure) {
  RegistryFolder folder;
  auto store = *ContentStore::Open(folder / "store", {.grace = std::chrono::seconds(0)});
  const std::string lone = store->Add("a", "nobody's")->digest;
  const std::string layer = store->Add("a", "layer")->digest;
  ASSERT_TRUE(
      store
          ->PutManifest("a", "1", kManifestType, ManifestOf(Describe("layer"), {Describe("layer")}))
          .has_value());
  DamageBlob(folder / "store", layer);
  const Upkeep upkeep(store.get(), {.every = std::chrono::seconds(1)});
  const std::string damaged = folder / "store/damaged";
  EXPECT_TRUE(Await([&] {
    return !std::filesystem::exists(folder /
                                    ("store/blobs/" + lone.substr(7, 2) + "/" + lone.substr(7))) &&
           !std::filesystem::is_empty(damaged);
  }));
}

}  // namespace
}  // namespace selvedge
