#include "registry/content_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <random>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "registry/content_store_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kTouchedAtOnce = 256;
constexpr std::int64_t kTouchedAfterMs = 60'000;
constexpr std::size_t kKeptDamaged = 2;

// `used_ms` and the like are Unix milliseconds. A blob is whole and on the disk when it has a row.
constexpr std::array<std::string_view, 1> kSchema = {R"(
CREATE TABLE blob (
  digest TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  used_ms INTEGER NOT NULL,
  verified_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX blob_used ON blob (used_ms);
CREATE TABLE repository_blob (
  repository TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX repository_blob_digest ON repository_blob (digest);
CREATE TABLE manifest (
  repository TEXT NOT NULL,
  digest TEXT NOT NULL,
  media_type TEXT NOT NULL,
  subject TEXT NOT NULL,
  pushed_ms INTEGER NOT NULL,
  PRIMARY KEY (repository, digest)
) WITHOUT ROWID;
CREATE INDEX manifest_digest ON manifest (digest);
CREATE INDEX manifest_subject ON manifest (repository, subject);
CREATE TABLE manifest_part (
  repository TEXT NOT NULL,
  manifest TEXT NOT NULL,
  part TEXT NOT NULL,
  PRIMARY KEY (repository, manifest, part)
) WITHOUT ROWID;
CREATE INDEX manifest_part_part ON manifest_part (part);
CREATE TABLE tag (
  repository TEXT NOT NULL,
  tag TEXT NOT NULL,
  digest TEXT NOT NULL,
  pushed_ms INTEGER NOT NULL,
  PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE TABLE upload (
  id TEXT PRIMARY KEY,
  repository TEXT NOT NULL,
  used_ms INTEGER NOT NULL
) WITHOUT ROWID;
)"};

Status MakeFolder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return OkStatus();
  return ErrnoError(errno, "cannot make the folder " + path);
}

}  // namespace

Status SyncFolder(const std::string& folder) {
  const int file = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return ErrnoError(errno, "cannot open the folder " + folder);
  const int error = ::fsync(file) == 0 || errno == EINVAL ? 0 : errno;
  ::close(file);
  return error == 0 ? OkStatus() : ErrnoError(error, "cannot sync the folder " + folder);
}

ContentStoreCore::~ContentStoreCore() {
  if (database_ != nullptr) (void)FlushTouched();
  if (lock_ >= 0) ::close(lock_);
}

std::string ContentStoreCore::BlobPath(const std::string& digest) const {
  const std::string_view hex = DigestHex(digest);
  return folder_ + "/blobs/" + std::string(hex.substr(0, 2)) + "/" + std::string(hex);
}

Status ContentStoreCore::MakeFolders() {
  std::error_code error;
  fs::create_directories(fs::path(folder_).parent_path(), error);
  SELVEDGE_RETURN_IF_ERROR(MakeFolder(folder_));
  for (const char* name : {"/blobs", "/uploads", "/damaged"}) {
    SELVEDGE_RETURN_IF_ERROR(MakeFolder(folder_ + name));
  }
  // All 256 now, so that a blob needs only its own folder synced.
  for (int i = 0; i < 256; ++i) {
    std::array<char, 3> name = {};
    std::snprintf(name.data(), name.size(), "%02x", static_cast<unsigned>(i));
    SELVEDGE_RETURN_IF_ERROR(MakeFolder(folder_ + "/blobs/" + name.data()));
  }
  return SyncFolder(folder_ + "/blobs");
}

Status ContentStoreCore::Open() {
  SELVEDGE_RETURN_IF_ERROR(MakeFolders());
  const std::string lock = folder_ + "/lock";
  lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return ErrnoError(errno, "cannot open " + lock);
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    return FailedPreconditionError("the folder " + folder_ +
                                   " is in use by another process; stop that one first");
  }
  auto database = Database::Open(folder_ + "/registry.db", kSchema);
  if (!database) return std::move(database).error();
  database_ = *std::move(database);
  SELVEDGE_RETURN_IF_ERROR(RemoveStrays());
  const Result<std::uint64_t> old = RemoveOldUploads();
  return old ? OkStatus() : old.error();
}

Status ContentStoreCore::RemoveStrays() {
  std::error_code error;
  const auto known = [&](std::string_view sql, const std::string& key) {
    const auto found = database_->QueryInt(sql, {key});
    return !found || found->has_value();  // what cannot be told stays
  };
  for (const auto& folder : fs::directory_iterator(folder_ + "/blobs", error)) {
    for (const auto& file : fs::directory_iterator(folder.path(), error)) {
      const std::string digest = "sha256:" + file.path().filename().string();
      if (!known("SELECT 1 FROM blob WHERE digest = ?", digest)) fs::remove(file.path(), error);
    }
  }
  for (const auto& file : fs::directory_iterator(folder_ + "/uploads", error)) {
    const std::string id = file.path().filename().string();
    if (!known("SELECT 1 FROM upload WHERE id = ?", id)) fs::remove(file.path(), error);
  }
  return OkStatus();
}

Result<BlobInfo> ContentStoreCore::Look(const std::string& digest) {
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::optional<std::int64_t> size,
      database_->QueryInt("SELECT size FROM blob WHERE digest = ?", {digest}));
  if (!size) return Err(NotFoundError("there is no blob " + digest));
  struct stat info = {};
  if (::stat(BlobPath(digest).c_str(), &info) != 0 || info.st_size != *size) {
    return Err(MoveAside(digest));
  }
  return BlobInfo{digest, static_cast<std::uint64_t>(*size)};
}

Result<BlobInfo> ContentStoreCore::Find(const std::string& digest) {
  SELVEDGE_ASSIGN_OR_RETURN(BlobInfo found, Look(digest));
  Touch(digest);
  // The sweep removes nothing that was touched before it looked; where it looked first, it is gone.
  SELVEDGE_ASSIGN_OR_RETURN(const std::optional<std::int64_t> still,
                            database_->QueryInt("SELECT 1 FROM blob WHERE digest = ?", {digest}));
  if (!still) return Err(NotFoundError("there is no blob " + digest));
  return found;
}

bool ContentStoreCore::IsLinked(std::string_view repository, const std::string& digest) {
  const auto found = database_->QueryInt(
      "SELECT 1 FROM repository_blob WHERE repository = ? AND digest = ?", {repository, digest});
  return found && found->has_value();
}

Status ContentStoreCore::Link(std::string_view repository, const std::string& digest) {
  if (repository.empty()) return OkStatus();
  return database_->Run("INSERT OR IGNORE INTO repository_blob (repository, digest) VALUES (?, ?)",
                        {repository, digest});
}

void ContentStoreCore::Touch(const std::string& digest) {
  const std::int64_t now = NowMillis();
  bool flush = false;
  {
    const std::lock_guard lock(touched_mutex_);
    touched_[digest] = now;
    flush = touched_.size() >= kTouchedAtOnce || now - flushed_ms_ > kTouchedAfterMs;
  }
  if (flush) (void)FlushTouched();
}

Status ContentStoreCore::FlushTouched() {
  std::unordered_map<std::string, std::int64_t> touched;
  {
    const std::lock_guard lock(touched_mutex_);
    touched.swap(touched_);
    flushed_ms_ = NowMillis();
  }
  if (touched.empty()) return OkStatus();
  const auto write = [&] {
    Transaction transaction(database_.get());
    SELVEDGE_RETURN_IF_ERROR(transaction.status());
    for (const auto& [digest, used] : touched) {
      SELVEDGE_RETURN_IF_ERROR(
          database_->Run("UPDATE blob SET used_ms = ? WHERE digest = ?", {used, digest}));
    }
    return transaction.Commit();
  };
  const Status status = write();
  if (!status.ok()) {  // the next time, then; what was touched again meanwhile is newer
    const std::lock_guard lock(touched_mutex_);
    touched_.merge(touched);
  }
  return status;
}

Status ContentStoreCore::MoveAside(const std::string& digest) {
  const std::lock_guard lock(publish_mutex);
  const std::string hex(DigestHex(digest));
  const std::string folder = folder_ + "/damaged";
  (void)std::rename(BlobPath(digest).c_str(),
                    (folder + "/" + std::to_string(NowMillis()) + "-" + hex).c_str());
  (void)database_->Run("DELETE FROM blob WHERE digest = ?", {digest});
  std::error_code error;
  std::vector<fs::path> kept;
  for (const auto& file : fs::directory_iterator(folder, error)) kept.push_back(file.path());
  std::ranges::sort(kept, std::greater());
  for (std::size_t i = kKeptDamaged; i < kept.size(); ++i) fs::remove(kept[i], error);
  log::Error("registry", "a blob on the disk was damaged and is moved aside", {{"digest", digest}});
  return DataLossError("the blob " + digest +
                       " was damaged on the disk; it is moved aside, push or fetch it again");
}

Status ContentStoreCore::Verify(const std::string& digest, bool always) {
  const auto verified = [&]() -> Result<bool> {
    SELVEDGE_ASSIGN_OR_RETURN(
        const std::optional<std::int64_t> at,
        database_->QueryInt("SELECT verified_ms FROM blob WHERE digest = ?", {digest}));
    if (!at) return Err(NotFoundError("there is no blob " + digest));
    const std::int64_t age = NowMillis() - *at;
    const std::int64_t limit = std::chrono::milliseconds(options_.verify_after).count();
    return !always && (limit == 0 || (age >= 0 && age < limit));
  };
  Result<bool> fresh = verified();
  if (!fresh) return fresh.error();
  if (*fresh) return OkStatus();
  const std::lock_guard lock(verify_mutex_);
  // Another may have read it meanwhile.
  fresh = verified();
  if (!fresh) return fresh.error();
  if (*fresh) return OkStatus();
  const Result<std::string> really = DigestOfFile(BlobPath(digest));
  if (!really && really.error().code() != StatusCode::kNotFound) return really.error();
  if (!really || *really != digest) return MoveAside(digest);
  return database_->Run("UPDATE blob SET verified_ms = ? WHERE digest = ?", {NowMillis(), digest});
}

Status ContentStoreCore::Publish(const std::string& file, const std::string& digest,
                                 std::uint64_t size) {
  const std::lock_guard lock(publish_mutex);
  const std::string path = BlobPath(digest);
  // Read-only: hard links to it may lie in folders of others.
  (void)::chmod(file.c_str(), 0444);
  if (std::rename(file.c_str(), path.c_str()) != 0) {
    return ErrnoError(errno, "cannot put a blob to " + path);
  }
  SELVEDGE_RETURN_IF_ERROR(SyncFolder(fs::path(path).parent_path().string()));
  const Status inserted = database_->Run(
      "INSERT INTO blob (digest, size, used_ms, verified_ms) VALUES (?1, ?2, ?3, ?3) "
      "ON CONFLICT (digest) DO UPDATE SET used_ms = ?3, verified_ms = ?3",
      {digest, size, NowMillis()});
  if (!inserted.ok()) {
    const auto known = database_->QueryInt("SELECT 1 FROM blob WHERE digest = ?", {digest});
    if (known && !known->has_value()) (void)::unlink(path.c_str());
  }
  return inserted;
}

Result<BlobInfo> ContentStoreCore::Add(std::string_view repository, std::string_view content) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, DigestOf(content));
  if (const auto there = Find(digest); there) {
    SELVEDGE_RETURN_ERR_IF_ERROR(Link(repository, digest));
    return there;
  }
  std::random_device random;
  const std::string file =
      folder_ + "/uploads/add-" + std::to_string(random()) + "-" + std::to_string(random());
  Status status = WriteFileAtomically(file, content);
  if (status.ok()) status = Publish(file, digest, content.size());
  if (!status.ok()) (void)::unlink(file.c_str());
  SELVEDGE_RETURN_ERR_IF_ERROR(status);
  SELVEDGE_RETURN_ERR_IF_ERROR(Link(repository, digest));
  return BlobInfo{digest, content.size()};
}

Status ContentStoreCore::Remove(std::vector<BlobInfo>* blobs) {
  {
    Transaction transaction(database_.get(), Transaction::Purpose::kFreeing);
    SELVEDGE_RETURN_IF_ERROR(transaction.status());
    // Whoever finds a blob touches it first and looks again afterwards (see Find).
    const std::lock_guard lock(touched_mutex_);
    std::erase_if(*blobs, [this](const BlobInfo& blob) { return touched_.contains(blob.digest); });
    for (const BlobInfo& blob : *blobs) {
      SELVEDGE_RETURN_IF_ERROR(database_->Run("DELETE FROM blob WHERE digest = ?", {blob.digest}));
      SELVEDGE_RETURN_IF_ERROR(
          database_->Run("DELETE FROM repository_blob WHERE digest = ?", {blob.digest}));
    }
    SELVEDGE_RETURN_IF_ERROR(transaction.Commit());
  }
  for (const BlobInfo& blob : *blobs) (void)::unlink(BlobPath(blob.digest).c_str());
  return OkStatus();
}

ContentStore::ContentStore(std::unique_ptr<ContentStoreCore> core) : core_(std::move(core)) {}
ContentStore::~ContentStore() = default;

Result<std::unique_ptr<ContentStore>> ContentStore::Open(const std::string& folder,
                                                         const ContentStoreOptions& options,
                                                         const Clock& clock) {
  auto core = std::make_unique<ContentStoreCore>(folder, options, clock);
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Open());
  return std::unique_ptr<ContentStore>(new ContentStore(std::move(core)));
}

Result<BlobInfo> ContentStore::Find(const std::string& digest) {
  return core_->Find(digest);
}

Result<BlobInfo> ContentStore::FindIn(std::string_view repository, const std::string& digest) {
  if (!core_->IsLinked(repository, digest)) {
    return Err(NotFoundError("there is no blob " + digest + " in " + std::string(repository)));
  }
  return core_->Find(digest);
}

Result<std::string> ContentStore::Path(const std::string& digest) {
  const auto found = core_->Find(digest);
  if (!found) return Err(found.error());
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->Verify(digest, /*always=*/false));
  return core_->BlobPath(digest);
}

Status ContentStore::Verify(const std::string& digest) {
  return core_->Verify(digest, /*always=*/true);
}

Status ContentStore::Mount(std::string_view repository, std::string_view from,
                           const std::string& digest) {
  const auto found = FindIn(from, digest);
  if (!found) return found.error();
  return core_->Link(repository, digest);
}

Status ContentStore::Link(std::string_view repository, const std::string& digest) {
  const auto found = core_->Find(digest);
  if (!found) return found.error();
  return core_->Link(repository, digest);
}

Status ContentStore::Unlink(std::string_view repository, const std::string& digest) {
  const auto gone = core_->database()->RunCounting(
      "DELETE FROM repository_blob WHERE repository = ? AND digest = ?", {repository, digest});
  if (!gone) return gone.error();
  if (*gone > 0) return OkStatus();
  return NotFoundError("there is no blob " + digest + " in " + std::string(repository));
}

Result<BlobInfo> ContentStore::Add(std::string_view repository, std::string_view content) {
  return core_->Add(repository, content);
}

const std::string& ContentStore::folder() const {
  return core_->folder();
}

}  // namespace selvedge
