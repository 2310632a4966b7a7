#include "engine/openvino/memory_file.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace selvedge {

MemoryFile::MemoryFile(MemoryFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      folder_(std::exchange(other.folder_, {})),
      path_(std::exchange(other.path_, {})) {}

MemoryFile::~MemoryFile() {
  if (!path_.empty()) unlink(path_.c_str());
  if (!folder_.empty()) rmdir(folder_.c_str());
  if (descriptor_ >= 0) close(descriptor_);
}

Result<MemoryFile> MemoryFile::Make(std::span<const std::byte> content, std::string_view name) {
  MemoryFile file;
  file.descriptor_ = memfd_create("selvedge-model", MFD_CLOEXEC);
  if (file.descriptor_ < 0) return Err(ErrnoError(errno, "making a file in memory"));
  while (!content.empty()) {
    const ssize_t written = write(file.descriptor_, content.data(), content.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Err(ErrnoError(errno, "writing a file in memory"));
    content = content.subspan(static_cast<std::size_t>(written));
  }
  const char* temporary = std::getenv("TMPDIR");
  std::string folder =
      std::string(temporary != nullptr && *temporary != '\0' ? temporary : "/tmp") +
      "/selvedge-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return Err(ErrnoError(errno, "making a folder " + folder));
  }
  file.folder_ = folder;
  std::string path = folder + "/" + std::string(name);
  const std::string target =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(file.descriptor_);
  if (symlink(target.c_str(), path.c_str()) != 0) {
    return Err(ErrnoError(errno, "making a link " + path));
  }
  file.path_ = std::move(path);
  return file;
}

}  // namespace selvedge
