#pragma once

// For tests of the registry: folders of one's own, files in them, and damage.

#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "registry/manifest.h"
#include "trust/digest.h"

namespace selvedge {

class RegistryFolder {
 public:
  RegistryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "selvedge-registry-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~RegistryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  RegistryFolder(const RegistryFolder&) = delete;
  RegistryFolder& operator=(const RegistryFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file, with its folders, and returns its path.
  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
    return path;
  }

 private:
  std::string path_;
};

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Changes one byte of a blob of a store in `folder`, of the same length.
inline void DamageBlob(const std::string& folder, const std::string& digest) {
  const std::string hex = digest.substr(7);
  const std::string path = folder + "/blobs/" + hex.substr(0, 2) + "/" + hex;
  std::string content = ReadAll(path);
  content[content.size() / 2] = static_cast<char>(content[content.size() / 2] ^ 1);
  ::chmod(path.c_str(), 0644);
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

inline Descriptor Describe(std::string_view content,
                           std::string type = "application/octet-stream") {
  return {.media_type = std::move(type), .digest = *DigestOf(content), .size = content.size()};
}

// An image manifest of these blobs.
inline std::string ManifestOf(const Descriptor& config, const std::vector<Descriptor>& layers) {
  Manifest manifest;
  manifest.media_type = kManifestType;
  manifest.config = config;
  manifest.layers = layers;
  return WriteManifest(manifest);
}

}  // namespace selvedge
