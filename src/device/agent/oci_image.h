#pragma once

// Images of containers: which manifest of an index is for this device, what the config says, and
// the way from a registry to files on the disk (OCI image specification 1.1; Docker's schema 2).
//
// Reading is pure and thread-safe, with limits, as others wrote it. Fetching and opening wait for
// the network or the disk. Failure: InvalidArgument where it is no image, FailedPrecondition where
// it is none for this device, else that of client and store.

#include <cstdint>
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "device/agent/oci_layers.h"
#include "registry/content_store.h"
#include "registry/manifest.h"
#include "registry/oci_client.h"

namespace selvedge {

inline constexpr std::size_t kMaxImageConfigBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxImageLayers = 128;

// What of an image's config matters to who runs it.
struct ImageConfig {
  std::string os;
  std::string architecture;  // Go's name: "amd64"
  std::vector<std::string> entrypoint;
  std::vector<std::string> command;
  std::vector<std::string> environment;  // "NAME=value"
  std::string user;                      // "", "app", "1000", "1000:1000", "app:video"
  std::string folder;                    // to work in; empty: "/"
  std::vector<std::string> volumes;      // paths it writes to
  std::vector<std::string> diff_ids;     // of the layers, the lowest first
};
Result<ImageConfig> ParseImageConfig(std::string_view bytes);

// "x86" is "amd64" there; the others have the same name.
std::string_view OciArchitecture(std::string_view arch);
// The manifest for Linux on `arch` ("x86", "arm64", "arm"). NotFound names what there is.
Result<Descriptor> ChooseImage(const Manifest& index, std::string_view arch);
// Whether manifest and config fit each other and the device.
Status CheckImage(const Manifest& manifest, const ImageConfig& config, std::string_view arch);

// Who a container's process is.
struct ContainerUser {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;  // further ones
  std::string home = "/";
};
// `user` of a config, by the image's own /etc/passwd and /etc/group (empty where it has none).
// NotFound for a name that is not there.
Result<ContainerUser> ResolveUser(std::string_view user, std::string_view passwd,
                                  std::string_view group);

struct OciImage {
  std::string digest;  // as it was asked for: of the index or the manifest
  Manifest manifest;
  std::string config_bytes;
  ImageConfig config;
  std::vector<LayerFile> layers;  // their blobs are files of the store
  std::uint64_t bytes = 0;        // of blobs
};

// Everything of one image into the store, verified, from there on available without the network.
// `repository` is the name at the client's registry, and in the store.
Result<OciImage> FetchImage(OciClient* client, ContentStore* store, const std::string& repository,
                            const std::string& digest, std::string_view arch,
                            const OciProgress& progress = {}, std::stop_token stop = {});
// The same of what the store has already; NotFound where something is missing.
Result<OciImage> OpenImage(ContentStore* store, const std::string& repository,
                           const std::string& digest, std::string_view arch);

}  // namespace selvedge
