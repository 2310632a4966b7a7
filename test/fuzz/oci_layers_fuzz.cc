// Layers of images, which whoever built the image wrote: whatever they say, nothing outside of the
// root folder changes, and what is unpacked stays within the limits.

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "check.h"
#include "device/agent/oci_layers.h"
#include "device/agent/root_folder.h"

namespace {

namespace fs = std::filesystem;
using selvedge::LayerCompression;

// base/outside holds what no layer may touch, base/root what it may.
struct Folders {
  Folders() {
    // In memory where that is possible: thousands of trees are made and removed.
    char in_memory[] = "/dev/shm/selvedge-fuzz-XXXXXX";
    char on_disk[] = "/tmp/selvedge-fuzz-XXXXXX";
    const char* made = mkdtemp(in_memory);
    base = made != nullptr ? made : mkdtemp(on_disk);
    fs::create_directory(base + "/outside");
    std::ofstream(base + "/outside/secret") << "secret";
    // Where the seeds' links point at.
    fs::create_directory_symlink(base + "/outside", base + "/target");
    before = State();
  }
  ~Folders() { (void)selvedge::RemoveTree(base); }

  // Names, sizes, modes and times of everything outside of the root.
  std::string State() const {
    std::string state;
    for (const auto& entry : fs::recursive_directory_iterator(base)) {
      const std::string path = entry.path();
      if (path.starts_with(base + "/root")) continue;
      struct stat about{};
      SELVEDGE_FUZZ_CHECK(lstat(path.c_str(), &about) == 0);
      state += path + " " + std::to_string(about.st_size) + " " + std::to_string(about.st_mode) +
               " " + std::to_string(about.st_nlink) + " " + std::to_string(about.st_mtim.tv_nsec) +
               " " + std::to_string(about.st_ctim.tv_nsec) + "\n";
    }
    return state;
  }

  std::string base;
  std::string before;
};

selvedge::LayerSource SourceOf(std::string_view bytes) {
  return [bytes](char* buffer, std::size_t size) mutable -> selvedge::Result<std::size_t> {
    const std::size_t count = std::min(size, bytes.size());
    std::copy_n(bytes.data(), count, buffer);
    bytes.remove_prefix(count);
    return count;
  };
}

}  // namespace

// The first byte chooses the packing and where a second layer begins.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  static const Folders folders;
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const std::string root_path = folders.base + "/root";
  SELVEDGE_FUZZ_CHECK(mkdir(root_path.c_str(), 0700) == 0);
  {
    const Result<RootFolder> root = RootFolder::Open(root_path);
    SELVEDGE_FUZZ_CHECK(root.has_value());
    UnpackOptions options;
    options.limits = {.entries = 64, .bytes = 256 * 1024, .path_bytes = 512};
    LayerStreamOptions stream;
    stream.compression = static_cast<LayerCompression>(data[0] % 3);
    UnpackedLayers total;
    // Both parts onto the same root, also after a failure: a later layer meets what one planted.
    const std::size_t half = data[0] < 128 ? bytes.size() : bytes.size() / 2 / 512 * 512;
    (void)ApplyLayer(SourceOf(bytes.substr(0, half)), stream, *root, options, &total);
    (void)ApplyLayer(SourceOf(bytes.substr(half)), stream, *root, options, &total);
    SELVEDGE_FUZZ_CHECK(total.bytes <= options.limits.bytes);
    SELVEDGE_FUZZ_CHECK(total.entries <= options.limits.entries + 2);
  }
  SELVEDGE_FUZZ_CHECK(RemoveTree(root_path).ok());
  SELVEDGE_FUZZ_CHECK(folders.State() == folders.before);
  return 0;
}
