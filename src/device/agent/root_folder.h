#pragma once

// RootFolder: work inside a folder whose content others chose.
//
// Paths are looked up as a process would see them whose root is this folder (openat2(2) with
// RESOLVE_IN_ROOT): symbolic links, "/" and ".." lead to something inside of it whatever they say,
// also if somebody changes them meanwhile. Needs Linux 5.6. Move-only; thread-safe. Failure: that
// of the errno, naming the path within the root.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"

namespace selvedge {

// A file descriptor that is closed when it is let go.
class OwnedDescriptor {
 public:
  OwnedDescriptor() = default;
  explicit OwnedDescriptor(int descriptor) : descriptor_(descriptor) {}
  OwnedDescriptor(OwnedDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~OwnedDescriptor();

  int get() const { return descriptor_; }
  bool ok() const { return descriptor_ >= 0; }

 private:
  int descriptor_ = -1;
};

class RootFolder {
 public:
  // How deep folders may lie below the root.
  static constexpr int kMaxDepth = 128;

  static Result<RootFolder> Open(const std::string& path);

  int descriptor() const { return root_.get(); }
  // The folder `path` (relative, clean, empty for the root itself), open for reading. With `make`,
  // what is missing of it is made with mode 0755. FailedPrecondition where something of it is no
  // folder or leads nowhere, InvalidArgument where it lies too deep.
  Result<OwnedDescriptor> Folder(std::string_view path, bool make) const;
  // A regular file of at most `limit` bytes. NotFound where there is none.
  Result<std::string> Read(std::string_view path, std::size_t limit) const;

 private:
  RootFolder(OwnedDescriptor root, int depth) : root_(std::move(root)), depth_(depth) {}
  int OpenBelow(const std::string& path, int flags) const;
  Status CheckDepth(int folder, std::string_view path) const;

  OwnedDescriptor root_;
  int depth_;  // of the root itself
};

// Whether the entry `name` of the folder with that inode is to stay.
using KeepEntry = std::function<bool(ino_t folder, std::string_view name)>;

// Removes the entry and what is below it; symbolic links are removed, never followed, and a folder
// on which something is mounted ends it with FailedPrecondition. What `keep` names stays, and with
// it the folders that lead to it. Nothing there is no error.
Status RemoveTree(int folder, const std::string& name, const KeepEntry& keep = {});
// The same for everything in an open folder; the folder stays.
Status RemoveContent(int folder, const KeepEntry& keep = {});
// The same for a path of ours.
Status RemoveTree(const std::string& path);

}  // namespace selvedge
