#include "registry/oci_client.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "registry/oci_client_core.h"
#include "registry/reference.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr std::chrono::seconds kSmallCall{60};
constexpr std::uint64_t kMaxSmallBlob = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxTagList = std::uint64_t{4} << 20;
constexpr int kMaxTagPages = 100;

// A mirror may have to fetch it first: it answers by then, and is asked again (RFC 7240).
const std::pair<std::string, std::string> kPreferWait = {"Prefer", "wait=20"};

std::string AcceptedManifests() {
  std::string accept;
  for (const std::string_view type :
       {kIndexType, kManifestType, kDockerListType, kDockerManifestType}) {
    accept.append(accept.empty() ? "" : ", ").append(type);
  }
  return accept;
}

std::string WithoutParameters(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  return std::string(type);
}

HttpCall ManifestCall(const OciClientCore& core, const std::string& method,
                      const std::string& repository, const std::string& reference,
                      const std::stop_token& stop) {
  HttpCall call;
  call.method = method;
  call.url = core.Url(repository + "/manifests/" + reference);
  call.headers = {{"Accept", AcceptedManifests()}, kPreferWait};
  call.max_answer_bytes = kMaxManifestBytes;
  call.total_timeout = kSmallCall;
  call.stop = stop;
  return call;
}

Status CheckNames(const std::string& repository, const std::string& reference) {
  if (!IsRepositoryName(repository)) {
    return InvalidArgumentError("\"" + repository + "\" is no name of a repository");
  }
  if (!IsTag(reference) && !IsDigest(reference)) {
    return InvalidArgumentError("\"" + reference + "\" is neither a tag nor a digest");
  }
  return OkStatus();
}

// The offset in "Range: 0-1023": how much of an upload is there.
std::uint64_t UploadedSoFar(const HttpAnswer& answer) {
  const std::string_view range = answer.Header("Range");
  const std::size_t dash = range.find('-');
  std::uint64_t last = 0;
  if (dash == std::string_view::npos) return 0;
  const std::string_view end = range.substr(dash + 1);
  if (std::from_chars(end.data(), end.data() + end.size(), last).ec != std::errc()) return 0;
  // "0-0" is said of an upload of which nothing is there yet.
  return last == 0 ? 0 : last + 1;
}

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// One upload and its tries.
class Pushing {
 public:
  Pushing(OciClientCore* core, const std::string& repository, const Descriptor& blob, int fd,
          const OciProgress& progress, std::stop_token stop)
      : core_(*core),
        repository_(repository),
        blob_(blob),
        fd_(fd),
        progress_(progress),
        stop_(std::move(stop)) {}

  Status Once(bool* progress) {
    const std::uint64_t before = offset_;
    SELVEDGE_RETURN_IF_ERROR(location_.empty() ? Begin() : AskHowFar());
    *progress = offset_ > before;
    if (offset_ < blob_.size) SELVEDGE_RETURN_IF_ERROR(SendRest());
    return Finish();
  }

 private:
  HttpCall NewCall(const std::string& method, const std::string& url) const {
    HttpCall call;
    call.method = method;
    call.url = url;
    call.stop = stop_;
    call.total_timeout = kSmallCall;
    return call;
  }

  Status Begin() {
    const auto answer = core_.CallOk(repository_, "pull,push",
                                     NewCall("POST", core_.Url(repository_ + "/blobs/uploads/")));
    if (!answer) return answer.error();
    offset_ = 0;
    return TakeLocation(*answer);
  }

  Status TakeLocation(const HttpAnswer& answer) {
    auto location = core_.Locate(answer);
    if (!location) return std::move(location).error();
    location_ = *std::move(location);
    return OkStatus();
  }

  Status AskHowFar() {
    const auto answer = core_.CallOk(repository_, "pull,push", NewCall("GET", location_));
    if (!answer) {
      // It is gone: begin anew.
      if (answer.error().code() == StatusCode::kNotFound) return Begin();
      return answer.error();
    }
    offset_ = std::min(UploadedSoFar(*answer), blob_.size);
    return answer->Header("Location").empty() ? OkStatus() : TakeLocation(*answer);
  }

  Status SendRest() {
    HttpCall call = NewCall("PATCH", location_);
    call.headers = {
        {"Content-Type", "application/octet-stream"},
        {"Content-Range", std::to_string(offset_) + "-" + std::to_string(blob_.size - 1)}};
    call.upload_fd = fd_;
    call.upload_offset = offset_;
    call.upload_length = blob_.size - offset_;
    call.total_timeout = std::chrono::milliseconds(0);
    const std::uint64_t base = offset_;
    call.progress = [&](std::uint64_t done, std::uint64_t) {
      sent_ = base + done;
      if (progress_) progress_(std::min(sent_, blob_.size), blob_.size);
    };
    const auto answer = core_.CallOk(repository_, "pull,push", std::move(call));
    if (!answer) {
      if (answer.error().code() != StatusCode::kOutOfRange) return answer.error();
      location_.clear();  // we disagree on how much is there: begin anew
      return UnavailableError(answer.error().message());
    }
    offset_ = blob_.size;
    return TakeLocation(*answer);
  }

  Status Finish() {
    const std::string url = location_ + (location_.find('?') == std::string::npos ? "?" : "&") +
                            "digest=" + PercentEncode(blob_.digest);
    HttpCall call = NewCall("PUT", url);
    call.total_timeout = std::chrono::minutes(5);  // the other side reads it through
    const auto answer = core_.CallOk(repository_, "pull,push", std::move(call));
    if (!answer) return answer.error();
    if (progress_) progress_(blob_.size, blob_.size);
    return OkStatus();
  }

  OciClientCore& core_;
  const std::string& repository_;
  const Descriptor& blob_;
  int fd_;
  const OciProgress& progress_;
  std::stop_token stop_;
  std::string location_;
  std::uint64_t offset_ = 0;
  std::uint64_t sent_ = 0;
};

}  // namespace

OciClient::OciClient(OciClientOptions options)
    : core_(std::make_unique<OciClientCore>(std::move(options))) {}
OciClient::~OciClient() = default;

const std::string& OciClient::url() const {
  return core_->options().url;
}

Status OciClient::Check() {
  HttpCall call;
  call.url = core_->Url("");
  call.total_timeout = kSmallCall;
  const auto answer = core_->CallOk("", "", std::move(call));
  return answer ? OkStatus() : answer.error();
}

Result<Descriptor> OciClient::Resolve(const std::string& repository, const std::string& reference,
                                      std::stop_token stop) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(repository, reference));
  Descriptor descriptor;
  const Status status = core_->WithRetries(stop, [&](bool*) {
    const auto answer = core_->CallOk(repository, "pull",
                                      ManifestCall(*core_, "HEAD", repository, reference, stop));
    if (!answer) return answer.error();
    descriptor.digest = answer->Header("Docker-Content-Digest");
    descriptor.media_type = WithoutParameters(answer->Header("Content-Type"));
    const std::string_view length = answer->Header("Content-Length");
    std::from_chars(length.data(), length.data() + length.size(), descriptor.size);
    return OkStatus();
  });
  if (status.code() == StatusCode::kNotFound) {
    // An answer to HEAD has no body that would say so.
    return Err(NotFoundError("there is no " + repository + (IsDigest(reference) ? "@" : ":") +
                             reference + " in the registry " + HostOfUrl(url())));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(status);
  if (IsDigest(descriptor.digest) && (!IsDigest(reference) || descriptor.digest == reference)) {
    return descriptor;
  }
  SELVEDGE_ASSIGN_OR_RETURN(const StoredManifest manifest,
                            GetManifest(repository, reference, stop));
  return Descriptor{
      .media_type = manifest.media_type, .digest = manifest.digest, .size = manifest.bytes.size()};
}

Result<StoredManifest> OciClient::GetManifest(const std::string& repository,
                                              const std::string& reference, std::stop_token stop) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(repository, reference));
  StoredManifest manifest;
  std::string said;
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->WithRetries(stop, [&](bool*) {
    auto answer =
        core_->CallOk(repository, "pull", ManifestCall(*core_, "GET", repository, reference, stop));
    if (!answer) return std::move(answer).error();
    manifest.media_type = WithoutParameters(answer->Header("Content-Type"));
    said = answer->Header("Docker-Content-Digest");
    manifest.bytes = std::move(answer->body);
    return OkStatus();
  }));
  SELVEDGE_ASSIGN_OR_RETURN(manifest.digest, DigestOf(manifest.bytes));
  const std::string& wanted = IsDigest(reference) ? reference : said;
  if (IsDigest(wanted) && wanted != manifest.digest) {
    return Err(DataLossError(HostOfUrl(url()) + " gave a manifest with the digest " +
                             manifest.digest + " where " + wanted + " was expected"));
  }
  return manifest;
}

Result<std::string> OciClient::GetBlob(const std::string& repository, const Descriptor& blob,
                                       std::stop_token stop) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(repository, blob.digest));
  if (blob.size > kMaxSmallBlob) {
    return Err(ResourceExhaustedError("the blob " + blob.digest + " is too large for memory"));
  }
  std::string content;
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->WithRetries(stop, [&](bool*) {
    HttpCall call;
    call.url = core_->Url(repository + "/blobs/" + blob.digest);
    call.headers = {kPreferWait};
    call.max_answer_bytes = blob.size;
    call.total_timeout = kSmallCall;
    call.stop = stop;
    auto answer = core_->CallOk(repository, "pull", std::move(call));
    if (!answer) return std::move(answer).error();
    content = std::move(answer->body);
    return OkStatus();
  }));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string digest, DigestOf(content));
  if (digest == blob.digest) return content;
  return Err(DataLossError(HostOfUrl(url()) + " gave other content than " + blob.digest));
}

Result<std::uint64_t> OciClient::BlobSize(const std::string& repository, const std::string& digest,
                                          std::stop_token stop) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(repository, digest));
  std::uint64_t size = 0;
  SELVEDGE_RETURN_ERR_IF_ERROR(core_->WithRetries(stop, [&](bool*) {
    HttpCall call;
    call.method = "HEAD";
    call.url = core_->Url(repository + "/blobs/" + digest);
    call.headers = {kPreferWait};
    call.total_timeout = kSmallCall;
    call.stop = stop;
    const auto answer = core_->CallOk(repository, "pull", std::move(call));
    if (!answer) return answer.error();
    const std::string_view length = answer->Header("Content-Length");
    const auto read = std::from_chars(length.data(), length.data() + length.size(), size);
    if (read.ec == std::errc()) return OkStatus();
    return InternalError(HostOfUrl(url()) + " does not say how large " + digest + " is");
  }));
  return size;
}

Result<bool> OciClient::PushFile(const std::string& repository, const Descriptor& blob,
                                 const std::string& path, const OciProgress& progress,
                                 std::stop_token stop) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckNames(repository, blob.digest));
  const auto there = BlobSize(repository, blob.digest, stop);
  if (there) return false;
  if (there.error().code() != StatusCode::kNotFound) return Err(there.error());
  const OpenFile file(path);
  if (file.fd() < 0) return Err(ErrnoError(errno, "cannot open " + path));
  Pushing pushing(core_.get(), repository, blob, file.fd(), progress, stop);
  SELVEDGE_RETURN_ERR_IF_ERROR(
      core_->WithRetries(stop, [&](bool* further) { return pushing.Once(further); }));
  return true;
}

Result<bool> OciClient::PushBytes(const std::string& repository, const Descriptor& blob,
                                  std::string_view bytes) {
  const int file = ::memfd_create("selvedge-push", MFD_CLOEXEC);
  if (file < 0) return Err(ErrnoError(errno, "cannot hold a blob in memory"));
  const ssize_t written = ::write(file, bytes.data(), bytes.size());
  Result<bool> sent = false;
  if (written != static_cast<ssize_t>(bytes.size())) {
    sent = Err(ErrnoError(errno, "cannot hold a blob in memory"));
  } else {
    sent = PushFile(repository, blob, "/proc/self/fd/" + std::to_string(file));
  }
  ::close(file);
  return sent;
}

Status OciClient::PushManifest(const std::string& repository, const std::string& reference,
                               std::string_view media_type, std::string_view bytes) {
  SELVEDGE_RETURN_IF_ERROR(CheckNames(repository, reference));
  return core_->WithRetries({}, [&](bool*) {
    HttpCall call;
    call.method = "PUT";
    call.url = core_->Url(repository + "/manifests/" + reference);
    call.headers = {{"Content-Type", std::string(media_type)}};
    call.body = bytes;
    call.total_timeout = kSmallCall;
    const auto answer = core_->CallOk(repository, "pull,push", std::move(call));
    return answer ? OkStatus() : answer.error();
  });
}

Result<std::vector<std::string>> OciClient::Tags(const std::string& repository) {
  if (!IsRepositoryName(repository)) {
    return Err(InvalidArgumentError("\"" + repository + "\" is no name of a repository"));
  }
  std::vector<std::string> tags;
  for (int page = 0; page < kMaxTagPages; ++page) {
    HttpCall call;
    call.url = core_->Url(repository + "/tags/list?n=1000" +
                          (tags.empty() ? "" : "&last=" + PercentEncode(tags.back())));
    call.max_answer_bytes = kMaxTagList;
    call.total_timeout = kSmallCall;
    SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer,
                              core_->CallOk(repository, "pull", std::move(call)));
    const auto json = nlohmann::json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
    const std::size_t before = tags.size();
    if (json.is_object() && json.contains("tags") && json["tags"].is_array()) {
      for (const auto& tag : json["tags"]) {
        if (tag.is_string() && IsTag(tag.get<std::string>())) tags.push_back(tag);
      }
    }
    if (answer.Header("Link").empty() || tags.size() == before) return tags;
  }
  return tags;
}

}  // namespace selvedge
