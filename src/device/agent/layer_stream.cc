#include "device/agent/layer_stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/config.h"
#include "device/agent/root_folder.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr std::size_t kBuffer = std::size_t{128} * 1024;

Status Damaged(archive* reader) {
  const char* why = archive_error_string(reader);
  return DataLossError("it is damaged: " +
                       QuoteForMessage(why != nullptr ? why : "no reason given"));
}

}  // namespace

Result<LayerCompression> CompressionOfLayer(std::string_view media_type) {
  if (media_type == "application/vnd.oci.image.layer.v1.tar" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar") {
    return LayerCompression::kNone;
  }
  if (media_type == "application/vnd.oci.image.layer.v1.tar+gzip" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip") {
    return LayerCompression::kGzip;
  }
  if (media_type == "application/vnd.oci.image.layer.v1.tar+zstd" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar.zstd") {
    return LayerCompression::kZstd;
  }
  return Err(UnimplementedError("a layer of the image has the media type " +
                                QuoteForMessage(media_type) +
                                "; it must be a tar, plain or packed by gzip or zstd"));
}

Result<LayerSource> OpenLayerFile(const std::string& path) {
  const auto file = std::make_shared<OwnedDescriptor>(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file->ok()) return Err(ErrnoError(errno, path));
  return [file, path](char* buffer, std::size_t size) -> Result<std::size_t> {
    for (;;) {
      const ssize_t count = read(file->get(), buffer, size);
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) return Err(ErrnoError(errno, path));
    }
  };
}

class LayerStream::Digests {
 public:
  Digester packed;
  Digester plain;
};

LayerStream::LayerStream(LayerSource source, const LayerStreamOptions& options)
    : source_(std::move(source)),
      options_(options),
      packed_(archive_read_new()),
      tar_(archive_read_new()),
      digests_(std::make_unique<Digests>()),
      source_buffer_(std::make_unique<char[]>(kBuffer)),
      plain_buffer_(std::make_unique<char[]>(kBuffer)) {}

LayerStream::~LayerStream() {
  // The tar first: it reads through the other.
  archive_read_free(tar_);
  archive_read_free(packed_);
}

Result<std::unique_ptr<LayerStream>> LayerStream::Open(LayerSource source,
                                                       const LayerStreamOptions& options) {
  std::unique_ptr<LayerStream> stream(new LayerStream(std::move(source), options));
  if (stream->packed_ == nullptr || stream->tar_ == nullptr) {
    return Err(ResourceExhaustedError("there is no memory left to unpack a layer"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(stream->Start());
  return stream;
}

Status LayerStream::Start() {
  int filter = ARCHIVE_FILTER_NONE;
  if (options_.compression == LayerCompression::kGzip) {
    filter = ARCHIVE_FILTER_GZIP;
    archive_read_support_filter_gzip(packed_);
  } else if (options_.compression == LayerCompression::kZstd) {
    filter = ARCHIVE_FILTER_ZSTD;
    archive_read_support_filter_zstd(packed_);
  }
  archive_read_support_format_raw(packed_);
  archive_entry* whole = nullptr;
  if (archive_read_open(packed_, this, nullptr, GiveSource, nullptr) != ARCHIVE_OK ||
      archive_read_next_header(packed_, &whole) != ARCHIVE_OK) {
    if (failure_.ok() && source_bytes_ == 0) failure_ = DataLossError("it is empty");
    return Failure();
  }
  // What is packed twice would unpack to more than anybody counted.
  const int filters = filter == ARCHIVE_FILTER_NONE ? 1 : 2;
  if (archive_filter_count(packed_) != filters || archive_filter_code(packed_, 0) != filter) {
    return DataLossError("it is not packed as its media type says");
  }
  archive_read_support_format_tar(tar_);
  if (archive_read_open(tar_, this, nullptr, GivePlain, nullptr) != ARCHIVE_OK) return Failure();
  return OkStatus();
}

Status LayerStream::Failure() const {
  if (!failure_.ok()) return failure_;
  if (archive_errno(packed_) != 0) return Damaged(packed_);
  return Damaged(tar_);
}

Status LayerStream::ReadSource() {
  auto size = source_(source_buffer_.get(), kBuffer);
  if (!size) return std::move(size).error();
  source_size_ = *size;
  source_bytes_ += *size;
  if (!options_.digest.empty() && source_bytes_ > options_.size) {
    return DataLossError("it is longer than the " + std::to_string(options_.size) +
                         " bytes that its manifest says");
  }
  digests_->packed.Update({source_buffer_.get(), *size});
  return OkStatus();
}

std::ptrdiff_t LayerStream::GiveSource(archive* reader, void* self, const void** buffer) {
  auto* stream = static_cast<LayerStream*>(self);
  if (stream->failure_.ok()) stream->failure_ = stream->ReadSource();
  if (!stream->failure_.ok()) {
    archive_set_error(reader, EIO, "%s", "reading failed");
    return -1;
  }
  *buffer = stream->source_buffer_.get();
  return static_cast<std::ptrdiff_t>(stream->source_size_);
}

// Bytes in the buffer; 0 at the end, -1 on failure.
std::ptrdiff_t LayerStream::ReadPlain() {
  if (!failure_.ok()) return -1;
  const la_ssize_t size = archive_read_data(packed_, plain_buffer_.get(), kBuffer);
  if (size < 0) {
    failure_ = Failure();
    return -1;
  }
  plain_bytes_ += static_cast<std::uint64_t>(size);
  if (plain_bytes_ > options_.plain_limit) {
    failure_ =
        ResourceExhaustedError("it unpacks to more than the " +
                               std::to_string(options_.plain_limit) + " bytes that are allowed");
    return -1;
  }
  digests_->plain.Update({plain_buffer_.get(), static_cast<std::size_t>(size)});
  return size;
}

std::ptrdiff_t LayerStream::GivePlain(archive* reader, void* self, const void** buffer) {
  auto* stream = static_cast<LayerStream*>(self);
  const std::ptrdiff_t size = stream->ReadPlain();
  if (size < 0) archive_set_error(reader, EIO, "%s", "reading failed");
  *buffer = stream->plain_buffer_.get();
  return size;
}

Status LayerStream::Finish() {
  std::ptrdiff_t left = 1;
  while (left > 0) left = ReadPlain();
  if (left < 0) return Failure();
  do {
    SELVEDGE_RETURN_IF_ERROR(ReadSource());
  } while (source_size_ > 0);
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string digest, digests_->packed.Finish());
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string diff_id, digests_->plain.Finish());
  if (!options_.digest.empty() && (source_bytes_ != options_.size || digest != options_.digest)) {
    return DataLossError("its content has the digest " + digest + " and " +
                         std::to_string(source_bytes_) + " bytes, its manifest says " +
                         options_.digest + " and " + std::to_string(options_.size) +
                         "; it must be downloaded again");
  }
  if (!options_.diff_id.empty() && diff_id != options_.diff_id) {
    return DataLossError("it unpacks to " + diff_id + ", the image's config says " +
                         options_.diff_id + "; the image was built wrongly or changed");
  }
  return OkStatus();
}

}  // namespace selvedge
