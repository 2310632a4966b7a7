// Downloading into a ContentStore, going on where it was cut off.

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "registry/oci_client.h"
#include "registry/oci_client_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

constexpr std::chrono::milliseconds kOtherDownload{100};

class Downloading {
 public:
  Downloading(OciClientCore* core, ContentStore* store, const std::string& repository,
              const Descriptor& blob, const OciProgress& progress, std::stop_token stop)
      : core_(*core),
        store_(*store),
        repository_(repository),
        blob_(blob),
        progress_(progress),
        stop_(std::move(stop)) {}

  // Until it is ours to write, or another has finished it.
  Status Begin(bool* done) {
    for (;;) {
      if (store_.Find(blob_.digest)) {
        *done = true;
        return repository_.empty() ? OkStatus() : store_.Link(repository_, blob_.digest);
      }
      auto upload = store_.BeginDownload(repository_, blob_.digest);
      if (upload) {
        upload_ = *std::move(upload);
        return OkStatus();
      }
      if (upload.error().code() != StatusCode::kFailedPrecondition) return upload.error();
      if (stop_.stop_requested()) return CancelledError("the download was stopped");
      std::this_thread::sleep_for(kOtherDownload);  // another thread's; it has a time limit
    }
  }

  Status Once(bool* progress) {
    if (upload_->offset() > blob_.size) SELVEDGE_RETURN_IF_ERROR(Restart());
    if (upload_->offset() < blob_.size) SELVEDGE_RETURN_IF_ERROR(Fetch(progress));
    const auto info = upload_->Commit(blob_.digest);
    if (info) return OkStatus();
    if (info.error().code() != StatusCode::kInvalidArgument) return info.error();
    // Perhaps what was there from before was wrong: once more, from the beginning.
    const DataLossReport report = {HostOfUrl(core_.options().url), blob_.digest};
    if (std::exchange(restarted_, true)) return report.ToStatus();
    SELVEDGE_RETURN_IF_ERROR(Restart());
    *progress = true;
    return UnavailableError(report.ToStatus().message());
  }

  // After a failure: an upload of which nothing came is of no use to anybody.
  void LeaveNothingEmpty() {
    if (upload_ != nullptr && upload_->offset() == 0) upload_->Cancel();
  }

 private:
  struct DataLossReport {
    std::string host;
    std::string digest;
    Status ToStatus() const {
      return DataLossError(host + " gave other content than " + digest +
                           ", twice; it is damaged there or on the way");
    }
  };

  Status Restart() {
    upload_->Cancel();
    upload_.reset();
    auto upload = store_.BeginDownload(repository_, blob_.digest);
    if (!upload) return std::move(upload).error();
    upload_ = *std::move(upload);
    return OkStatus();
  }

  Status Fetch(bool* progress) {
    const std::uint64_t before = upload_->offset();
    HttpCall call;
    call.url = core_.Url(repository_ + "/blobs/" + blob_.digest);
    call.headers = {{"Prefer", "wait=20"}};
    call.resume_from = before;
    call.max_output_bytes = blob_.size - before;
    call.stop = stop_;
    call.sink = [&](std::string_view bytes) {
      SELVEDGE_RETURN_IF_ERROR(upload_->Write(bytes));
      if (progress_) progress_(upload_->offset(), blob_.size);
      return OkStatus();
    };
    const auto answer = core_.CallOk(repository_, "pull", std::move(call));
    *progress = *progress || upload_->offset() > before;
    if (!answer) {
      if (answer.error().code() != StatusCode::kOutOfRange || before == 0) return answer.error();
      SELVEDGE_RETURN_IF_ERROR(Restart());  // less is there than we have: that is not it
      return UnavailableError(answer.error().message());
    }
    if (upload_->offset() == blob_.size) return OkStatus();
    return UnavailableError(HostOfUrl(core_.options().url) + " sent only " +
                            std::to_string(upload_->offset()) + " of " +
                            std::to_string(blob_.size) + " bytes of " + blob_.digest);
  }

  OciClientCore& core_;
  ContentStore& store_;
  const std::string& repository_;
  const Descriptor& blob_;
  const OciProgress& progress_;
  std::stop_token stop_;
  std::unique_ptr<Upload> upload_;
  bool restarted_ = false;
};

}  // namespace

Status OciClient::Download(const std::string& repository, const Descriptor& blob,
                           ContentStore* store, const OciProgress& progress, std::stop_token stop) {
  if (!IsRepositoryName(repository) || !IsDigest(blob.digest)) {
    return InvalidArgumentError("\"" + repository + "@" + blob.digest + "\" names no blob");
  }
  Downloading downloading(core_.get(), store, repository, blob, progress, stop);
  bool done = false;
  SELVEDGE_RETURN_IF_ERROR(downloading.Begin(&done));
  if (done) {
    if (progress) progress(blob.size, blob.size);
    return OkStatus();
  }
  Status status =
      core_->WithRetries(stop, [&](bool* further) { return downloading.Once(further); });
  if (!status.ok()) downloading.LeaveNothingEmpty();
  return status;
}

}  // namespace selvedge
