// Fetching packages into a store, and laying them out in a folder.

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "registry/content_store_core.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

// Which variants are wanted; InvalidArgument where there is none.
Result<std::vector<const PackageVariant*>> Choose(const PackageIndex& index,
                                                  const std::string& variant,
                                                  const std::string& arch) {
  std::vector<const PackageVariant*> chosen;
  std::string names;
  for (const PackageVariant& one : index.variants) {
    names +=
        (names.empty() ? "" : ", ") + one.name + (one.arch.empty() ? "" : " (" + one.arch + ")");
    if (!variant.empty() && one.name != variant) continue;
    if (!arch.empty() && !one.arch.empty() && one.arch != arch) continue;
    chosen.push_back(&one);
  }
  if (!chosen.empty()) return chosen;
  return Err(NotFoundError(index.title + " " + index.version + " has no variant " +
                           (variant.empty() ? "for " + arch : variant) + "; it has " + names));
}

// Every blob of these contents, each once.
std::map<std::string, Descriptor> BlobsOf(const FetchedPackage& package) {
  std::map<std::string, Descriptor> blobs;
  for (const PackageContent& content : package.contents) {
    blobs.emplace(content.config.digest, content.config);
    for (const PackageFile& file : content.files) blobs.emplace(file.blob.digest, file.blob);
  }
  return blobs;
}

std::string NameOf(const FetchedPackage& package, const std::string& digest) {
  for (const PackageContent& content : package.contents) {
    for (const PackageFile& file : content.files) {
      if (file.blob.digest == digest) return file.path;
    }
  }
  return "config";
}

// Reads index and manifests by `get`, which gives them from wherever they are.
template <typename Get>
Result<FetchedPackage> ReadPackage(const std::string& reference, const std::string& variant,
                                   const std::string& arch, const Get& get) {
  FetchedPackage package;
  SELVEDGE_ASSIGN_OR_RETURN(const StoredManifest index, get(reference));
  package.digest = index.digest;
  package.index_bytes = index.bytes.size();
  SELVEDGE_ASSIGN_OR_RETURN(package.index, ReadPackageIndex(index.bytes));
  SELVEDGE_ASSIGN_OR_RETURN(const auto chosen, Choose(package.index, variant, arch));
  for (const PackageVariant* one : chosen) {
    SELVEDGE_ASSIGN_OR_RETURN(const StoredManifest manifest, get(one->manifest.digest));
    SELVEDGE_ASSIGN_OR_RETURN(PackageContent content, ReadPackageManifest(manifest.bytes));
    package.contents.push_back(std::move(content));
    package.variants.push_back(one->name);
  }
  for (const auto& [digest, blob] : BlobsOf(package)) package.bytes += blob.size;
  return package;
}

// All files of a package by path; what two variants share must be the same.
Result<std::map<std::string, Descriptor>> FilesOf(const FetchedPackage& package) {
  std::map<std::string, Descriptor> files;
  for (const PackageContent& content : package.contents) {
    for (const PackageFile& file : content.files) {
      SELVEDGE_RETURN_ERR_IF_ERROR(CheckPackagePath(file.path));
      const auto [found, fresh] = files.emplace(file.path, file.blob);
      if (!fresh && found->second.digest != file.blob.digest) {
        return Err(InvalidArgumentError("two variants of the package have a different " +
                                        file.path + "; ask for one of them"));
      }
    }
  }
  return files;
}

Status CopyFile(const std::string& from, const std::string& to) {
  std::error_code error;
  if (!fs::copy_file(from, to, error)) return ErrnoError(error.value(), "cannot write " + to);
  (void)::chmod(to.c_str(), 0644);
  const int file = ::open(to.c_str(), O_RDONLY | O_CLOEXEC);
  const int failed = file < 0 || ::fsync(file) != 0 ? errno : 0;
  if (file >= 0) ::close(file);
  return failed == 0 ? OkStatus() : ErrnoError(failed, "cannot write " + to);
}

Status PutFile(ContentStore* store, const Descriptor& blob, const std::string& to, Unpack how) {
  const auto path = store->Path(blob.digest);
  if (!path) return path.error();
  std::error_code error;
  fs::create_directories(fs::path(to).parent_path(), error);
  if (error) return ErrnoError(error.value(), "cannot make the folder of " + to);
  if (how == Unpack::kLink && ::link(path->c_str(), to.c_str()) == 0) return OkStatus();
  return CopyFile(*path, to);
}

// Folders that a process began for `target` and did not live to finish.
void RemoveAbandoned(const std::string& target) {
  const fs::path path(target);
  const std::string prefix = path.filename().string() + ".unpacking-";
  std::error_code error;
  std::vector<fs::path> abandoned;
  const fs::path parent = path.has_parent_path() ? path.parent_path() : fs::path(".");
  for (const auto& entry : fs::directory_iterator(parent, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t process = 0;
    const char* end = name.data() + name.size();
    const auto [stopped, bad] = std::from_chars(name.data() + prefix.size(), end, process);
    if (bad != std::errc() || stopped != end || process <= 0) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) abandoned.push_back(entry.path());
  }
  for (const fs::path& folder : abandoned) fs::remove_all(folder, error);
}

// `made` takes the name `folder`, whatever was there goes.
Status TakeName(const std::string& made, const std::string& folder) {
  if (std::rename(made.c_str(), folder.c_str()) == 0) return OkStatus();
  if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) {
    return ErrnoError(errno, "cannot put the package to " + folder);
  }
  if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, folder.c_str(), RENAME_EXCHANGE) != 0) {
    return ErrnoError(errno, "cannot put the package to " + folder);
  }
  std::error_code ignored;
  fs::remove_all(made, ignored);
  return OkStatus();
}

}  // namespace

Result<FetchedPackage> FetchPackage(OciClient* client, ContentStore* store,
                                    const std::string& repository, const std::string& reference,
                                    const std::string& variant, const std::string& arch,
                                    const OnPackageProgress& progress, std::stop_token stop) {
  // Manifests go into the store first, so that what they name is not collected meanwhile.
  const auto get = [&](const std::string& which) -> Result<StoredManifest> {
    SELVEDGE_ASSIGN_OR_RETURN(StoredManifest manifest,
                              client->GetManifest(repository, which, stop));
    const auto put = store->PutManifest(repository, which, manifest.media_type, manifest.bytes,
                                        /*whole=*/false);
    if (!put) return Err(put.error());
    return manifest;
  };
  SELVEDGE_ASSIGN_OR_RETURN(FetchedPackage package, ReadPackage(reference, variant, arch, get));
  std::uint64_t done = 0;
  for (const auto& [digest, blob] : BlobsOf(package)) {
    const std::string what = NameOf(package, digest);
    const auto report = [&](std::uint64_t of_this, std::uint64_t) {
      if (progress) progress({.what = what, .done = done + of_this, .total = package.bytes});
    };
    SELVEDGE_RETURN_ERR_IF_ERROR(
        client->Download(repository, blob, store, report, stop).WithContext("cannot get " + what));
    done += blob.size;
  }
  return package;
}

Result<FetchedPackage> DescribePackage(OciClient* client, const std::string& repository,
                                       const std::string& reference, std::stop_token stop) {
  return ReadPackage(reference, /*variant=*/{}, /*arch=*/{}, [&](const std::string& which) {
    return client->GetManifest(repository, which, stop);
  });
}

Result<FetchedPackage> OpenPackage(ContentStore* store, const std::string& repository,
                                   const std::string& reference, const std::string& variant,
                                   const std::string& arch) {
  SELVEDGE_ASSIGN_OR_RETURN(FetchedPackage package,
                            ReadPackage(reference, variant, arch, [&](const std::string& which) {
                              return store->GetManifest(repository, which);
                            }));
  for (const auto& [digest, blob] : BlobsOf(package)) {
    SELVEDGE_ASSIGN_OR_RETURN([[maybe_unused]] const BlobInfo info,
                              store->FindIn(repository, digest));
  }
  return package;
}

Status UnpackPackage(ContentStore* store, const FetchedPackage& package, const std::string& folder,
                     Unpack how) {
  const auto files = FilesOf(package);
  if (!files) return files.error();
  std::string target = folder;
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  RemoveAbandoned(target);
  const std::string made = target + ".unpacking-" + std::to_string(::getpid());
  std::error_code error;
  fs::remove_all(made, error);
  fs::create_directories(made, error);
  if (error) return ErrnoError(error.value(), "cannot make the folder " + made);
  Status status;
  for (const auto& [path, blob] : *files) {
    if (status.ok()) status = PutFile(store, blob, made + "/" + path, how);
  }
  if (status.ok()) status = SyncFolder(made);
  if (status.ok()) status = TakeName(made, target);
  if (!status.ok()) {
    fs::remove_all(made, error);
    return status;
  }
  const std::string parent = fs::path(target).parent_path().string();
  return SyncFolder(parent.empty() ? "." : parent);
}

}  // namespace selvedge
