#pragma once

// Library: an engine's shared library, found and opened at run time.
//
// One binary runs with whichever engines a machine has: none is linked, each is looked for here.
// Folders are searched in this order, and in each of them the folder itself, FOLDER/ENGINE and
// FOLDER/ENGINE/lib:
//   1. each folder of $SELVEDGE_ENGINE_PATH (colon-separated),
//   2. the executable's own folder, and ../lib/selvedge beside it,
//   3. where tools/setup unpacks engines (developers' builds only),
//   4. at last the system's loader, by the plain name.
// Thread-safe. A library is never closed again: engines keep threads and static state that do not
// survive dlclose, so a Library costs its mapping until the process ends. Failure: NotFound that
// lists every folder and, where a file was there but did not open, the loader's word.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct LibraryNames {
  std::string_view engine;  // "openvino": the subfolder's name, and the name in messages
  std::vector<std::string_view> files;  // "libopenvino_c.so": that file, or the newest FILE.VERSION
};

// The folders of steps 1 to 3, as they stand now, without those that do not exist.
std::vector<std::string> EngineFolders();

class Library {
 public:
  static Result<Library> Open(const LibraryNames& names, std::span<const std::string> folders);
  static Result<Library> Open(const LibraryNames& names) { return Open(names, EngineFolders()); }

  // Sets *function to the symbol's address; false (and nullptr) where the library has none.
  template <typename F>
  bool Resolve(const char* symbol, F** function) const {
    *function = reinterpret_cast<F*>(Symbol(symbol));
    return *function != nullptr;
  }
  // Path of the file opened, or the plain name where the system's loader found it.
  const std::string& path() const { return path_; }

 private:
  Library(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void* Symbol(const char* symbol) const;

  void* handle_;
  std::string path_;
};

// Path of the first of `names.files` in `folders`, without opening it; empty where there is none.
std::string FindLibraryFile(const LibraryNames& names, std::span<const std::string> folders);

// Path, size and time of change of that file in EngineFolders(): changes when the library does.
// Empty where there is none (the system's loader may still have one).
std::string LibraryIdentity(const LibraryNames& names);

}  // namespace selvedge
