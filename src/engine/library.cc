#include "engine/library.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

void AddFolder(const fs::path& folder, std::vector<std::string>* folders) {
  std::error_code ignored;
  if (folder.empty() || !fs::is_directory(folder, ignored)) return;
  std::string text = folder.lexically_normal().string();
  if (std::ranges::find(*folders, text) == folders->end()) folders->push_back(std::move(text));
}

// "libx.so" matches itself and "libx.so.1.2"; the newest version wins. Empty where none does.
std::string NewestMatch(const fs::path& folder, std::string_view file) {
  std::string best;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.starts_with(file)) continue;
    if (name.size() > file.size() && name[file.size()] != '.') continue;
    if (best.empty() || strverscmp(name.c_str(), best.c_str()) > 0) best = std::move(name);
  }
  return best.empty() ? best : (folder / best).string();
}

std::vector<std::string> Candidates(const LibraryNames& names,
                                    std::span<const std::string> folders) {
  std::vector<std::string> found;
  for (const std::string& folder : folders) {
    const fs::path base(folder);
    for (const fs::path& place : {base, base / names.engine, base / names.engine / "lib"}) {
      for (std::string_view file : names.files) {
        if (std::string path = NewestMatch(place, file); !path.empty()) {
          found.push_back(std::move(path));
        }
      }
    }
  }
  return found;
}

std::string LoaderError() {
  const char* error = dlerror();
  return error != nullptr ? error : "unknown error of the loader";
}

}  // namespace

std::vector<std::string> EngineFolders() {
  std::vector<std::string> folders;
  if (const char* list = std::getenv("SELVEDGE_ENGINE_PATH"); list != nullptr) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(':'), rest.size());
      AddFolder(fs::path(rest.substr(0, end)), &folders);
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  if (Result<std::string> folder = ExecutableFolder(); folder) {
    AddFolder(*folder, &folders);
    AddFolder(fs::path(*folder) / ".." / "lib" / "selvedge", &folders);
  }
#ifdef SELVEDGE_DEPS_DIR
  AddFolder(SELVEDGE_DEPS_DIR, &folders);
#endif
  return folders;
}

std::string FindLibraryFile(const LibraryNames& names, std::span<const std::string> folders) {
  std::vector<std::string> found = Candidates(names, folders);
  return found.empty() ? std::string() : std::move(found.front());
}

std::string LibraryIdentity(const LibraryNames& names) {
  const std::string path = FindLibraryFile(names, EngineFolders());
  struct stat info = {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return path + ' ' + std::to_string(info.st_size) + ' ' + std::to_string(info.st_mtim.tv_sec) +
         '.' + std::to_string(info.st_mtim.tv_nsec);
}

Result<Library> Library::Open(const LibraryNames& names, std::span<const std::string> folders) {
  std::string failures;
  // RTLD_LOCAL: engines bring their own copies of the same third-party code, which must not mix.
  for (std::string& path : Candidates(names, folders)) {
    if (void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr) {
      return Library(handle, std::move(path));
    }
    failures += "; " + LoaderError();
  }
  std::string file_list;
  for (std::string_view file : names.files) {
    std::string name(file);
    if (void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL); handle != nullptr) {
      return Library(handle, std::move(name));
    }
    file_list += (file_list.empty() ? "" : " or ") + name;
  }
  std::string places;
  for (const std::string& folder : folders) places += folder + ", ";
  return Err(NotFoundError("engine " + std::string(names.engine) +
                           " is not on this machine: looked for " + file_list + " in " + places +
                           "and the system's library path" + failures +
                           "; set SELVEDGE_ENGINE_PATH to the folder that has it"));
}

void* Library::Symbol(const char* symbol) const {
  return dlsym(handle_, symbol);
}

}  // namespace selvedge
