// Uploads and downloads under way.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <random>
#include <utility>

#include "registry/content_store.h"
#include "registry/content_store_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

constexpr std::size_t kIdLength = 32;

std::string NewId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) {
    std::array<char, 9> part = {};
    std::snprintf(part.data(), part.size(), "%08x", random());
    id += part.data();
  }
  return id;
}

bool IsUploadId(std::string_view id) {
  return id.size() == kIdLength && std::ranges::all_of(id, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Status CannotWrite(int error, const std::string& path) {
  if (error == ENOSPC || error == EDQUOT) {
    return ResourceExhaustedError("the disk that holds " + path +
                                  " is full; make room, then send the rest");
  }
  return ErrnoError(error, "cannot write " + path);
}

}  // namespace

std::string ContentStoreCore::UploadPath(std::string_view id) const {
  return folder_ + "/uploads/" + std::string(id);
}

Result<std::shared_ptr<UploadState>> ContentStoreCore::NewUpload(std::string_view repository,
                                                                 std::string id) {
  const std::lock_guard lock(uploads_mutex_);
  SELVEDGE_ASSIGN_OR_RETURN(const std::optional<std::int64_t> count,
                            database_->QueryInt("SELECT count(*) FROM upload"));
  if (count.value_or(0) >= options_.max_uploads) {
    return Err(ResourceExhaustedError(
        "there are " + std::to_string(options_.max_uploads) +
        " uploads under way already, the limit; finish or cancel some, then try again"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(
      database_->Run("INSERT INTO upload (id, repository, used_ms) VALUES (?, ?, ?)",
                     {id, repository, NowMillis()}));
  auto state = std::make_shared<UploadState>();
  state->id = id;
  state->repository = repository;
  state->path = UploadPath(id);
  state->digester = std::make_unique<Digester>();
  state->held = true;
  uploads_[id] = state;
  return state;
}

Result<std::shared_ptr<UploadState>> ContentStoreCore::FindUpload(std::string_view repository,
                                                                  std::string_view id) {
  const std::lock_guard lock(uploads_mutex_);
  const std::string key(id);
  if (const auto found = uploads_.find(key); found != uploads_.end()) {
    if (found->second->repository == repository) return found->second;
    return Err(NotFoundError("there is no such upload in " + std::string(repository)));
  }
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::optional<std::string> owner,
      database_->QueryText("SELECT repository FROM upload WHERE id = ?", {id}));
  if (!owner || *owner != repository) {
    return Err(NotFoundError("there is no such upload in " + std::string(repository)));
  }
  auto state = std::make_shared<UploadState>();
  state->id = key;
  state->repository = repository;
  state->path = UploadPath(id);
  struct stat info = {};
  if (::stat(state->path.c_str(), &info) == 0) {
    state->offset = static_cast<std::uint64_t>(info.st_size);
  }
  if (state->offset == 0) state->digester = std::make_unique<Digester>();
  uploads_[key] = state;
  return state;
}

Status ContentStoreCore::Hold(const std::shared_ptr<UploadState>& state) {
  const std::lock_guard lock(uploads_mutex_);
  if (std::exchange(state->held, true)) {
    return FailedPreconditionError("the upload is being written to by another");
  }
  return OkStatus();
}

void ContentStoreCore::LetGo(UploadState* state) {
  (void)database_->Run("UPDATE upload SET used_ms = ? WHERE id = ?", {NowMillis(), state->id});
  const std::lock_guard lock(uploads_mutex_);
  state->held = false;
}

void ContentStoreCore::ForgetUpload(const std::string& id, const std::string& path) {
  (void)::unlink(path.c_str());
  (void)database_->Run("DELETE FROM upload WHERE id = ?", {id});
  const std::lock_guard lock(uploads_mutex_);
  uploads_.erase(id);
}

Result<std::uint64_t> ContentStoreCore::RemoveOldUploads() {
  const std::int64_t before = NowMillis() - std::chrono::milliseconds(options_.upload_life).count();
  std::vector<std::string> old;
  {
    Rows rows = database_->Query("SELECT id FROM upload WHERE used_ms < ?", {before});
    while (rows.Next()) old.emplace_back(rows.Text(0));
    if (!rows.status().ok()) return Err(rows.status());
  }
  std::uint64_t removed = 0;
  for (const std::string& id : old) {
    {
      const std::lock_guard lock(uploads_mutex_);
      const auto found = uploads_.find(id);
      if (found != uploads_.end() && std::exchange(found->second->held, true)) continue;
    }
    ForgetUpload(id, UploadPath(id));
    ++removed;
  }
  return removed;
}

class Upload::Core {
 public:
  Core(ContentStoreCore* store, std::shared_ptr<UploadState> state)
      : store(store), state(std::move(state)) {}
  ~Core() {
    if (file >= 0) ::close(file);
    if (!done) store->LetGo(state.get());
  }

  Status Open() {
    file = ::open(state->path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return ErrnoError(errno, "cannot open " + state->path);
    // After a kill in a write: what was not counted yet is written again.
    struct stat info = {};
    if (::fstat(file, &info) != 0) return ErrnoError(errno, "cannot read " + state->path);
    if (static_cast<std::uint64_t>(info.st_size) < state->offset) {
      return DataLossError("the upload at " + state->path + " was shortened by another hand");
    }
    return ::ftruncate(file, static_cast<off_t>(state->offset)) == 0
               ? OkStatus()
               : CannotWrite(errno, state->path);
  }

  void Forget() {
    done = true;
    store->ForgetUpload(state->id, state->path);
  }

  Result<std::string> Digest() {
    if (state->digester != nullptr) return state->digester->Finish();
    return DigestOfFile(state->path);
  }

  ContentStoreCore* store;
  std::shared_ptr<UploadState> state;
  int file = -1;
  bool done = false;
};

Upload::Upload(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Upload::~Upload() = default;

const std::string& Upload::id() const {
  return core_->state->id;
}

std::uint64_t Upload::offset() const {
  return core_->state->offset;
}

Status Upload::Write(std::string_view bytes) {
  UploadState& state = *core_->state;
  if (bytes.size() > core_->store->options().max_blob_bytes - state.offset) {
    return ResourceExhaustedError("a blob of more than " +
                                  std::to_string(core_->store->options().max_blob_bytes >> 20) +
                                  " MiB is not taken");
  }
  std::uint64_t at = state.offset;
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = ::pwrite(core_->file, rest.data(), rest.size(), static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int error = n < 0 ? errno : ENOSPC;
      const bool cut = ::ftruncate(core_->file, static_cast<off_t>(state.offset)) == 0;
      return CannotWrite(cut ? error : errno, state.path);
    }
    at += static_cast<std::uint64_t>(n);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (state.digester != nullptr) state.digester->Update(bytes);
  state.offset = at;
  return OkStatus();
}

Result<BlobInfo> Upload::Commit(const std::string& digest) {
  UploadState& state = *core_->state;
  Result<std::string> really = core_->Digest();
  state.digester = nullptr;  // was finished: read anew if this is tried again
  if (!really) return Err(std::move(really).error());
  if (*really != digest) {
    core_->Forget();
    return Err(InvalidArgumentError("what was sent has the digest " + *really + ", not " + digest));
  }
  if (::fsync(core_->file) != 0) return Err(CannotWrite(errno, state.path));
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->store->Publish(state.path, digest, state.offset));
  const BlobInfo info{digest, state.offset};
  const Status linked = core_->store->Link(state.repository, digest);
  core_->Forget();
  SELVEDGE_RETURN_ERR_IF_ERROR(linked);
  return info;
}

void Upload::Cancel() {
  if (!core_->done) core_->Forget();
}

Result<std::unique_ptr<Upload>> ContentStoreCore::Held(std::shared_ptr<UploadState> state) {
  auto core = std::make_unique<Upload::Core>(this, std::move(state));
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Open());
  return std::unique_ptr<Upload>(new Upload(std::move(core)));
}

Result<std::unique_ptr<Upload>> ContentStore::BeginUpload(std::string_view repository) {
  SELVEDGE_ASSIGN_OR_RETURN(auto state, core_->NewUpload(repository, NewId()));
  return core_->Held(std::move(state));
}

Result<std::unique_ptr<Upload>> ContentStore::ContinueUpload(std::string_view repository,
                                                             std::string_view id) {
  if (!IsUploadId(id)) return Err(NotFoundError("there is no such upload"));
  SELVEDGE_ASSIGN_OR_RETURN(auto state, core_->FindUpload(repository, id));
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->Hold(state));
  return core_->Held(std::move(state));
}

Result<std::uint64_t> ContentStore::UploadOffset(std::string_view repository, std::string_view id) {
  if (!IsUploadId(id)) return Err(NotFoundError("there is no such upload"));
  SELVEDGE_ASSIGN_OR_RETURN(const auto state, core_->FindUpload(repository, id));
  return state->offset.load();
}

Result<std::unique_ptr<Upload>> ContentStore::BeginDownload(std::string_view repository,
                                                            const std::string& digest) {
  if (!IsDigest(digest)) return Err(InvalidArgumentError(digest + " is no digest"));
  const std::string id = "d-" + std::string(DigestHex(digest));
  auto state = core_->FindUpload(repository, id);
  if (state) {
    SELVEDGE_RETURN_ERR_IF_ERROR(core_->Hold(*state));
    return core_->Held(*std::move(state));
  }
  if (state.error().code() != StatusCode::kNotFound) return Err(std::move(state).error());
  SELVEDGE_ASSIGN_OR_RETURN(auto fresh, core_->NewUpload(repository, id));
  return core_->Held(std::move(fresh));
}

}  // namespace selvedge
