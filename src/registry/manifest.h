#pragma once

// Manifests and indexes: what a tag or a digest points at (OCI Image 1.1; Docker's schema 2, which
// is the same under other names, is read too). Pure; thread-safe. What others wrote is read with
// limits.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

inline constexpr std::size_t kMaxManifestBytes = std::size_t{4} << 20;
inline constexpr std::uint64_t kMaxBlobBytes = std::uint64_t{8} << 30;

inline constexpr std::string_view kIndexType = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kManifestType = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kDockerListType =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerManifestType =
    "application/vnd.docker.distribution.manifest.v2+json";

using Annotations = std::map<std::string, std::string>;

struct Descriptor {
  std::string media_type;
  std::string digest;
  std::uint64_t size = 0;
  std::string artifact_type;
  Annotations annotations;
  std::string os;  // of the platform; empty where none is given
  std::string architecture;
  bool foreign = false;  // has `urls`: not kept by this registry

  std::string_view Annotation(const std::string& name) const;
};

struct Manifest {
  std::string media_type;
  std::string artifact_type;  // of the manifest, else its config's media type
  bool is_index = false;
  std::optional<Descriptor> config;   // not of an index
  std::vector<Descriptor> layers;     // not of an index
  std::vector<Descriptor> manifests;  // of an index
  std::optional<Descriptor> subject;
  Annotations annotations;

  std::string_view Annotation(const std::string& name) const;
};

// `media_type` is what it was sent as; empty: what it says itself. InvalidArgument, saying what is
// wrong, where it is no manifest, is above 4 MiB, too deep, or names more than 4096 things.
Result<Manifest> ParseManifest(std::string_view bytes, std::string_view media_type);

// The JSON of one: the same manifest gives the same bytes.
std::string WriteManifest(const Manifest& manifest);

}  // namespace selvedge
