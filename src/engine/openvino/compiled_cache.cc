#include "engine/openvino/compiled_cache.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/log.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kEnding = ".blob";
constexpr std::size_t kHexDigits = 64;

std::string HexOf(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

}  // namespace

CompiledCache::CompiledCache(std::string folder, std::string_view facts)
    : folder_(std::move(folder)) {
  if (const Result<std::string> digest = DigestOf(facts)) key_ = HexOf(*digest);
}

std::string CompiledCache::FindFile() const {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename();
    if (name.size() == 2 * kHexDigits + 1 + kEnding.size() && name.starts_with(key_ + "-") &&
        name.ends_with(kEnding)) {
      return entry.path();
    }
  }
  return "";
}

bool CompiledCache::Load(const std::function<Status(MappedFile file)>& use) const {
  if (key_.empty()) return false;
  const std::string path = FindFile();
  if (path.empty()) return false;
  const std::string expected =
      fs::path(path).filename().string().substr(kHexDigits + 1, kHexDigits);
  const Result<std::string> digest = DigestOfFile(path);
  Status status = !digest                      ? digest.error()
                  : HexOf(*digest) != expected ? DataLossError("it was damaged")
                                               : OkStatus();
  if (status.ok()) {
    Result<MappedFile> file = MappedFile::Open(path, kMaxBytes);
    status = file ? use(*std::move(file)) : file.error();
  }
  if (status.ok()) return true;
  log::Warning("engine", "a compiled model that was kept is of no use; compiling it again",
               {{"file", path}, {"error", status.message()}});
  std::error_code ignored;
  fs::remove(path, ignored);
  return false;
}

void CompiledCache::Store(const std::function<Status(const std::string& path)>& write) const {
  if (key_.empty()) return;
  std::error_code error;
  fs::create_directories(folder_, error);
  fs::permissions(folder_, fs::perms::owner_all, error);
  const std::string temporary = folder_ + "/" + key_ + "." + std::to_string(getpid()) + ".new";
  Status status = write(temporary);
  if (status.ok()) {
    fs::permissions(temporary, fs::perms::owner_read | fs::perms::owner_write, error);
    const Result<std::string> digest = DigestOfFile(temporary);
    if (digest) {
      fs::rename(temporary, folder_ + "/" + key_ + "-" + HexOf(*digest) + std::string(kEnding),
                 error);
      if (error) status = UnavailableError(error.message());
    } else {
      status = digest.error();
    }
  }
  if (!status.ok()) {
    log::Info("engine", "the compiled model is not kept; the next start compiles it again",
              {{"folder", folder_}, {"error", status.message()}});
    fs::remove(temporary, error);
  }
  Prune();
}

void CompiledCache::Prune() const {
  struct File {
    fs::path path;
    fs::file_time_type written;
    std::uint64_t bytes;
  };
  std::vector<File> files;
  std::error_code error;
  std::uint64_t total = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    if (!entry.is_regular_file(error)) continue;
    files.push_back({entry.path(), entry.last_write_time(error), entry.file_size(error)});
    total += files.back().bytes;
  }
  std::ranges::sort(files, {}, &File::written);
  for (const File& file : files) {
    if (total <= kMaxBytes) return;
    fs::remove(file.path, error);
    total -= file.bytes;
  }
}

}  // namespace selvedge
