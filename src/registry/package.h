#pragma once

// Packages of models (docs/formats/package.md): built from a card, read, checked, and laid out in a
// folder. The reading is pure and thread-safe; the rest waits for the disk or the network.

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "registry/content_store.h"
#include "registry/manifest.h"
#include "registry/oci_client.h"

namespace selvedge {

inline constexpr std::string_view kPackageType = "application/vnd.selvedge.package.v1";
inline constexpr std::string_view kModelManifestType =
    "application/vnd.cncf.model.manifest.v1+json";
inline constexpr std::string_view kModelConfigType = "application/vnd.cncf.model.config.v1+json";
inline constexpr std::string_view kWeightType = "application/vnd.cncf.model.weight.v1.raw";
inline constexpr std::string_view kCardType = "application/vnd.cncf.model.weight.config.v1.raw";
inline constexpr std::string_view kPipelineType = "application/vnd.cncf.model.code.v1.raw";
inline constexpr std::string_view kDocType = "application/vnd.cncf.model.doc.v1.raw";

// Reading, as others wrote it: limits of docs/formats/package.md, InvalidArgument saying what is
// wrong.

struct PackageVariant {
  std::string name;    // "fp32"
  std::string format;  // "onnx", "tflite", "openvino"
  std::string arch;    // "x86", "arm64", "arm"; empty: any
  Descriptor manifest;
};

struct PackageIndex {
  std::string title;
  std::string version;
  Annotations annotations;
  std::vector<PackageVariant> variants;  // at least one; names with their formats are unique

  // The variant of that name; where `arch` is given, one for it. Null where there is none.
  const PackageVariant* Find(std::string_view name, std::string_view arch = {}) const;
};
Result<PackageIndex> ReadPackageIndex(std::string_view bytes);

struct PackageFile {
  std::string path;  // relative, within the folder
  Descriptor blob;
};
struct PackageContent {
  Descriptor config;
  std::vector<PackageFile> files;  // weights, card.yaml, pipeline.yaml, …; no two of one path
  bool has_pipeline() const;
};
Result<PackageContent> ReadPackageManifest(std::string_view bytes);

// Relative, of plain segments, no "." or "..", no backslash or control character, at most 512
// bytes.
Status CheckPackagePath(std::string_view path);

// Building.

struct PackageBlob {
  Descriptor blob;
  std::string file;  // where its content is; empty: `bytes`
  std::string bytes;
};
struct BuiltPackage {
  std::string title;
  std::string version;
  std::vector<PackageBlob> blobs;         // each once; the pipeline file goes as it is
  std::vector<StoredManifest> manifests;  // one per variant
  StoredManifest index;
};
// From a model card (and everything that it names) and, where given, a pipeline file. The same
// files give the same digests.
Result<BuiltPackage> BuildPackage(const std::string& card, const std::string& pipeline = {});

struct PackageProgress {
  std::string what;  // a file's name
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // of the whole transfer
};
using OnPackageProgress = std::function<void(const PackageProgress&)>;

struct PushedPackage {
  std::string digest;  // of the index
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_there = 0;  // that the registry had already
};
Result<PushedPackage> PushPackage(OciClient* client, const BuiltPackage& package,
                                  const std::string& repository, const std::string& tag,
                                  const OnPackageProgress& progress = {},
                                  std::stop_token stop = {});

// Fetching: index, manifests and blobs of the chosen variants into the store, all verified, from
// there on available without the network. `variant` empty: all that run on `arch` (empty: all).
struct FetchedPackage {
  std::string digest;  // of the index
  std::uint64_t index_bytes = 0;
  PackageIndex index;
  std::vector<PackageContent> contents;  // of the variants fetched, in the order of the index
  std::vector<std::string> variants;     // their names
  std::uint64_t bytes = 0;               // of blobs, each once
};
Result<FetchedPackage> FetchPackage(OciClient* client, ContentStore* store,
                                    const std::string& repository, const std::string& reference,
                                    const std::string& variant = {}, const std::string& arch = {},
                                    const OnPackageProgress& progress = {},
                                    std::stop_token stop = {});
// The same of what the store has already; NotFound where something is missing.
Result<FetchedPackage> OpenPackage(ContentStore* store, const std::string& repository,
                                   const std::string& reference, const std::string& variant = {},
                                   const std::string& arch = {});

// Index and manifests only, of all variants; nothing is kept anywhere.
Result<FetchedPackage> DescribePackage(OciClient* client, const std::string& repository,
                                       const std::string& reference, std::stop_token stop = {});

// Lays the files out in `folder`, which is made or completed: in a folder beside it first, which
// then takes its name, so that it is there whole or not at all. An existing folder is replaced.
enum class Unpack {
  kLink,  // hard links to the store where the file system can, else copies; files are read-only
  kCopy,
};
Status UnpackPackage(ContentStore* store, const FetchedPackage& package, const std::string& folder,
                     Unpack how);

}  // namespace selvedge
