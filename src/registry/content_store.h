#pragma once

// ContentStore: content-addressed blobs in a folder, and which repositories, manifests and tags use
// them.
//
//   FOLDER/blobs/ab/abcdef…   a blob under its SHA-256, whole and synced before it has that name
//   FOLDER/uploads/ID         what was sent so far
//   FOLDER/damaged/           blobs that no longer matched their name (the last two)
//   FOLDER/registry.db        all else
//
// Owned by the process that serves or downloads; one per folder. Thread-safe; calls wait for the
// disk. A kill at any instant leaves a whole store: what was answered with OK is there, anything
// else is not, or continues where it was. Failure: NotFound; ResourceExhausted where the disk or a
// limit is full: nothing that was there is touched; DataLoss where a blob on the disk is not what
// its name says: it is moved aside, so that it can be sent or downloaded anew.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "registry/manifest.h"

namespace selvedge {

struct ContentStoreOptions {
  std::uint64_t max_blob_bytes = kMaxBlobBytes;
  int max_uploads = 200;                     // under way or left lying
  std::chrono::seconds upload_life{86'400};  // of one that nobody continues
  std::chrono::seconds grace{3'600};         // a blob that nothing uses is kept so long
  int max_repositories = 10'000;
  int max_tags = 10'000;  // of one repository
  // A blob is read through before it is served where that was longer ago; 0: never.
  std::chrono::seconds verify_after{86'400};
};

struct BlobInfo {
  std::string digest;
  std::uint64_t size = 0;
};

struct StoredManifest {
  std::string digest;
  std::string media_type;
  std::string bytes;
};

struct TagInfo {
  std::string tag;
  std::string digest;
  std::uint64_t size = 0;  // of all that the tag needs, each blob once
  std::int64_t pushed_unix_ms = 0;
};

// One upload or download under way, held by whoever writes to it: nobody else can open it
// meanwhile. Let go (destroyed) without Commit or Cancel it stays on the disk, to be continued. Not
// thread-safe.
class Upload {
 public:
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  const std::string& id() const;
  std::uint64_t offset() const;  // bytes that are there
  // Appends. ResourceExhausted where the disk is full or the blob too large.
  Status Write(std::string_view bytes);
  // Makes it the blob `digest`, linked into the upload's repository (if it has one).
  // InvalidArgument where the content has another digest: the upload is gone then.
  Result<BlobInfo> Commit(const std::string& digest);
  // Removes it.
  void Cancel();

 private:
  friend class ContentStoreCore;
  class Core;
  explicit Upload(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

class ContentStore {
 public:
  // Clears away what a kill left half done. `clock` must outlive it.
  static Result<std::unique_ptr<ContentStore>> Open(const std::string& folder,
                                                    const ContentStoreOptions& options = {},
                                                    const Clock& clock = Clock::System());
  ~ContentStore();
  ContentStore(const ContentStore&) = delete;
  ContentStore& operator=(const ContentStore&) = delete;

  // Blobs. NotFound where it is not there. Marks it as used now.
  Result<BlobInfo> Find(const std::string& digest);
  // The same, within a repository: a blob is there only where it was pushed or mounted.
  Result<BlobInfo> FindIn(std::string_view repository, const std::string& digest);
  // The path of its file, read through and compared before (see verify_after). The file is never
  // written again; it may be removed, which does not trouble who has it open.
  Result<std::string> Path(const std::string& digest);
  // Reads it through now, whatever was before.
  Status Verify(const std::string& digest);
  // Makes a blob of one repository one of another too; NotFound where `from` does not have it.
  Status Mount(std::string_view repository, std::string_view from, const std::string& digest);
  // Links a blob that is there into a repository.
  Status Link(std::string_view repository, const std::string& digest);
  // Takes it from the repository; the sweep removes what nobody has.
  Status Unlink(std::string_view repository, const std::string& digest);
  // Adds small content in one go.
  Result<BlobInfo> Add(std::string_view repository, std::string_view content);

  // Uploads have an id of the store's choosing; downloads are named by the digest they are to have,
  // so that one that was cut off is found again. `repository` may be empty for downloads.
  // FailedPrecondition where another holds it, ResourceExhausted where there are too many.
  Result<std::unique_ptr<Upload>> BeginUpload(std::string_view repository);
  Result<std::unique_ptr<Upload>> ContinueUpload(std::string_view repository, std::string_view id);
  // How much of it is there, while another may hold it.
  Result<std::uint64_t> UploadOffset(std::string_view repository, std::string_view id);
  Result<std::unique_ptr<Upload>> BeginDownload(std::string_view repository,
                                                const std::string& digest);

  // Manifests. `reference` is a tag or a digest. With `whole`, everything that it names must be in
  // the repository (NotFound says what is missing); a mirror keeps one before its blobs come.
  Result<StoredManifest> GetManifest(std::string_view repository, std::string_view reference);
  // Returns the digest; the tag, if it is one, points at it from now on.
  struct PutResult {
    std::string digest;
    std::string subject;  // digest of the manifest that it refers to; empty where it does not
  };
  Result<PutResult> PutManifest(std::string_view repository, std::string_view reference,
                                std::string_view media_type, std::string_view bytes,
                                bool whole = true);
  Status DeleteManifest(std::string_view repository, const std::string& digest);
  Status DeleteTag(std::string_view repository, std::string_view tag);
  // Manifests whose subject is `digest`, as descriptors; of one type only where it is given.
  Result<std::vector<Descriptor>> Referrers(std::string_view repository, const std::string& digest,
                                            std::string_view artifact_type = {});

  // In order of name, after `after`, at most `limit` (1 to 1000).
  Result<std::vector<std::string>> Repositories(std::string_view after, int limit);
  // NotFound where there is no such repository.
  Result<std::vector<std::string>> Tags(std::string_view repository, std::string_view after,
                                        int limit);
  Result<std::vector<TagInfo>> TagInfos(std::string_view repository);
  // Of everything.
  struct Usage {
    std::uint64_t bytes = 0;
    std::uint64_t blobs = 0;
    std::uint64_t repositories = 0;
  };
  Result<Usage> Used();

  struct Collected {
    std::uint64_t blobs = 0;
    std::uint64_t bytes = 0;
    std::uint64_t uploads = 0;
  };
  // Removes blobs that no manifest names, and uploads that nobody continued, both older than their
  // grace. Runs beside everything else. Manifests stay until they are deleted, tagged or not:
  // devices are told digests, not tags.
  Result<Collected> Collect();
  // For a cache: removes the blobs that were longest not used until at most `max_bytes` are left.
  Result<Collected> Evict(std::uint64_t max_bytes);
  // Reads blobs through that were longest not read through, at most about `max_bytes`; returns the
  // digests of damaged ones, which were moved aside. For a thread at leisure.
  Result<std::vector<std::string>> Scrub(std::uint64_t max_bytes);

  const std::string& folder() const;

 private:
  explicit ContentStore(std::unique_ptr<class ContentStoreCore> core);
  std::unique_ptr<class ContentStoreCore> core_;
};

}  // namespace selvedge
