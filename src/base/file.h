#pragma once

// Whole small files and file names. Errors name the path.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

// At most `limit` bytes; a larger file is ResourceExhausted, a directory InvalidArgument.
Result<std::string> ReadFile(const std::string& path, std::size_t limit);
// Written to a temporary file beside it, fsynced, renamed: readers see the old or the new one.
Status WriteFileAtomically(const std::string& path, std::string_view content);
// `path` if absolute, else relative to the folder of `base_file`.
std::string ResolvePath(std::string_view path, std::string_view base_file);
// Folder of the running executable.
Result<std::string> ExecutableFolder();
// $SELVEDGE_CACHE_DIR, else $XDG_CACHE_HOME/selvedge, else ~/.cache/selvedge, else
// /var/cache/selvedge.
std::string CacheFolder();

}  // namespace selvedge
