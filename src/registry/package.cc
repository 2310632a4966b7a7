// Reading packages: what others wrote.

#include "registry/package.h"

#include <algorithm>
#include <set>
#include <utility>

#include "registry/reference.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxVariants = 64;
constexpr std::size_t kMaxLayers = 64;
constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{1} << 20;
constexpr std::size_t kMaxPath = 512;
constexpr std::size_t kMaxName = 128;

Status Wrong(const std::string& what) {
  return InvalidArgumentError("the package is wrong: " + what);
}

bool IsName(std::string_view text) {
  return !text.empty() && text.size() <= kMaxName && text[0] != '.' &&
         std::ranges::all_of(text, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '+';
         });
}

Result<PackageVariant> ReadVariant(const Descriptor& descriptor) {
  PackageVariant variant{.name = std::string(descriptor.Annotation("dev.selvedge.variant")),
                         .format = std::string(descriptor.Annotation("dev.selvedge.format")),
                         .arch = std::string(descriptor.Annotation("dev.selvedge.arch")),
                         .manifest = descriptor};
  if (!IsName(variant.name)) return Err(Wrong("a variant has no name (dev.selvedge.variant)"));
  if (!IsName(variant.format)) {
    return Err(Wrong("the variant " + variant.name + " has no format (dev.selvedge.format)"));
  }
  if (!variant.arch.empty() && !IsName(variant.arch)) {
    return Err(Wrong("the variant " + variant.name + " has an architecture that is none"));
  }
  if (descriptor.size > kMaxManifestBytes) {
    return Err(Wrong("the manifest of the variant " + variant.name + " is larger than 4 MiB"));
  }
  return variant;
}

// Copied by tools from before OCI 1.1 (skopeo 1.9) an index loses its artifact type, and nothing
// else.
bool IsPackage(const Manifest& manifest) {
  if (!manifest.is_index) return false;
  if (!manifest.artifact_type.empty()) return manifest.artifact_type == kPackageType;
  return !manifest.manifests.empty() &&
         std::ranges::all_of(manifest.manifests, [](const Descriptor& one) {
           return !one.Annotation("dev.selvedge.variant").empty();
         });
}

// A file that is at the same time a folder of another.
bool Clash(const std::set<std::string>& paths) {
  for (const std::string& path : paths) {
    const auto inside = paths.lower_bound(path + "/");
    if (inside != paths.end() && inside->starts_with(path + "/")) return true;
  }
  return false;
}

}  // namespace

Status CheckPackagePath(std::string_view path) {
  const auto wrong = [&](std::string_view why) {
    return Wrong("a file's path " + std::string(why));
  };
  if (path.empty() || path.size() > kMaxPath) return wrong("is empty or longer than 512 bytes");
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127 || c == '\\') {
      return wrong("holds a control character or a backslash");
    }
  }
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view segment = path.substr(at, end - at);
    if (segment.empty() || segment == "." || segment == "..") {
      return wrong("is absolute or leaves the package's folder");
    }
    if (segment.size() > 255) return wrong("has a name longer than 255 bytes");
    at = end + 1;
  }
  return OkStatus();
}

const PackageVariant* PackageIndex::Find(std::string_view name, std::string_view arch) const {
  for (const PackageVariant& variant : variants) {
    const bool fits = arch.empty() || variant.arch.empty() || variant.arch == arch;
    if (variant.name == name && fits) return &variant;
  }
  return nullptr;
}

Result<PackageIndex> ReadPackageIndex(std::string_view bytes) {
  SELVEDGE_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(bytes, {}));
  if (!IsPackage(manifest)) {
    return Err(
        Wrong("it is no package of a model, but " +
              (manifest.artifact_type.empty() ? manifest.media_type : manifest.artifact_type)));
  }
  PackageIndex index;
  index.annotations = manifest.annotations;
  index.title = manifest.Annotation("org.opencontainers.image.title");
  index.version = manifest.Annotation("org.opencontainers.image.version");
  if (manifest.manifests.empty() || manifest.manifests.size() > kMaxVariants) {
    return Err(Wrong("it has " + std::to_string(manifest.manifests.size()) +
                     " variants; 1 to 64 are allowed"));
  }
  std::set<std::pair<std::string, std::string>> known;
  for (const Descriptor& descriptor : manifest.manifests) {
    SELVEDGE_ASSIGN_OR_RETURN(PackageVariant variant, ReadVariant(descriptor));
    if (!known.emplace(variant.name, variant.arch).second) {
      return Err(Wrong("the variant " + variant.name + " is there twice"));
    }
    index.variants.push_back(std::move(variant));
  }
  return index;
}

bool PackageContent::has_pipeline() const {
  return std::ranges::any_of(files, [](const PackageFile& file) {
    return file.blob.media_type == kPipelineType && file.path == "pipeline.yaml";
  });
}

Result<PackageContent> ReadPackageManifest(std::string_view bytes) {
  SELVEDGE_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(bytes, kManifestType));
  if (manifest.artifact_type != kModelManifestType || !manifest.config ||
      manifest.config->media_type != kModelConfigType) {
    return Err(Wrong("a variant's manifest is none of a model"));
  }
  if (manifest.config->size > kMaxConfigBytes) return Err(Wrong("a config is larger than 1 MiB"));
  if (manifest.layers.size() > kMaxLayers) return Err(Wrong("a variant has more than 64 files"));
  PackageContent content{.config = *manifest.config, .files = {}};
  std::set<std::string> paths;
  for (const Descriptor& layer : manifest.layers) {
    std::string path(layer.Annotation("org.cncf.model.filepath"));
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckPackagePath(path));
    if (layer.size > kMaxBlobBytes) return Err(Wrong(path + " is larger than 8 GiB"));
    if (!paths.insert(path).second) return Err(Wrong(path + " is there twice"));
    content.files.push_back({std::move(path), layer});
  }
  if (Clash(paths)) return Err(Wrong("a path is a file and a folder at once"));
  if (!paths.contains("card.yaml")) return Err(Wrong("it has no card.yaml"));
  return content;
}

}  // namespace selvedge
