#pragma once

// For tests of the store: a folder of one's own, and a small disk.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace selvedge {

class StoreFolder {
 public:
  StoreFolder() : StoreFolder(std::filesystem::temp_directory_path()) {}
  explicit StoreFolder(const std::filesystem::path& parent) {
    std::string pattern = (parent / "selvedge-store-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~StoreFolder() {
    if (mounted_) (void)::umount2(path_.c_str(), MNT_DETACH);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  StoreFolder(const StoreFolder&) = delete;
  StoreFolder& operator=(const StoreFolder&) = delete;

  // Makes the folder a disk of so many KiB, seen by this process only. Empty where it could, else
  // why not.
  std::string MakeSmallDisk(int kib) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", path_.c_str(), "tmpfs", 0, ("size=" + std::to_string(kib) + "k").c_str()) !=
            0) {
      return std::string("needs root to mount a small disk: ") + std::strerror(errno);
    }
    mounted_ = true;
    return "";
  }

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
  bool mounted_ = false;
};

// Where syncing costs nothing, for tests that kill no machine.
inline std::filesystem::path MemoryFolder() {
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path();
}

inline std::string ReadBytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void WriteBytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Fills the disk that the file is on; returns the bytes it took.
inline std::size_t FillDisk(const std::string& path) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const std::string chunk(4096, 'x');
  std::size_t total = 0;
  for (;;) {
    const ssize_t n = ::write(file, chunk.data(), chunk.size());
    if (n <= 0) break;
    total += static_cast<std::size_t>(n);
  }
  ::close(file);
  return total;
}

}  // namespace selvedge
