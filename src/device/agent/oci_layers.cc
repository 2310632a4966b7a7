#include "device/agent/oci_layers.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/config.h"
#include "device/agent/root_folder.h"

namespace selvedge {
namespace {

constexpr std::string_view kWhiteout = ".wh.";
constexpr std::string_view kOpaque = ".wh..wh..opq";
constexpr std::string_view kWhiteoutMeta = ".wh..wh.";  // of aufs; means nothing here
// What headers, padding and extended headers may add to an entry's content.
constexpr std::uint64_t kEntryOverhead = std::uint64_t{8} * 1024;

// libarchive reads names in the locale of its thread; in "C" it could not read what is no ASCII.
class Utf8Names {
 public:
  Utf8Names() : locale_(newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
    if (locale_ != nullptr) before_ = uselocale(locale_);
  }
  ~Utf8Names() {
    if (locale_ == nullptr) return;
    uselocale(before_);
    freelocale(locale_);
  }
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

struct Split {
  std::string folder;
  std::string name;
};

Split SplitPath(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

class Applier {
 public:
  Applier(LayerStream* stream, const RootFolder& root, const UnpackOptions& options,
          UnpackedLayers* total)
      : stream_(stream), root_(root), options_(options), total_(total) {
    owners_ = options.keep_owners && geteuid() == 0;
  }

  Status Run() {
    for (;;) {
      archive_entry* entry = nullptr;
      const int read = archive_read_next_header(stream_->tar(), &entry);
      if (read == ARCHIVE_EOF) return OkStatus();
      // A warning is a name or a header that could not be read as it was meant.
      if (read != ARCHIVE_OK) return stream_->Failure();
      if (options_.stop.stop_requested()) return CancelledError("unpacking was stopped");
      if (++total_->entries > options_.limits.entries) {
        return ResourceExhaustedError("it has more than the " +
                                      std::to_string(options_.limits.entries) +
                                      " entries that are allowed");
      }
      SELVEDGE_RETURN_IF_ERROR(Apply(entry));
    }
  }

 private:
  Status Apply(archive_entry* entry) {
    const char* name = archive_entry_pathname(entry);
    if (name == nullptr) return DataLossError("an entry has no name that can be read");
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string path,
                                     CleanEntryPath(name, options_.limits.path_bytes));
    const Status applied = ApplyAt(path, entry);
    return applied.ok() || applied.code() == StatusCode::kCancelled
               ? applied
               : applied.WithContext("its entry " + QuoteForMessage(path));
  }

  Status ApplyAt(const std::string& path, archive_entry* entry) {
    if (path.empty()) return ApplyRoot(entry);
    const Split split = SplitPath(path);
    const std::string& name = split.name;
    const bool whiteout = name.starts_with(kWhiteout);
    auto folder = root_.Folder(split.folder, /*make=*/!whiteout);
    if (!folder) {
      // Nothing there that could be hidden.
      if (whiteout && folder.error().code() == StatusCode::kNotFound) return OkStatus();
      return std::move(folder).error();
    }
    if (whiteout) return Hide(folder->get(), name);
    struct stat about{};
    if (fstat(folder->get(), &about) != 0) return ErrnoError(errno, "its folder");
    const auto type = archive_entry_filetype(entry);
    if (archive_entry_hardlink(entry) != nullptr) {
      return MakeHardLink(*folder, about.st_ino, name, archive_entry_hardlink(entry));
    }
    if (type == AE_IFCHR || type == AE_IFBLK) {
      ++total_->devices;
      return OkStatus();
    }
    made_.insert(KeyOf(about.st_ino, name));
    if (type == AE_IFDIR) return MakeFolder(folder->get(), name, entry);
    SELVEDGE_RETURN_IF_ERROR(RemoveTree(folder->get(), name));
    switch (type) {
      case AE_IFREG: return MakeFile(folder->get(), name, entry);
      case AE_IFLNK: return MakeSymlink(folder->get(), name, entry);
      case AE_IFIFO:
        if (mkfifoat(folder->get(), name.c_str(), 0600) != 0) return ErrnoError(errno, "mkfifo");
        return SetOwnerAndMode(folder->get(), name, entry);
      default: return InvalidArgumentError("it is of a type that an image cannot have");
    }
  }

  static std::string KeyOf(ino_t folder, std::string_view name) {
    return std::to_string(folder) + "/" + std::string(name);
  }

  // What a whiteout hides is of lower layers only, wherever in the layer it stands.
  Status Hide(int folder, const std::string& name) {
    const KeepEntry keep = [this](ino_t inode, std::string_view entry) {
      return made_.contains(KeyOf(inode, entry));
    };
    if (name == kOpaque) return RemoveContent(folder, keep);
    if (name.starts_with(kWhiteoutMeta)) return OkStatus();
    const std::string hidden = name.substr(kWhiteout.size());
    if (hidden.empty() || hidden == "." || hidden == "..") {
      return InvalidArgumentError("it hides nothing that could be there");
    }
    return RemoveTree(folder, hidden, keep);
  }

  Status ApplyRoot(archive_entry* entry) {
    if (archive_entry_filetype(entry) != AE_IFDIR || archive_entry_hardlink(entry) != nullptr) {
      return InvalidArgumentError("it takes the place of the root folder");
    }
    if (fchmod(root_.descriptor(), ModeOf(entry) | 0700) != 0) return ErrnoError(errno, "chmod");
    return OkStatus();
  }

  mode_t ModeOf(archive_entry* entry) const {
    mode_t mode = archive_entry_perm(entry) & 07777;
    if (!options_.keep_setuid) mode &= ~static_cast<mode_t>(S_ISUID | S_ISGID);
    return mode;
  }

  // Owner first: chown(2) takes setuid bits away.
  Status SetOwner(int folder, const std::string& name, archive_entry* entry) const {
    if (!owners_) return OkStatus();
    const auto user = archive_entry_uid(entry);
    const auto group = archive_entry_gid(entry);
    // The highest number means "leave it as it is".
    constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
    if (user < 0 || group < 0 || user >= kMost || group >= kMost) {
      return InvalidArgumentError("it belongs to a user or group that cannot be");
    }
    if (fchownat(folder, name.c_str(), static_cast<uid_t>(user), static_cast<gid_t>(group),
                 AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoError(errno, "chown");
    }
    return OkStatus();
  }

  // Of what we have just made, so it is no link.
  Status SetOwnerAndMode(int folder, const std::string& name, archive_entry* entry) const {
    SELVEDGE_RETURN_IF_ERROR(SetOwner(folder, name, entry));
    mode_t mode = ModeOf(entry);
    // Who is not root must still be able to put files there.
    if (geteuid() != 0 && archive_entry_filetype(entry) == AE_IFDIR) mode |= 0700;
    if (fchmodat(folder, name.c_str(), mode, 0) != 0) return ErrnoError(errno, "chmod");
    return OkStatus();
  }

  Status MakeFolder(int folder, const std::string& name, archive_entry* entry) {
    struct stat about{};
    const bool there = fstatat(folder, name.c_str(), &about, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there || !S_ISDIR(about.st_mode)) {
      if (there) SELVEDGE_RETURN_IF_ERROR(RemoveTree(folder, name));
      if (mkdirat(folder, name.c_str(), 0700) != 0) return ErrnoError(errno, "mkdir");
    }
    return SetOwnerAndMode(folder, name, entry);
  }

  Status MakeSymlink(int folder, const std::string& name, archive_entry* entry) {
    const char* target = archive_entry_symlink(entry);
    if (target == nullptr || *target == '\0') {
      return InvalidArgumentError("it is a symbolic link to nothing");
    }
    if (std::string_view(target).size() > options_.limits.path_bytes) {
      return InvalidArgumentError("it is a symbolic link to a path that is too long");
    }
    if (symlinkat(target, folder, name.c_str()) != 0) return ErrnoError(errno, "symlink");
    return SetOwner(folder, name, entry);
  }

  Status MakeHardLink(const OwnedDescriptor& folder, ino_t inode, const std::string& name,
                      const char* target) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string path,
                                     CleanEntryPath(target, options_.limits.path_bytes));
    if (path.empty()) return InvalidArgumentError("it is a hard link to the root folder");
    const Split split = SplitPath(path);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const OwnedDescriptor from,
                                     root_.Folder(split.folder, /*make=*/false));
    struct stat about{};
    if (fstat(from.get(), &about) != 0) return ErrnoError(errno, "its folder");
    if (about.st_ino == inode && split.name == name) {
      return InvalidArgumentError("it is a hard link to itself");
    }
    if (fstatat(from.get(), split.name.c_str(), &about, AT_SYMLINK_NOFOLLOW) != 0) {
      return ErrnoError(errno, "it is a hard link to " + QuoteForMessage(path));
    }
    if (S_ISDIR(about.st_mode)) {
      return InvalidArgumentError("it is a hard link to the folder " + QuoteForMessage(path));
    }
    made_.insert(KeyOf(inode, name));
    SELVEDGE_RETURN_IF_ERROR(RemoveTree(folder.get(), name));
    if (linkat(from.get(), split.name.c_str(), folder.get(), name.c_str(), 0) != 0) {
      return ErrnoError(errno, "it is a hard link to " + QuoteForMessage(path));
    }
    return OkStatus();
  }

  Status MakeFile(int folder, const std::string& name, archive_entry* entry) {
    const std::int64_t declared = archive_entry_size(entry);
    if (declared < 0) return InvalidArgumentError("its size is negative");
    // Said before it is read, so that no disk is filled to find out.
    if (static_cast<std::uint64_t>(declared) > options_.limits.bytes - total_->bytes) {
      return ResourceExhaustedError("with its " + std::to_string(declared) +
                                    " bytes the image is larger than the " +
                                    std::to_string(options_.limits.bytes) + " that are allowed");
    }
    total_->bytes += static_cast<std::uint64_t>(declared);
    const OwnedDescriptor file(
        openat(folder, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file.ok()) return ErrnoError(errno, "it cannot be made");
    SELVEDGE_RETURN_IF_ERROR(WriteContent(file.get(), declared));
    SELVEDGE_RETURN_IF_ERROR(SetOwnerAndMode(folder, name, entry));
    if (archive_entry_mtime_is_set(entry) != 0) {
      // Programs compare it, Python with what it has compiled. A date that cannot be is no reason
      // to refuse.
      const timespec when{archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
      const timespec both[2] = {when, when};
      (void)futimens(file.get(), both);
    }
    return OkStatus();
  }

  Status WriteContent(int file, std::int64_t declared) {
    std::int64_t end = 0;
    for (;;) {
      const void* data = nullptr;
      std::size_t size = 0;
      la_int64_t offset = 0;
      const int read = archive_read_data_block(stream_->tar(), &data, &size, &offset);
      if (read == ARCHIVE_EOF) break;
      if (read != ARCHIVE_OK) return stream_->Failure();
      if (options_.stop.stop_requested()) return CancelledError("unpacking was stopped");
      if (offset < end || offset > declared ||
          size > static_cast<std::uint64_t>(declared - offset)) {
        return DataLossError("it has more content than it says");
      }
      SELVEDGE_RETURN_IF_ERROR(WriteAt(file, static_cast<const char*>(data), size, offset));
      end = offset + static_cast<std::int64_t>(size);
    }
    if (end < declared && ftruncate(file, declared) != 0) return ErrnoError(errno, "its size");
    return OkStatus();
  }

  static Status WriteAt(int file, const char* data, std::size_t size, std::int64_t offset) {
    while (size > 0) {
      const ssize_t written = pwrite(file, data, size, offset);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoError(errno, "it cannot be written");
      data += written;
      size -= static_cast<std::size_t>(written);
      offset += written;
    }
    return OkStatus();
  }

  LayerStream* const stream_;
  const RootFolder& root_;
  const UnpackOptions& options_;
  UnpackedLayers* const total_;
  bool owners_ = false;
  std::unordered_set<std::string> made_;  // by this layer: inode of the folder and name
};

Status UnpackInto(std::span<const LayerFile> layers, const std::string& folder,
                  const UnpackOptions& options, UnpackedLayers* total) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const RootFolder root, RootFolder::Open(folder));
  std::uint64_t all = 0;
  for (const LayerFile& layer : layers) all += layer.size;
  std::uint64_t done = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerFile& layer = layers[i];
    LayerStreamOptions stream{.digest = layer.digest, .size = layer.size, .diff_id = layer.diff_id};
    Status status;
    if (auto compression = CompressionOfLayer(layer.media_type)) {
      stream.compression = *compression;
      auto source = OpenLayerFile(layer.path);
      status = source ? ApplyLayer(*std::move(source), stream, root, options, total)
                      : std::move(source).error();
    } else {
      status = std::move(compression).error();
    }
    if (!status.ok()) {
      return status.WithContext("layer " + std::to_string(i + 1) + " of the image (" +
                                layer.digest.substr(0, 19) + ") was refused");
    }
    done += layer.size;
    if (options.progress) options.progress(done, all);
  }
  // Before it takes its name: after a power cut it must not be there by half.
  if (syncfs(root.descriptor()) != 0) return ErrnoError(errno, folder);
  return OkStatus();
}

Status SyncFolder(const std::string& path) {
  const OwnedDescriptor folder(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok() || fsync(folder.get()) != 0) return ErrnoError(errno, path);
  return OkStatus();
}

}  // namespace

Result<std::string> CleanEntryPath(std::string_view path, std::size_t limit) {
  if (path.size() > limit) {
    return Err(InvalidArgumentError("the path " + QuoteForMessage(path) + " is longer than " +
                                    std::to_string(limit) + " bytes"));
  }
  std::string clean;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return Err(InvalidArgumentError("a path leads out of its folder by \"..\""));
    }
    if (!clean.empty()) clean += '/';
    clean += part;
  }
  return clean;
}

Status ApplyLayer(LayerSource source, const LayerStreamOptions& stream, const RootFolder& root,
                  const UnpackOptions& options, UnpackedLayers* total) {
  const Utf8Names names;
  LayerStreamOptions limited = stream;
  const LayerLimits& limits = options.limits;
  limited.plain_limit =
      (limits.bytes - std::min(limits.bytes, total->bytes)) +
      (limits.entries - std::min(limits.entries, total->entries)) * kEntryOverhead;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::unique_ptr<LayerStream> opened,
                                   LayerStream::Open(std::move(source), limited));
  SELVEDGE_RETURN_IF_ERROR(Applier(opened.get(), root, options, total).Run());
  return opened->Finish();
}

Result<UnpackedLayers> UnpackLayers(std::span<const LayerFile> layers, const std::string& folder,
                                    const UnpackOptions& options) {
  const std::string partial = folder + ".partial";
  SELVEDGE_RETURN_ERR_IF_ERROR(RemoveTree(partial));
  if (mkdir(partial.c_str(), 0755) != 0) return Err(ErrnoError(errno, partial));
  UnpackedLayers total;
  Status status = UnpackInto(layers, partial, options, &total);
  if (status.ok()) status = RemoveTree(folder);
  if (status.ok() && rename(partial.c_str(), folder.c_str()) != 0) {
    status = ErrnoError(errno, folder);
  }
  if (status.ok()) {
    const std::size_t slash = folder.rfind('/');
    status = SyncFolder(slash == std::string::npos ? "." : folder.substr(0, slash + 1));
  }
  if (status.ok()) return total;
  // The first failure is the one to tell.
  (void)RemoveTree(partial);
  return Err(std::move(status));
}

}  // namespace selvedge
