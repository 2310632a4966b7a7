#pragma once

// Whole small files and file names. Errors name the path.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

// At most `limit` bytes; a larger file is ResourceExhausted, a directory InvalidArgument.
Result<std::string> ReadFile(const std::string& path, std::size_t limit);
// A file's content without a copy: pages come into memory as they are read and may be given back by
// the kernel. Move-only; unmapped on destruction. The file must not shrink meanwhile.
class MappedFile {
 public:
  // The same errors as ReadFile; an empty file is an empty content.
  static Result<MappedFile> Open(const std::string& path, std::size_t limit);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::span<const std::byte> content() const { return {data_, size_}; }

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Written to a temporary file beside it, fsynced, renamed: readers see the old or the new one.
Status WriteFileAtomically(const std::string& path, std::string_view content);
// The same for keys and tokens: only its owner may read it (mode 0600), at every moment.
Status WriteSecretFile(const std::string& path, std::string_view content);
// `path` if absolute, else relative to the folder of `base_file`.
std::string ResolvePath(std::string_view path, std::string_view base_file);
// Folder of the running executable.
Result<std::string> ExecutableFolder();
// $SELVEDGE_CACHE_DIR, else $XDG_CACHE_HOME/selvedge, else ~/.cache/selvedge, else
// /var/cache/selvedge.
std::string CacheFolder();

}  // namespace selvedge
