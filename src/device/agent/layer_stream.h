#pragma once

// LayerStream: the tar inside a layer of an image, while its bytes are counted and digested.
//
// Compressed bytes come from a source; what libarchive unpacks of them goes through our own hands
// to its tar reader, so that both the digest of the blob and the diff_id of the content are of
// exactly what was read, and a bomb ends at the limit. Owned by whoever unpacks; one thread.
// Failure: the first one is kept, also where libarchive only says that reading failed.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

struct archive;

namespace selvedge {

enum class LayerCompression { kNone, kGzip, kZstd };

// From a media type of OCI or Docker. Unimplemented for others, and for layers that may not be
// distributed.
Result<LayerCompression> CompressionOfLayer(std::string_view media_type);

struct LayerStreamOptions {
  LayerCompression compression = LayerCompression::kGzip;
  std::string digest;             // of the bytes; empty: not compared
  std::uint64_t size = 0;         // of the bytes; with a digest only
  std::string diff_id;            // digest of what they unpack to; empty: not compared
  std::uint64_t plain_limit = 0;  // what they may unpack to, bytes
};

// Up to `size` bytes into `buffer`; 0 at the end.
using LayerSource = std::function<Result<std::size_t>(char* buffer, std::size_t size)>;
// A source that reads a file, which it keeps open.
Result<LayerSource> OpenLayerFile(const std::string& path);

class LayerStream {
 public:
  static Result<std::unique_ptr<LayerStream>> Open(LayerSource source,
                                                   const LayerStreamOptions& options);
  ~LayerStream();
  LayerStream(const LayerStream&) = delete;
  LayerStream& operator=(const LayerStream&) = delete;

  // libarchive's reader of the tar. After it failed, Failure() says why.
  archive* tar() const { return tar_; }
  Status Failure() const;
  // After the last entry: reads what is left and compares size and digests. DataLoss where one is
  // not what was said.
  Status Finish();
  // What was unpacked so far, bytes.
  std::uint64_t plain_bytes() const { return plain_bytes_; }

 private:
  class Digests;
  LayerStream(LayerSource source, const LayerStreamOptions& options);
  Status Start();
  Status ReadSource();
  std::ptrdiff_t ReadPlain();
  static std::ptrdiff_t GiveSource(archive* reader, void* self, const void** buffer);
  static std::ptrdiff_t GivePlain(archive* reader, void* self, const void** buffer);

  const LayerSource source_;
  const LayerStreamOptions options_;
  archive* packed_ = nullptr;
  archive* tar_ = nullptr;
  std::unique_ptr<Digests> digests_;
  std::unique_ptr<char[]> source_buffer_;
  std::unique_ptr<char[]> plain_buffer_;
  std::size_t source_size_ = 0;  // of what is in the buffer
  std::uint64_t source_bytes_ = 0;
  std::uint64_t plain_bytes_ = 0;
  Status failure_;
};

}  // namespace selvedge
