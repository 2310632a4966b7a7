#include "device/agent/root_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/config.h"

namespace selvedge {
namespace {

// Deeper than anything that we make; a tree beyond it is not ours.
constexpr int kMaxRemoveDepth = 2 * RootFolder::kMaxDepth;
constexpr int kOpenTries = 64;

Status Refused(int error, std::string_view path) {
  switch (error) {
    case ELOOP:
      return FailedPreconditionError(QuoteForMessage(path) +
                                     " leads through too many symbolic links");
    case ENOTDIR:
      return FailedPreconditionError("something on the way to " + QuoteForMessage(path) +
                                     " is no folder");
    case EEXIST:
      return FailedPreconditionError("a symbolic link on the way to " + QuoteForMessage(path) +
                                     " leads nowhere");
    case ENAMETOOLONG: return InvalidArgumentError(QuoteForMessage(path) + " is too long");
    case EXDEV:
      return FailedPreconditionError(QuoteForMessage(path) + " lies on another file system");
    case ENOSYS:
      return UnimplementedError("this kernel has no openat2; containers need Linux 5.6 or newer");
    default: return ErrnoError(error, QuoteForMessage(path));
  }
}

// How many folders deep an open folder lies; -1 where the kernel does not say.
int DepthOf(int folder) {
  std::array<char, 8192> target = {};
  const std::string link = "/proc/self/fd/" + std::to_string(folder);
  const ssize_t size = readlink(link.c_str(), target.data(), target.size());
  // Longer than fits is deeper than allowed, too.
  if (size < 0 || static_cast<std::size_t>(size) == target.size()) return -1;
  const std::string_view path(target.data(), static_cast<std::size_t>(size));
  return path == "/" ? 0 : static_cast<int>(std::ranges::count(path, '/'));
}

}  // namespace

OwnedDescriptor::~OwnedDescriptor() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<RootFolder> RootFolder::Open(const std::string& path) {
  OwnedDescriptor root(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!root.ok()) return Err(ErrnoError(errno, path));
  const int depth = DepthOf(root.get());
  if (depth < 0) return Err(FailedPreconditionError("/proc is needed to work in " + path));
  return RootFolder(std::move(root), depth);
}

int RootFolder::OpenBelow(const std::string& path, int flags) const {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
  for (int i = 0; i < kOpenTries; ++i) {
    const long opened =
        syscall(SYS_openat2, root_.get(), path.empty() ? "." : path.c_str(), &how, sizeof how);
    // Somebody renamed something on the machine just then: the kernel could not be sure.
    if (opened >= 0 || errno != EAGAIN) return static_cast<int>(opened);
  }
  return -1;
}

Status RootFolder::CheckDepth(int folder, std::string_view path) const {
  const int depth = DepthOf(folder);
  if (depth >= 0 && depth - depth_ <= kMaxDepth) return OkStatus();
  return InvalidArgumentError(QuoteForMessage(path) + " lies more than " +
                              std::to_string(kMaxDepth) + " folders deep");
}

Result<OwnedDescriptor> RootFolder::Folder(std::string_view path, bool make) const {
  const std::string whole(path);
  OwnedDescriptor folder(OpenBelow(whole, O_RDONLY | O_DIRECTORY));
  if (!folder.ok() && errno == ENOENT && make) {
    // From the top down, without recursion: how long a path is, others decide.
    if (std::ranges::count(path, '/') > kMaxDepth) {
      return Err(InvalidArgumentError(QuoteForMessage(path) + " lies too deep"));
    }
    OwnedDescriptor parent(OpenBelow("", O_RDONLY | O_DIRECTORY));
    for (std::size_t begin = 0; begin <= whole.size();) {
      const std::size_t end = std::min(whole.find('/', begin), whole.size());
      const std::string so_far = whole.substr(0, end);
      folder = OwnedDescriptor(OpenBelow(so_far, O_RDONLY | O_DIRECTORY));
      if (!folder.ok() && errno == ENOENT) {
        const std::string name = whole.substr(begin, end - begin);
        SELVEDGE_RETURN_ERR_IF_ERROR(CheckDepth(parent.get(), path));
        if (mkdirat(parent.get(), name.c_str(), 0755) != 0) return Err(Refused(errno, path));
        folder = OwnedDescriptor(OpenBelow(so_far, O_RDONLY | O_DIRECTORY));
      }
      if (!folder.ok()) return Err(Refused(errno, path));
      if (end == whole.size()) break;
      parent = std::move(folder);
      begin = end + 1;
    }
  }
  if (!folder.ok()) return Err(Refused(errno, path));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckDepth(folder.get(), path));
  return folder;
}

Result<std::string> RootFolder::Read(std::string_view path, std::size_t limit) const {
  // Without O_NONBLOCK a FIFO would make us wait for ever.
  const OwnedDescriptor file(OpenBelow(std::string(path), O_RDONLY | O_NONBLOCK));
  if (!file.ok()) return Err(Refused(errno, path));
  struct stat about{};
  if (fstat(file.get(), &about) != 0) return Err(Refused(errno, path));
  if (!S_ISREG(about.st_mode)) {
    return Err(FailedPreconditionError(QuoteForMessage(path) + " is no regular file"));
  }
  std::string content;
  std::array<char, 16 * 1024> piece = {};
  for (;;) {
    const ssize_t size = read(file.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return Err(Refused(errno, path));
    if (size == 0) return content;
    content.append(piece.data(), static_cast<std::size_t>(size));
    if (content.size() > limit) {
      return Err(ResourceExhaustedError(QuoteForMessage(path) + " is larger than " +
                                        std::to_string(limit) + " bytes"));
    }
  }
}

namespace {

Status RemoveEntry(int folder, ino_t inode, const std::string& name, const KeepEntry& keep,
                   int depth);

Result<std::vector<std::string>> NamesIn(int folder) {
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return Err(ErrnoError(errno, "a folder to be removed"));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(again), closedir);
  if (directory == nullptr) {
    close(again);
    return Err(ErrnoError(errno, "a folder to be removed"));
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// Not where something is mounted, be it the same file system: a volume of a container that still
// runs is never ours to remove.
int OpenToRemove(int folder, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  // A path of ours may lead through mounts and links; one name within a folder may not.
  how.resolve = folder == AT_FDCWD ? 0 : RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  return static_cast<int>(syscall(SYS_openat2, folder, name.c_str(), &how, sizeof how));
}

Status RemoveAllIn(int folder, const KeepEntry& keep, int depth) {
  if (depth > kMaxRemoveDepth) {
    return FailedPreconditionError("a folder to be removed is deeper than " +
                                   std::to_string(kMaxRemoveDepth) + " folders");
  }
  struct stat about{};
  if (fstat(folder, &about) != 0) return ErrnoError(errno, "a folder to be removed");
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::vector<std::string> names, NamesIn(folder));
  for (const std::string& name : names) {
    SELVEDGE_RETURN_IF_ERROR(RemoveEntry(folder, about.st_ino, name, keep, depth));
  }
  return OkStatus();
}

Status RemoveEntry(int folder, ino_t inode, const std::string& name, const KeepEntry& keep,
                   int depth) {
  const bool kept = keep && keep(inode, name);
  if (!kept) {
    if (unlinkat(folder, name.c_str(), 0) == 0 || errno == ENOENT) return OkStatus();
    if (errno != EISDIR && errno != EPERM) return Refused(errno, name).WithContext("removing");
  }
  const OwnedDescriptor below(OpenToRemove(folder, name));
  if (!below.ok()) {
    if (errno == ENOENT || (kept && (errno == ENOTDIR || errno == ELOOP))) return OkStatus();
    return Refused(errno, name).WithContext("removing");
  }
  SELVEDGE_RETURN_IF_ERROR(RemoveAllIn(below.get(), keep, depth + 1));
  if (kept || unlinkat(folder, name.c_str(), AT_REMOVEDIR) == 0) return OkStatus();
  if (errno == ENOENT || (keep && (errno == ENOTEMPTY || errno == EEXIST))) return OkStatus();
  return Refused(errno, name).WithContext("removing");
}

}  // namespace

Status RemoveTree(int folder, const std::string& name, const KeepEntry& keep) {
  struct stat about{};
  if (fstat(folder, &about) != 0) return Refused(errno, name).WithContext("removing");
  return RemoveEntry(folder, about.st_ino, name, keep, 0);
}

Status RemoveContent(int folder, const KeepEntry& keep) {
  return RemoveAllIn(folder, keep, 0);
}

Status RemoveTree(const std::string& path) {
  return RemoveEntry(AT_FDCWD, 0, path, {}, 0);
}

}  // namespace selvedge
