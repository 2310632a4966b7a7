#pragma once

// The inside of ContentStore, for content_*.cc.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "registry/content_store.h"
#include "store/database.h"
#include "trust/digest.h"

namespace selvedge {

// What is known of an upload between the calls that write to it.
struct UploadState {
  std::string id;
  std::string repository;
  std::string path;
  std::atomic<std::uint64_t> offset = 0;  // written by who holds it
  // Of all bytes so far; null where some were written before this process was started.
  std::unique_ptr<Digester> digester;
  bool held = false;
};

class ContentStoreCore {
 public:
  ContentStoreCore(std::string folder, const ContentStoreOptions& options, const Clock& clock)
      : folder_(std::move(folder)), options_(options), clock_(clock) {}
  ~ContentStoreCore();

  Status Open();

  const std::string& folder() const { return folder_; }
  const ContentStoreOptions& options() const { return options_; }
  Database* database() { return database_.get(); }
  std::int64_t NowMillis() const { return clock_.Wall() / kMillisecond; }

  std::string BlobPath(const std::string& digest) const;
  std::string UploadPath(std::string_view id) const;

  // Whether it is there, without marking it as used: for who holds `publish_mutex`.
  Result<BlobInfo> Look(const std::string& digest);
  // The same, and marks it: what was found here is not swept before its grace is over. Not within a
  // transaction, which may be rolled back.
  Result<BlobInfo> Find(const std::string& digest);
  bool IsLinked(std::string_view repository, const std::string& digest);
  Status Link(std::string_view repository, const std::string& digest);
  // Marks as used now; written to the database later, together with others.
  void Touch(const std::string& digest);
  Status FlushTouched();

  // Reads it through where `always`, or where that was long ago.
  Status Verify(const std::string& digest, bool always);
  // Out of the way; always gives DataLoss.
  Status MoveAside(const std::string& digest);

  // Gives a finished file, synced, the name of its digest.
  Status Publish(const std::string& file, const std::string& digest, std::uint64_t size);
  Result<BlobInfo> Add(std::string_view repository, std::string_view content);
  // Deletes rows and files of these blobs, but for those that were found since FlushTouched, which
  // it takes out of the list. `publish_mutex` is held.
  Status Remove(std::vector<BlobInfo>* blobs);

  Result<std::shared_ptr<UploadState>> NewUpload(std::string_view repository, std::string id);
  // Of an upload of that repository; NotFound.
  Result<std::shared_ptr<UploadState>> FindUpload(std::string_view repository, std::string_view id);
  Status Hold(const std::shared_ptr<UploadState>& state);
  // For who holds it.
  Result<std::unique_ptr<Upload>> Held(std::shared_ptr<UploadState> state);
  void LetGo(UploadState* state);
  void ForgetUpload(const std::string& id, const std::string& path);
  Result<std::uint64_t> RemoveOldUploads();

  Result<StoredManifest> GetManifest(std::string_view repository, std::string_view reference);
  Result<ContentStore::PutResult> PutManifest(std::string_view repository,
                                              std::string_view reference,
                                              std::string_view media_type, std::string_view bytes,
                                              bool whole);

  // Held while a blob gets its name and row, or loses them.
  std::recursive_mutex publish_mutex;

 private:
  Status MakeFolders();
  // Files without a row: a kill between the two.
  Status RemoveStrays();
  Status CheckParts(std::string_view repository, const Manifest& manifest);
  Status CheckRoom(std::string_view repository, std::string_view reference);
  Status InsertManifest(std::string_view repository, std::string_view reference,
                        const std::string& digest, const Manifest& manifest);

  const std::string folder_;
  const ContentStoreOptions options_;
  const Clock& clock_;
  int lock_ = -1;  // a descriptor: one process per folder
  std::unique_ptr<Database> database_;

  std::mutex uploads_mutex_;
  std::unordered_map<std::string, std::shared_ptr<UploadState>> uploads_;

  std::mutex touched_mutex_;
  std::unordered_map<std::string, std::int64_t> touched_;
  std::int64_t flushed_ms_ = 0;

  std::mutex verify_mutex_;  // one at a time: it is the disk that takes the time
};

// The hexadecimal part.
inline std::string_view DigestHex(std::string_view digest) {
  return digest.substr(digest.find(':') + 1);
}

// The folder's entries are on the disk.
Status SyncFolder(const std::string& folder);

}  // namespace selvedge
