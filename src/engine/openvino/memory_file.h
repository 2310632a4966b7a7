#pragma once

// MemoryFile: bytes under a file name, for libraries that tell a format by the name's ending.
//
// The content lies in anonymous memory (memfd_create), never on a disk: a decrypted model must not
// be left there. Only a private folder with one symbolic link is made, in $TMPDIR or /tmp, and
// removed again by the destructor. Thread-compatible. Failure: the errno of the call that failed.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

class MemoryFile {
 public:
  static Result<MemoryFile> Make(std::span<const std::byte> content, std::string_view name);
  ~MemoryFile();
  MemoryFile(MemoryFile&& other) noexcept;
  MemoryFile& operator=(MemoryFile&&) = delete;

  const std::string& path() const { return path_; }

 private:
  MemoryFile() = default;

  int descriptor_ = -1;
  std::string folder_;
  std::string path_;
};

}  // namespace selvedge
