#include "store/database.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "store/store_test_util.h"

namespace selvedge {
namespace {

using testing::HasSubstr;

constexpr std::array<std::string_view, 1> kThings = {
    "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT UNIQUE, body BLOB, weight REAL)"};

std::unique_ptr<Database> MustOpen(const std::string& path,
                                   std::span<const std::string_view> migrations = kThings,
                                   const DatabaseOptions& options = {}) {
  auto database = Database::Open(path, migrations, options);
  EXPECT_TRUE(database.has_value()) << database.error().ToString();
  return database ? *std::move(database) : nullptr;
}

std::int64_t Count(Database* db) {
  return (*db->QueryInt("SELECT count(*) FROM thing")).value_or(-1);
}

int Mode(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<int>(info.st_mode & 0777) : -1;
}

TEST(DatabaseTest, KeepsWhatWasWritten) {
  const StoreFolder folder;
  const std::string bytes("a\0b", 3);
  {
    auto db = MustOpen(folder / "a.db");
    ASSERT_TRUE(
        db->Run("INSERT INTO thing VALUES (?, ?, ?, ?)", {7, "seven", SqlBlob{bytes}, 1.5}).ok());
    ASSERT_TRUE(
        db->Run("INSERT INTO thing VALUES (?, ?, ?, ?)", {8, nullptr, SqlBlob{}, nullptr}).ok());
  }
  auto db = MustOpen(folder / "a.db");
  Rows rows = db->Query("SELECT id, name, body, weight FROM thing ORDER BY id");
  ASSERT_TRUE(rows.Next());
  EXPECT_EQ(rows.Int(0), 7);
  EXPECT_EQ(rows.Text(1), "seven");
  EXPECT_EQ(rows.Blob(2), bytes);
  EXPECT_EQ(rows.Real(3), 1.5);
  ASSERT_TRUE(rows.Next());
  EXPECT_TRUE(rows.IsNull(1));
  EXPECT_FALSE(rows.IsNull(2));  // empty is not NULL
  EXPECT_TRUE(rows.IsNull(3));
  EXPECT_FALSE(rows.Next());
  EXPECT_FALSE(rows.Next());
  EXPECT_TRUE(rows.status().ok());
}

TEST(DatabaseTest, OnlyItsUserMayReadIt) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "deep/er/a.db");
  ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (1)").ok());
  EXPECT_EQ(Mode(folder / "deep"), 0700);
  EXPECT_EQ(Mode(folder / "deep/er"), 0700);
  EXPECT_EQ(Mode(folder / "deep/er/a.db"), 0600);
  EXPECT_EQ(Mode(folder / "deep/er/a.db-wal"), 0600);
}

TEST(DatabaseTest, WrongSqlAndWrongValuesAreErrors) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "a.db");
  EXPECT_EQ(db->Run("SELEKT").code(), StatusCode::kInternal);
  EXPECT_EQ(db->Run("INSERT INTO thing (id) VALUES (?)", {}).code(), StatusCode::kInternal);
  ASSERT_TRUE(db->Run("INSERT INTO thing (id, name) VALUES (1, 'a')").ok());
  EXPECT_EQ(db->Run("INSERT INTO thing (id, name) VALUES (2, 'a')").code(),
            StatusCode::kAlreadyExists);
  EXPECT_EQ(Count(db.get()), 1);
  EXPECT_EQ(*db->RunCounting("UPDATE thing SET weight = 1"), 1);
  EXPECT_EQ(*db->QueryInt("SELECT id FROM thing WHERE id = 5"), std::nullopt);
}

TEST(DatabaseTest, AStatementUsedInsideItselfIsAnother) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "a.db");
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (?)", {i}).ok());
  int pairs = 0;
  Rows outer = db->Query("SELECT id FROM thing");
  while (outer.Next()) {
    Rows inner = db->Query("SELECT id FROM thing");
    while (inner.Next()) ++pairs;
  }
  EXPECT_EQ(pairs, 9);
}

TEST(DatabaseTest, ManyDifferentStatementsDoNotPileUp) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "a.db");
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(*db->QueryInt("SELECT " + std::to_string(i)), i);
    ASSERT_EQ(*db->QueryInt("SELECT count(*) FROM thing"), 0);
  }
}

TEST(TransactionTest, IsAllOrNothing) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "a.db");
  {
    const Transaction lost(db.get());
    ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (1)").ok());
  }
  EXPECT_EQ(Count(db.get()), 0);
  Transaction kept(db.get());
  ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (1)").ok());
  {
    const Transaction inner_lost(db.get());
    ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (2)").ok());
  }
  {
    Transaction inner_kept(db.get());
    ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (3)").ok());
    ASSERT_TRUE(inner_kept.Commit().ok());
  }
  ASSERT_TRUE(kept.Commit().ok());
  EXPECT_EQ(Count(db.get()), 2);
  {
    const Transaction outer_lost(db.get());
    Transaction inner_kept(db.get());
    ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (4)").ok());
    ASSERT_TRUE(inner_kept.Commit().ok());
  }
  EXPECT_EQ(Count(db.get()), 2);
}

TEST(TransactionTest, ThreadsTakeTurns) {
  const StoreFolder folder;
  DatabaseOptions options;
  options.sync = DatabaseOptions::Sync::kNormal;
  auto db = MustOpen(folder / "a.db", kThings, options);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&db] {
      for (int i = 0; i < 50; ++i) {
        Transaction transaction(db.get());
        const auto count = (*db->QueryInt("SELECT count(*) FROM thing")).value_or(0);
        EXPECT_TRUE(db->Run("INSERT INTO thing (id) VALUES (?)", {count}).ok());
        EXPECT_TRUE(transaction.Commit().ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count(db.get()), 200);
}

TEST(MigrationTest, EachIsAppliedOnce) {
  const StoreFolder folder;
  const std::vector<std::string_view> first = {kThings[0]};
  const std::vector<std::string_view> second = {
      kThings[0], "ALTER TABLE thing ADD COLUMN colour TEXT DEFAULT 'red'; -- a comment",
      "CREATE INDEX thing_colour ON thing (colour)"};
  {
    auto db = MustOpen(folder / "a.db", first);
    ASSERT_TRUE(db->Run("INSERT INTO thing (id) VALUES (1)").ok());
  }
  for (int i = 0; i < 2; ++i) {
    auto db = MustOpen(folder / "a.db", second);
    EXPECT_EQ(*db->QueryText("SELECT colour FROM thing"), "red");
    EXPECT_EQ(*db->QueryInt("PRAGMA user_version"), 3);
  }
}

TEST(MigrationTest, OneThatFailsLeavesTheVersionBefore) {
  const StoreFolder folder;
  const std::vector<std::string_view> bad = {kThings[0], "CREATE TABLE other (x); SELEKT"};
  const auto failed = Database::Open(folder / "a.db", bad);
  ASSERT_FALSE(failed.has_value());
  EXPECT_THAT(failed.error().message(), HasSubstr("schema version 2"));
  auto db = MustOpen(folder / "a.db");
  EXPECT_EQ(*db->QueryInt("SELECT count(*) FROM sqlite_schema WHERE name = 'other'"), 0);
}

TEST(MigrationTest, ADatabaseOfANewerProgramIsRefused) {
  const StoreFolder folder;
  const std::vector<std::string_view> newer = {kThings[0], "CREATE TABLE other (x)"};
  MustOpen(folder / "a.db", newer).reset();
  const auto refused = Database::Open(folder / "a.db", kThings);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(refused.error().message(), HasSubstr("newer version of Selvedge"));
}

// A file whose pages in the middle are garbage, and one that never was a database.
class DamageTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      WriteBytes(path_, std::string(10'000, 'x'));
      return;
    }
    {
      auto db = MustOpen(path_);
      Transaction transaction(db.get());
      for (int i = 0; i < 2000; ++i) {
        ASSERT_TRUE(db->Run("INSERT INTO thing VALUES (?, ?, ?, 0)",
                            {i, std::to_string(i), SqlBlob{"some bytes of no meaning"}})
                        .ok());
      }
      ASSERT_TRUE(transaction.Commit().ok());
    }
    std::string bytes = ReadBytes(path_);
    ASSERT_GT(bytes.size(), 40'000U);
    for (std::size_t i = 8192; i < 24'576; ++i) bytes[i] = static_cast<char>(i * 31);
    WriteBytes(path_, bytes);
  }

  // But for the header, where SQLite notes that it had the file open.
  static bool IsTheSame(const std::string& path, const std::string& before) {
    return ReadBytes(path).substr(4096) == before.substr(4096);
  }

  StoreFolder folder_;
  std::string path_ = folder_ / "a.db";
};

TEST_P(DamageTest, IsRefusedInOneSentence) {
  const std::string before = ReadBytes(path_);
  const auto refused = Database::Open(path_, kThings);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), StatusCode::kDataLoss) << refused.error().ToString();
  EXPECT_THAT(refused.error().message(), HasSubstr(path_));
  EXPECT_THAT(refused.error().message(), HasSubstr("backup"));
  EXPECT_TRUE(IsTheSame(path_, before));
}

TEST_P(DamageTest, IsKeptAsideWhereAskedAndTheDiskIsNotFilled) {
  DatabaseOptions options;
  options.on_damage = DatabaseOptions::OnDamage::kKeepAside;
  const std::string before = ReadBytes(path_);
  auto db = MustOpen(path_, kThings, options);
  ASSERT_NE(db, nullptr);
  EXPECT_EQ(Count(db.get()), 0);
  EXPECT_TRUE(IsTheSame(db->kept_aside(), before));
  for (int i = 0; i < 4; ++i) {
    db.reset();
    WriteBytes(path_, before);
    db = MustOpen(path_, kThings, options);
  }
  int kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "")) {
    kept += entry.path().string().find("damaged") != std::string::npos ? 1 : 0;
  }
  EXPECT_EQ(kept, 2);
}

INSTANTIATE_TEST_SUITE_P(Files, DamageTest, testing::Bool());

TEST(DatabaseTest, ASoundFileIsNotCalledKeptAside) {
  const StoreFolder folder;
  EXPECT_EQ(MustOpen(folder / "a.db")->kept_aside(), "");
}

TEST(DatabaseTest, GivesSpaceBack) {
  const StoreFolder folder;
  auto db = MustOpen(folder / "a.db");
  const std::string body(100'000, 'b');
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(db->Run("INSERT INTO thing (id, body) VALUES (?, ?)", {i, SqlBlob{body}}).ok());
  }
  ASSERT_TRUE(db->GiveBackSpace().ok());  // nothing to give
  ASSERT_GT(db->FileBytes(), 9'000'000);
  ASSERT_TRUE(db->Run("DELETE FROM thing").ok());
  ASSERT_TRUE(db->GiveBackSpace().ok());
  EXPECT_LT(std::filesystem::file_size(folder / "a.db"), 1'000'000U);
}

TEST(DatabaseTest, ItsOwnLimitIsAFullDisk) {
  const StoreFolder folder;
  DatabaseOptions options;
  options.max_bytes = 100'000;
  auto db = MustOpen(folder / "a.db", kThings, options);
  const std::string body(10'000, 'b');
  Status status;
  int rows = 0;
  while (status.ok() && rows < 100) {
    status = db->Run("INSERT INTO thing (id, body) VALUES (?, ?)", {rows, SqlBlob{body}});
    if (status.ok()) ++rows;
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(Count(db.get()), rows);
}

TEST(DatabaseTest, AFullDiskIsAnErrorAndLosesNothing) {
  StoreFolder folder;
  if (const std::string why = folder.MakeSmallDisk(2048); !why.empty()) GTEST_SKIP() << why;
  auto db = MustOpen(folder / "a.db");
  const std::string body(5'000, 'b');
  ASSERT_TRUE(db->Run("INSERT INTO thing (id, body) VALUES (0, ?)", {SqlBlob{body}}).ok());
  FillDisk(folder / "filler");
  Status status;
  int rows = 1;
  while (status.ok() && rows < 1000) {
    Transaction transaction(db.get());
    status = db->Run("INSERT INTO thing (id, body) VALUES (?, ?)", {rows, SqlBlob{body}});
    if (status.ok()) status = transaction.Commit();
    if (status.ok()) ++rows;
  }
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_EQ(Count(db.get()), rows);
  // The reserve is for deleting only.
  EXPECT_EQ(std::filesystem::file_size(folder / "a.db.reserve"), 1U << 20);
  {
    Transaction freeing(db.get(), Transaction::Purpose::kFreeing);
    ASSERT_TRUE(db->Run("DELETE FROM thing WHERE id > 0").ok());
    ASSERT_TRUE(freeing.Commit().ok());
  }
  rows = 1;
  // And with room again all goes on, without reopening.
  ASSERT_TRUE(std::filesystem::remove(folder / "filler"));
  EXPECT_TRUE(db->Run("INSERT INTO thing (id, body) VALUES (?, ?)", {rows, SqlBlob{body}}).ok());
  db.reset();
  EXPECT_EQ(Count(MustOpen(folder / "a.db").get()), rows + 1);
}

TEST(TransactionTest, OneThatAFullDiskUndidDoesNotGoOnOutsideOfIt) {
  StoreFolder folder;
  if (const std::string why = folder.MakeSmallDisk(2048); !why.empty()) GTEST_SKIP() << why;
  DatabaseOptions options;
  options.cache_bytes = 64 * 1024;  // so that pages are written before the commit
  auto db = MustOpen(folder / "a.db", kThings, options);
  FillDisk(folder / "filler");
  {
    Transaction transaction(db.get());
    const std::string body(4'000'000, 'b');
    ASSERT_FALSE(db->Run("INSERT INTO thing (id, body) VALUES (1, ?)", {SqlBlob{body}}).ok());
    (void)db->Run("INSERT INTO thing (id) VALUES (2)");
    (void)transaction.Commit();
  }
  const auto count = Count(db.get());
  EXPECT_TRUE(count == 0 || count == 1) << count;
  EXPECT_TRUE(db->QueryInt("SELECT count(*) FROM thing").has_value());
}

}  // namespace
}  // namespace selvedge
