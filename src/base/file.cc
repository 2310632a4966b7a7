#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace selvedge {
namespace {

// Closes on destruction; Close() where the result matters (a full disk may show only then).
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool Close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

int OpenRetrying(const char* path, int flags, mode_t mode = 0) {
  int fd;
  do {
    fd = ::open(path, flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// 0, or the errno of what failed.
int WriteAll(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

// A temporary file in the folder of `path`, so that the rename stays on one file system.
std::string TemporaryName(const std::string& path) {
  static std::atomic<unsigned> serial{0};
  return path + ".tmp-" + std::to_string(::getpid()) + '-' + std::to_string(serial++);
}

// Content on the disk, under the temporary name, with the mode of the file it will replace, or
// for its owner only.
int WriteTemporary(const std::string& temporary, const std::string& target,
                   std::string_view content, bool secret) {
  Descriptor file(
      OpenRetrying(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL, secret ? 0600 : 0666));
  if (file.get() < 0) return errno;
  struct stat existing{};
  if (!secret && ::stat(target.c_str(), &existing) == 0 &&
      ::fchmod(file.get(), existing.st_mode & 07777) != 0) {
    return errno;
  }
  if (const int error = WriteAll(file.get(), content); error != 0) return error;
  if (::fsync(file.get()) != 0) return errno;
  return file.Close() ? 0 : errno;
}

// The rename is durable once its folder is. Some file systems cannot sync folders: EINVAL is fine.
int SyncFolder(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  Descriptor fd(OpenRetrying(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY));
  if (fd.get() < 0) return errno;
  return ::fsync(fd.get()) == 0 || errno == EINVAL ? 0 : errno;
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Result<std::string> ReadFile(const std::string& path, std::size_t limit) {
  Descriptor file(OpenRetrying(path.c_str(), O_RDONLY));
  if (file.get() < 0) return Err(ErrnoError(errno, "cannot open " + path));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return Err(ErrnoError(errno, "cannot read " + path));
  if (S_ISDIR(info.st_mode)) {
    return Err(InvalidArgumentError("cannot read " + path + ": it is a folder, expected a file"));
  }
  const auto too_large = [&] {
    return Err(ResourceExhaustedError("cannot read " + path + ": larger than the limit of " +
                                      std::to_string(limit) + " bytes"));
  };
  if (S_ISREG(info.st_mode) && static_cast<std::uintmax_t>(info.st_size) > limit)
    return too_large();
  // The size is a hint only: files under /proc say 0, and a file may grow while it is read.
  std::string content;
  std::size_t have = 0;
  const std::size_t hint = S_ISREG(info.st_mode) ? static_cast<std::size_t>(info.st_size) : 0;
  for (;;) {
    if (have == content.size())
      content.resize(std::max(hint + 1, have + std::max<std::size_t>(have, 4096)));
    const ssize_t n = ::read(file.get(), content.data() + have, content.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Err(ErrnoError(errno, "cannot read " + path));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
    if (have > limit) return too_large();
  }
  content.resize(have);
  return content;
}

namespace {

Status WriteAtomically(const std::string& path, std::string_view content, bool secret) {
  // Through a symbolic link, so that a link to another disk stays one.
  std::error_code ignored;
  std::string target = path;
  if (std::filesystem::is_symlink(path, ignored)) {
    const auto real = std::filesystem::weakly_canonical(path, ignored);
    if (!ignored) target = real.string();
  }
  const std::string temporary = TemporaryName(target);
  int error = WriteTemporary(temporary, target, content, secret);
  if (error == 0 && std::rename(temporary.c_str(), target.c_str()) != 0) error = errno;
  if (error != 0) {
    if (error != EEXIST) ::unlink(temporary.c_str());
    return ErrnoError(error, "cannot write " + path);
  }
  error = SyncFolder(target);
  return error == 0 ? OkStatus() : ErrnoError(error, "cannot sync the folder of " + path);
}

}  // namespace

Status WriteFileAtomically(const std::string& path, std::string_view content) {
  return WriteAtomically(path, content, false);
}

Status WriteSecretFile(const std::string& path, std::string_view content) {
  return WriteAtomically(path, content, true);
}

Result<MappedFile> MappedFile::Open(const std::string& path, std::size_t limit) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Err(ErrnoError(errno, "cannot open " + path));
  MappedFile file;
  struct stat facts = {};
  Status status;
  if (::fstat(descriptor, &facts) != 0) {
    status = ErrnoError(errno, "cannot read " + path);
  } else if (!S_ISREG(facts.st_mode)) {
    status = InvalidArgumentError("cannot read " + path + ": it is not a regular file");
  } else if (static_cast<std::uint64_t>(facts.st_size) > limit) {
    status = ResourceExhaustedError(path + " has " + std::to_string(facts.st_size) +
                                    " bytes; at most " + std::to_string(limit) + " are allowed");
  } else if (facts.st_size > 0) {
    void* memory = ::mmap(nullptr, static_cast<std::size_t>(facts.st_size), PROT_READ, MAP_PRIVATE,
                          descriptor, 0);
    if (memory == MAP_FAILED) {
      status = ErrnoError(errno, "cannot map " + path);
    } else {
      file.data_ = static_cast<const std::byte*>(memory);
      file.size_ = static_cast<std::size_t>(facts.st_size);
    }
  }
  ::close(descriptor);
  if (!status.ok()) return Err(std::move(status));
  return file;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string ResolvePath(std::string_view path, std::string_view base_file) {
  const std::size_t slash = base_file.rfind('/');
  if (path.starts_with('/') || slash == std::string_view::npos) return std::string(path);
  return std::string(base_file.substr(0, slash + 1)).append(path);
}

Result<std::string> ExecutableFolder() {
  std::string buffer(PATH_MAX, '\0');
  const ssize_t n = ::readlink("/proc/self/exe", buffer.data(), buffer.size());
  if (n <= 0 || static_cast<std::size_t>(n) == buffer.size()) {
    return Err(ErrnoError(n < 0 ? errno : ENAMETOOLONG, "cannot read /proc/self/exe"));
  }
  buffer.resize(static_cast<std::size_t>(n));
  return buffer.substr(0, std::max<std::size_t>(buffer.rfind('/'), 1));
}

std::string CacheFolder() {
  if (std::string own = Environment("SELVEDGE_CACHE_DIR"); !own.empty()) return own;
  // The XDG base directory specification has relative paths ignored.
  if (const std::string xdg = Environment("XDG_CACHE_HOME"); xdg.starts_with('/')) {
    return xdg + "/selvedge";
  }
  if (const std::string home = Environment("HOME"); home.starts_with('/')) {
    return home + "/.cache/selvedge";
  }
  return "/var/cache/selvedge";
}

}  // namespace selvedge
