#pragma once

// HttpFile: an open file that responses are streamed from, and the Range header that says which
// part of it.
//
// Immutable after construction, shared by the responses that send it; any thread. The file must not
// shrink while it is sent: a response that runs out of bytes is cut off, and its client sees that.
// It may be renamed or removed meanwhile.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

class HttpFile {
 public:
  // NotFound, PermissionDenied and so on, naming the path; InvalidArgument where it is no regular
  // file.
  static Result<std::shared_ptr<const HttpFile>> Open(const std::string& path);
  // Takes over `fd`, open for reading, of `size` bytes.
  HttpFile(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  ~HttpFile();
  HttpFile(const HttpFile&) = delete;
  HttpFile& operator=(const HttpFile&) = delete;

  std::uint64_t size() const { return size_; }
  // Reads up to `length` bytes at `offset` into `out`; fewer only at the end of the file.
  Result<std::size_t> ReadAt(std::uint64_t offset, char* out, std::size_t length) const;

 private:
  const int fd_;
  const std::uint64_t size_;
};

struct HttpRange {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // at least 1
};
// What a Range header asks of `size` bytes (RFC 9110, section 14.2): "bytes=0-99", "bytes=100-",
// "bytes=-100". nullopt where all of it is to be sent: no header, another unit, several ranges, or
// no valid range at all, which the RFC tells to ignore. OutOfRange where no byte is there (416).
Result<std::optional<HttpRange>> ParseRange(std::string_view header, std::uint64_t size);

}  // namespace selvedge
