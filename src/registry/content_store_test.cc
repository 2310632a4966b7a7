#include "registry/content_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <latch>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "registry/registry_test_util.h"
#include "store/store_test_util.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class ContentStoreTest : public testing::Test {
 protected:
  void SetUp() override { Reopen(); }

  void Reopen(ContentStoreOptions options = {}) {
    store_.reset();
    auto store = ContentStore::Open(folder_ / "store", options, clock_);
    ASSERT_TRUE(store.has_value()) << store.error().ToString();
    store_ = *std::move(store);
  }

  std::string Add(const std::string& content, const std::string& repository = "a") {
    const auto added = store_->Add(repository, content);
    EXPECT_TRUE(added.has_value()) << added.error().ToString();
    return added ? added->digest : "";
  }

  // A manifest of one layer, tagged.
  std::string AddImage(const std::string& layer, const std::string& tag,
                       const std::string& repository = "a") {
    Add("config", repository);
    Add(layer, repository);
    const auto put = store_->PutManifest(repository, tag, kManifestType,
                                         ManifestOf(Describe("config"), {Describe(layer)}));
    EXPECT_TRUE(put.has_value()) << put.error().ToString();
    return put ? put->digest : "";
  }

  int Files(const std::string& name) const {
    int count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / ("store/" + name))) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  RegistryFolder folder_;
  FakeClock clock_;
  std::unique_ptr<ContentStore> store_;
};

TEST_F(ContentStoreTest, KeepsBlobsByTheirDigest) {
  const std::string digest = Add("hello");
  EXPECT_EQ(digest, *DigestOf(std::string_view("hello")));
  EXPECT_EQ(Add("hello", "b"), digest);
  Reopen();
  EXPECT_EQ(store_->Find(digest)->size, 5U);
  EXPECT_EQ(ReadAll(*store_->Path(digest)), "hello");
  EXPECT_EQ(Files("blobs"), 1);
  EXPECT_EQ(store_->Find("sha256:" + std::string(64, '0')).error().code(), StatusCode::kNotFound);
}

TEST_F(ContentStoreTest, ABlobIsSeenOnlyWhereItWasPushedOrMounted) {
  const std::string digest = Add("secret", "a");
  EXPECT_TRUE(store_->FindIn("a", digest).has_value());
  EXPECT_EQ(store_->FindIn("b", digest).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->Mount("b", "c", digest).code(), StatusCode::kNotFound);
  ASSERT_TRUE(store_->Mount("b", "a", digest).ok());
  EXPECT_TRUE(store_->FindIn("b", digest).has_value());
  ASSERT_TRUE(store_->Unlink("b", digest).ok());
  EXPECT_EQ(store_->Unlink("b", digest).code(), StatusCode::kNotFound);
  EXPECT_FALSE(store_->FindIn("b", digest).has_value());
  EXPECT_TRUE(store_->FindIn("a", digest).has_value());
}

TEST_F(ContentStoreTest, OneProcessAtATime) {
  const auto second = ContentStore::Open(folder_ / "store");
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(second.error().message(), HasSubstr("in use"));
}

TEST_F(ContentStoreTest, AnUploadGoesOnWhereItWas) {
  std::string id;
  {
    auto upload = store_->BeginUpload("a");
    ASSERT_TRUE(upload.has_value());
    id = (*upload)->id();
    ASSERT_TRUE((*upload)->Write("hel").ok());
    EXPECT_EQ(store_->ContinueUpload("a", id).error().code(), StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(*store_->UploadOffset("a", id), 3U);
  EXPECT_EQ(store_->ContinueUpload("b", id).error().code(), StatusCode::kNotFound);
  for (const bool reopen : {false, true}) {
    if (reopen) Reopen();
    auto upload = store_->ContinueUpload("a", id);
    ASSERT_TRUE(upload.has_value());
    ASSERT_TRUE((*upload)->Write("l").ok());
  }
  auto upload = store_->ContinueUpload("a", id);
  EXPECT_EQ((*upload)->offset(), 5U);
  ASSERT_TRUE((*upload)->Write("o").ok());
  const std::string digest = *DigestOf(std::string_view("helllo"));
  EXPECT_EQ((*upload)->Commit(digest)->size, 6U);
  upload->reset();
  EXPECT_TRUE(store_->FindIn("a", digest).has_value());
  EXPECT_EQ(store_->ContinueUpload("a", id).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(Files("uploads"), 0);
}

TEST_F(ContentStoreTest, AWrongDigestIsRefusedAndNothingIsLeft) {
  auto upload = store_->BeginUpload("a");
  ASSERT_TRUE((*upload)->Write("hello").ok());
  const std::string wrong = *DigestOf(std::string_view("other"));
  EXPECT_EQ((*upload)->Commit(wrong).error().code(), StatusCode::kInvalidArgument);
  upload->reset();
  EXPECT_FALSE(store_->Find(wrong).has_value());
  EXPECT_FALSE(store_->Find(*DigestOf(std::string_view("hello"))).has_value());
  EXPECT_EQ(Files("uploads"), 0);
  EXPECT_EQ(Files("blobs"), 0);
}

TEST_F(ContentStoreTest, UploadsAreLimitedAndForgotten) {
  Reopen({.max_blob_bytes = 10, .max_uploads = 2, .upload_life = std::chrono::seconds(60)});
  std::string ids[2];
  for (std::string& id : ids) id = (*store_->BeginUpload("a"))->id();
  EXPECT_EQ(store_->BeginUpload("a").error().code(), StatusCode::kResourceExhausted);
  clock_.Advance(50 * kSecond);
  {
    auto upload = store_->ContinueUpload("a", ids[0]);
    EXPECT_TRUE((*upload)->Write("0123456789").ok());
    EXPECT_EQ((*upload)->Write("x").code(), StatusCode::kResourceExhausted);
  }
  clock_.Advance(50 * kSecond);
  EXPECT_EQ(store_->Collect()->uploads, 1U);
  EXPECT_EQ(store_->ContinueUpload("a", ids[1]).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(*store_->UploadOffset("a", ids[0]), 10U);
}

TEST_F(ContentStoreTest, ADownloadIsFoundAgainByItsDigest) {
  const std::string digest = *DigestOf(std::string_view("hello"));
  {
    auto download = store_->BeginDownload("a", digest);
    ASSERT_TRUE((*download)->Write("hel").ok());
  }
  Reopen();
  auto download = store_->BeginDownload("a", digest);
  EXPECT_EQ((*download)->offset(), 3U);
  ASSERT_TRUE((*download)->Write("lo").ok());
  ASSERT_TRUE((*download)->Commit(digest).has_value());
  // Clients cannot write to it through the API.
  EXPECT_FALSE(store_->UploadOffset("a", "d-" + digest.substr(7)).has_value());
}

TEST_F(ContentStoreTest, DamageIsDetectedAndPushingAgainRepairs) {
  const std::string digest = Add("hello hello");
  DamageBlob(folder_ / "store", digest);
  EXPECT_TRUE(store_->Path(digest).has_value());  // was read through today
  clock_.Advance(2 * 86'400 * kSecond);
  EXPECT_EQ(store_->Path(digest).error().code(), StatusCode::kDataLoss);
  EXPECT_EQ(store_->Path(digest).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(Files("damaged"), 1);
  Add("hello hello");
  EXPECT_EQ(ReadAll(*store_->Path(digest)), "hello hello");
  DamageBlob(folder_ / "store", digest);
  EXPECT_EQ(store_->Verify(digest).code(), StatusCode::kDataLoss);
}

TEST_F(ContentStoreTest, AShortenedOrMissingFileIsNoBlob) {
  const std::string digest = Add("hello hello");
  const std::string path = *store_->Path(digest);
  fs::resize_file(path, 3);
  EXPECT_EQ(store_->Find(digest).error().code(), StatusCode::kDataLoss);
  Add("hello hello");
  fs::remove(path);
  EXPECT_EQ(store_->Find(digest).error().code(), StatusCode::kDataLoss);
  EXPECT_EQ(store_->Find(digest).error().code(), StatusCode::kNotFound);
}

TEST_F(ContentStoreTest, ScrubFindsDamageALittleAtATime) {
  std::vector<std::string> digests;
  for (int i = 0; i < 5; ++i) digests.push_back(Add(std::string(1000, static_cast<char>('a' + i))));
  DamageBlob(folder_ / "store", digests[3]);
  std::vector<std::string> found;
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(kSecond);
    const auto damaged = store_->Scrub(1500);
    ASSERT_TRUE(damaged.has_value());
    found.insert(found.end(), damaged->begin(), damaged->end());
  }
  EXPECT_THAT(found, ElementsAre(digests[3]));
}

TEST_F(ContentStoreTest, AManifestNeedsWhatItNames) {
  const std::string bytes = ManifestOf(Describe("config"), {Describe("layer")});
  const auto put = [&] { return store_->PutManifest("a", "1.0", kManifestType, bytes); };
  EXPECT_EQ(put().error().code(), StatusCode::kNotFound);
  Add("config", "a");
  Add("layer", "b");  // of another repository
  EXPECT_EQ(put().error().code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->GetManifest("a", "1.0").error().code(), StatusCode::kNotFound);
  Add("layer", "a");
  const auto digest = put()->digest;
  EXPECT_EQ(digest, *DigestOf(bytes));
  for (const std::string& reference : {std::string("1.0"), digest}) {
    const auto got = store_->GetManifest("a", reference);
    EXPECT_EQ(got->bytes, bytes);
    EXPECT_EQ(got->media_type, kManifestType);
  }
  Descriptor wrong = Describe("layer");
  wrong.size += 1;
  EXPECT_EQ(store_->PutManifest("a", "x", kManifestType, ManifestOf(Describe("config"), {wrong}))
                .error()
                .code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->PutManifest("a", "sha256:" + std::string(64, '0'), kManifestType, bytes)
                .error()
                .code(),
            StatusCode::kInvalidArgument);
}

TEST_F(ContentStoreTest, TagsMoveAndAreListed) {
  const std::string first = AddImage("layer one", "1.0");
  const std::string second = AddImage("layer two", "1.0");
  AddImage("layer two", "latest");
  AddImage("layer three", "x", "b");
  EXPECT_EQ(store_->GetManifest("a", "1.0")->digest, second);
  EXPECT_TRUE(store_->GetManifest("a", first).has_value());  // by its digest still
  EXPECT_THAT(*store_->Tags("a", "", 10), ElementsAre("1.0", "latest"));
  EXPECT_THAT(*store_->Tags("a", "1.0", 10), ElementsAre("latest"));
  EXPECT_THAT(*store_->Tags("a", "", 1), ElementsAre("1.0"));
  EXPECT_EQ(store_->Tags("c", "", 1).error().code(), StatusCode::kNotFound);
  EXPECT_THAT(*store_->Repositories("", 10), ElementsAre("a", "b"));
  EXPECT_THAT(*store_->Repositories("a", 10), ElementsAre("b"));
  const auto infos = store_->TagInfos("a");
  ASSERT_EQ(infos->size(), 2U);
  EXPECT_EQ((*infos)[0].digest, second);
  EXPECT_EQ((*infos)[0].size, 6 + 9 + store_->GetManifest("a", "1.0")->bytes.size());
  ASSERT_TRUE(store_->DeleteTag("a", "latest").ok());
  EXPECT_EQ(store_->DeleteTag("a", "latest").code(), StatusCode::kNotFound);
  ASSERT_TRUE(store_->DeleteManifest("a", second).ok());
  EXPECT_EQ(store_->GetManifest("a", "1.0").error().code(), StatusCode::kNotFound);
  EXPECT_EQ(store_->DeleteManifest("a", second).code(), StatusCode::kNotFound);
}

TEST_F(ContentStoreTest, TagsAndRepositoriesAreLimited) {
  Reopen({.max_repositories = 1, .max_tags = 2});
  const std::string bytes = ManifestOf(Describe("config"), {});
  Add("config");
  const auto put = [&](const std::string& repository, const std::string& tag) {
    const auto result = store_->PutManifest(repository, tag, kManifestType, bytes, false);
    return result ? StatusCode::kOk : result.error().code();
  };
  EXPECT_EQ(put("a", "1"), StatusCode::kOk);
  EXPECT_EQ(put("a", "2"), StatusCode::kOk);
  EXPECT_EQ(put("a", "2"), StatusCode::kOk);
  EXPECT_EQ(put("a", "3"), StatusCode::kResourceExhausted);
  EXPECT_EQ(put("b", "1"), StatusCode::kResourceExhausted);
}

TEST_F(ContentStoreTest, ReferrersAreFound) {
  const std::string image = AddImage("layer", "1.0");
  Add("config");
  const auto refer = [&](const std::string& type) {
    Manifest manifest;
    manifest.media_type = kManifestType;
    manifest.artifact_type = type;
    manifest.config = Describe("config");
    manifest.subject =
        Descriptor{.media_type = std::string(kManifestType), .digest = image, .size = 1};
    const std::string bytes = WriteManifest(manifest);
    const auto put = store_->PutManifest("a", *DigestOf(bytes), kManifestType, bytes);
    EXPECT_EQ(put->subject, image);
  };
  refer("type/one");
  refer("type/two");
  EXPECT_EQ(store_->Referrers("a", image)->size(), 2U);
  const auto one = store_->Referrers("a", image, "type/one");
  ASSERT_EQ(one->size(), 1U);
  EXPECT_EQ((*one)[0].artifact_type, "type/one");
  EXPECT_TRUE(store_->Referrers("b", image)->empty());
}

TEST_F(ContentStoreTest, CollectTakesWhatNobodyNamesAndNothingElse) {
  const std::string image = AddImage("layer", "1.0");
  const std::string lone = Add("nobody's");
  EXPECT_EQ(store_->Collect()->blobs, 0U);  // within its grace
  clock_.Advance(2 * 3600 * kSecond);
  const auto collected = store_->Collect();
  EXPECT_EQ(collected->blobs, 1U);
  EXPECT_EQ(collected->bytes, 8U);
  EXPECT_FALSE(store_->Find(lone).has_value());
  EXPECT_TRUE(store_->GetManifest("a", "1.0").has_value());
  EXPECT_TRUE(store_->FindIn("a", *DigestOf(std::string_view("layer"))).has_value());
  // Without its tag it stays: devices are told digests.
  ASSERT_TRUE(store_->DeleteTag("a", "1.0").ok());
  clock_.Advance(2 * 3600 * kSecond);
  EXPECT_EQ(store_->Collect()->blobs, 0U);
  ASSERT_TRUE(store_->DeleteManifest("a", image).ok());
  EXPECT_EQ(store_->Collect()->blobs, 3U);
  EXPECT_EQ(Files("blobs"), 0);
  EXPECT_EQ(store_->Used()->bytes, 0U);
}

TEST_F(ContentStoreTest, WhatAClientWasToldIsThereStaysThroughCollect) {
  const std::string digest = Add("layer");
  Add("config");
  clock_.Advance(2 * 3600 * kSecond);
  ASSERT_TRUE(store_->FindIn("a", digest).has_value());
  ASSERT_TRUE(store_->FindIn("a", *DigestOf(std::string_view("config"))).has_value());
  EXPECT_EQ(store_->Collect()->blobs, 0U);
  AddImage("layer", "1.0");
}

// What a client was told is there must still be there when its manifest names it, wherever a sweep
// is at that moment.
TEST_F(ContentStoreTest, NoSweepComesBetweenFindingAndNaming) {
  std::vector<std::string> layers;
  for (int i = 0; i < 60; ++i) layers.push_back("layer " + std::to_string(i));
  for (int round = 0; round < 30; ++round) {
    for (const std::string& layer : layers) Add(layer);
    clock_.Advance(2 * 3600 * kSecond);
    std::latch begin(2);
    std::thread sweep([&] {
      begin.arrive_and_wait();
      EXPECT_TRUE(store_->Collect().has_value());
    });
    std::vector<Descriptor> told;
    begin.arrive_and_wait();
    for (const std::string& layer : layers) {
      if (store_->FindIn("a", Describe(layer).digest)) told.push_back(Describe(layer));
    }
    sweep.join();
    if (told.empty()) continue;
    const auto put = store_->PutManifest("a", "1.0", kManifestType, ManifestOf(told.front(), told));
    ASSERT_TRUE(put.has_value()) << put.error().ToString();
    ASSERT_TRUE(store_->DeleteManifest("a", put->digest).ok());
  }
}

TEST_F(ContentStoreTest, ARefusedManifestForgetsNoUse) {
  const std::string layer = Add("layer");
  const std::string other = Add("other");
  clock_.Advance(2 * 3600 * kSecond);
  ASSERT_TRUE(store_->FindIn("a", other).has_value());
  EXPECT_FALSE(store_
                   ->PutManifest("a", "1.0", kManifestType,
                                 ManifestOf(Describe("layer"), {Describe("missing")}))
                   .has_value());
  EXPECT_EQ(store_->Collect()->blobs, 1U);  // the layer; the manifest is new
  EXPECT_TRUE(store_->Find(other).has_value());
  EXPECT_FALSE(store_->Find(layer).has_value());
}

TEST_F(ContentStoreTest, AFullDiskRefusesAndLeavesWhatWasThere) {
  StoreFolder disk;
  if (const std::string why = disk.MakeSmallDisk(4096); !why.empty()) GTEST_SKIP() << why;
  auto store = *ContentStore::Open(disk / "store");
  const auto kept = store->Add("a", "kept");
  ASSERT_TRUE(kept.has_value());
  auto upload = *store->BeginUpload("a");
  const std::string id = upload->id();
  std::string content;
  Status status;
  while (status.ok()) {
    const std::string piece(100'000, static_cast<char>('a' + content.size() / 100'000 % 26));
    status = upload->Write(piece);
    if (status.ok()) content += piece;
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("full"));
  EXPECT_EQ(upload->offset(), content.size());  // what did not fit is not counted
  upload.reset();
  EXPECT_EQ(store->Add("a", std::string(500'000, 'y')).error().code(),
            StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadAll(*store->Path(kept->digest)), "kept");
  // With room it goes on.
  upload = *store->ContinueUpload("a", id);
  upload->Cancel();
  upload.reset();
  EXPECT_TRUE(store->Add("a", std::string(500'000, 'y')).has_value());
}

TEST_F(ContentStoreTest, EvictTakesWhatWasLongestNotUsed) {
  std::vector<std::string> digests;
  for (int i = 0; i < 5; ++i) {
    digests.push_back(Add(std::string(1000, static_cast<char>('a' + i))));
    clock_.Advance(kSecond);
  }
  ASSERT_TRUE(store_->FindIn("a", digests[0]).has_value());  // used again
  EXPECT_EQ(store_->Evict(3000)->blobs, 2U);
  EXPECT_TRUE(store_->Find(digests[0]).has_value());
  EXPECT_FALSE(store_->Find(digests[1]).has_value());
  EXPECT_FALSE(store_->Find(digests[2]).has_value());
  EXPECT_EQ(store_->Used()->bytes, 3000U);
}

TEST_F(ContentStoreTest, WhatAKillLeftHalfDoneIsClearedAway) {
  const std::string digest = Add("hello");
  store_.reset();
  const std::string hex(64, 'e');
  folder_.Write("store/blobs/ee/" + hex, "no row");
  folder_.Write("store/uploads/add-1-2", "no row");
  Reopen();
  EXPECT_EQ(Files("blobs"), 1);
  EXPECT_EQ(Files("uploads"), 0);
  EXPECT_TRUE(store_->Find(digest).has_value());
}

TEST_F(ContentStoreTest, ManyThreadsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        AddImage("layer " + std::to_string(i), std::to_string(t));
        EXPECT_TRUE(store_->Collect().has_value());
        EXPECT_TRUE(store_->GetManifest("a", std::to_string(t)).has_value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store_->Tags("a", "", 100)->size(), 4U);
  EXPECT_EQ(Files("uploads"), 0);
}

// Uploads and tags as fast as it can, saying each digest that it was told is there.
[[noreturn]] void PushForEver(const std::string& folder, int round, int report) {
  auto store = ContentStore::Open(folder);
  if (!store) _exit(3);
  for (int i = 0;; ++i) {
    const std::string layer =
        std::to_string(round) + "." + std::to_string(i) + std::string(5000, 'l');
    if (!(*store)->Add("a", "config") || !(*store)->Add("a", layer)) _exit(4);
    const auto put = (*store)->PutManifest("a", "t" + std::to_string(i % 10), kManifestType,
                                           ManifestOf(Describe("config"), {Describe(layer)}));
    if (!put) _exit(5);
    if (::write(report, put->digest.data(), 71) != 71) _exit(6);
  }
}

TEST_F(ContentStoreTest, AKillAtAnyInstantLeavesAWholeStore) {
  store_.reset();
  std::mt19937 random(20'261'124);
  std::vector<std::string> told;
  for (int round = 0; round < 12; ++round) {
    std::array<int, 2> report = {};
    ASSERT_EQ(::pipe(report.data()), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) PushForEver(folder_ / "store", round, report[1]);
    ::close(report[1]);
    std::string digest(71, '\0');
    ASSERT_EQ(::read(report[0], digest.data(), 71), 71);
    told.push_back(digest);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    ::kill(child, SIGKILL);
    int state = 0;
    ASSERT_EQ(::waitpid(child, &state, 0), child);
    ASSERT_TRUE(WIFSIGNALED(state)) << "ended by itself with " << WEXITSTATUS(state);
    while (::read(report[0], digest.data(), 71) == 71) told.push_back(digest);
    ::close(report[0]);
    Reopen();
    for (const std::string& one : told) {
      const auto manifest = store_->GetManifest("a", one);
      ASSERT_TRUE(manifest.has_value()) << manifest.error().ToString();
      const auto parsed = ParseManifest(manifest->bytes, manifest->media_type);
      ASSERT_TRUE(store_->Verify(parsed->layers[0].digest).ok());
    }
    const auto tags = store_->Tags("a", "", 100);
    ASSERT_TRUE(tags.has_value());
    for (const std::string& tag : *tags) {
      ASSERT_TRUE(store_->GetManifest("a", tag).has_value());
    }
    store_.reset();
  }
}

}  // namespace
}  // namespace selvedge
