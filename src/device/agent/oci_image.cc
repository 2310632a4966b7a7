#include "device/agent/oci_image.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/config.h"
#include "base/file.h"
#include "base/json_limits.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;
constexpr std::size_t kMaxValues = 50'000;
constexpr std::size_t kMaxList = 1024;
constexpr std::size_t kMaxText = std::size_t{64} * 1024;
constexpr std::size_t kMaxGroups = 64;
constexpr std::uint64_t kMaxImageBytes = std::uint64_t{16} << 30;

Status Wrong(const std::string& what) {
  return InvalidArgumentError("the image's config is wrong: " + what);
}

Result<json> ParseLimited(std::string_view bytes) {
  if (bytes.size() > kMaxImageConfigBytes) return Err(Wrong("it is larger than 1 MiB"));
  if (!JsonWithinLimits(bytes, kMaxDepth, kMaxValues)) {
    return Err(Wrong("it is too deep or has too many values"));
  }
  const json parsed = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return Err(Wrong("it is no JSON object"));
  return parsed;
}

Status CheckText(const std::string& text, const char* key) {
  if (text.size() > kMaxText) return Wrong(std::string(key) + " is too long");
  if (text.find('\0') != std::string::npos) return Wrong(std::string(key) + " has a zero byte");
  return OkStatus();
}

Status ReadText(const json& object, const char* key, std::string* out) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return OkStatus();
  if (!found->is_string()) return Wrong(std::string(key) + " is no text");
  *out = found->get<std::string>();
  return CheckText(*out, key);
}

Status ReadTexts(const json& object, const char* key, std::vector<std::string>* out) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return OkStatus();
  if (!found->is_array() || found->size() > kMaxList) {
    return Wrong(std::string(key) + " is no list of at most 1024");
  }
  for (const json& element : *found) {
    if (!element.is_string()) return Wrong(std::string(key) + " holds something that is no text");
    out->push_back(element.get<std::string>());
    SELVEDGE_RETURN_IF_ERROR(CheckText(out->back(), key));
  }
  return OkStatus();
}

Status ReadVolumes(const json& object, std::vector<std::string>* out) {
  const auto found = object.find("Volumes");
  if (found == object.end() || found->is_null()) return OkStatus();
  if (!found->is_object() || found->size() > kMaxList) {
    return Wrong("Volumes is no object of at most 1024");
  }
  for (const auto& [path, unused] : found->items()) {
    SELVEDGE_RETURN_IF_ERROR(CheckText(path, "Volumes"));
    out->push_back(path);
  }
  return OkStatus();
}

Status ReadRun(const json& root, ImageConfig* config) {
  const auto run = root.find("config");
  if (run == root.end() || run->is_null()) return OkStatus();
  if (!run->is_object()) return Wrong("config is no object");
  SELVEDGE_RETURN_IF_ERROR(ReadTexts(*run, "Entrypoint", &config->entrypoint));
  SELVEDGE_RETURN_IF_ERROR(ReadTexts(*run, "Cmd", &config->command));
  SELVEDGE_RETURN_IF_ERROR(ReadTexts(*run, "Env", &config->environment));
  SELVEDGE_RETURN_IF_ERROR(ReadText(*run, "User", &config->user));
  SELVEDGE_RETURN_IF_ERROR(ReadText(*run, "WorkingDir", &config->folder));
  return ReadVolumes(*run, &config->volumes);
}

// A number of a user or group; the highest one means "none".
std::optional<std::uint32_t> ParseId(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == UINT32_MAX) {
    return std::nullopt;
  }
  return id;
}

std::vector<std::string_view> SplitAt(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// Calls `on` with the fields of each line that has at least so many, until it returns true.
template <typename F>
void EachLine(std::string_view file, std::size_t fields, const F& on) {
  for (const std::string_view line : SplitAt(file, '\n')) {
    const auto parts = SplitAt(line, ':');
    if (parts.size() >= fields && on(parts)) return;
  }
}

}  // namespace

Result<ImageConfig> ParseImageConfig(std::string_view bytes) {
  SELVEDGE_ASSIGN_OR_RETURN(const json root, ParseLimited(bytes));
  ImageConfig config;
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadText(root, "os", &config.os));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadText(root, "architecture", &config.architecture));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadRun(root, &config));
  const auto rootfs = root.find("rootfs");
  if (rootfs == root.end() || !rootfs->is_object()) return Err(Wrong("rootfs is missing"));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadTexts(*rootfs, "diff_ids", &config.diff_ids));
  if (!std::ranges::all_of(config.diff_ids, [](const auto& id) { return IsDigest(id); })) {
    return Err(Wrong("one of its diff_ids is no sha256 digest"));
  }
  return config;
}

std::string_view OciArchitecture(std::string_view arch) {
  return arch == "x86" ? "amd64" : arch;
}

Result<Descriptor> ChooseImage(const Manifest& index, std::string_view arch) {
  const std::string_view wanted = OciArchitecture(arch);
  std::string offered;
  for (const Descriptor& manifest : index.manifests) {
    if (manifest.os == "linux" && manifest.architecture == wanted) return manifest;
    const std::string platform = manifest.os + "/" + manifest.architecture;
    if (offered.size() < 200 && !manifest.architecture.empty()) {
      offered += (offered.empty() ? "" : ", ") + platform;
    }
  }
  return Err(NotFoundError("the image is not for linux/" + std::string(wanted) + " but for " +
                           QuoteForMessage(offered.empty() ? "no platform" : offered)));
}

Status CheckImage(const Manifest& manifest, const ImageConfig& config, std::string_view arch) {
  const std::string_view wanted = OciArchitecture(arch);
  if (config.os != "linux" || config.architecture != wanted) {
    return FailedPreconditionError("the image is for " +
                                   QuoteForMessage(config.os + "/" + config.architecture) +
                                   ", this device is linux/" + std::string(wanted));
  }
  if (manifest.layers.size() != config.diff_ids.size()) {
    return Wrong("it has " + std::to_string(config.diff_ids.size()) + " diff_ids for " +
                 std::to_string(manifest.layers.size()) + " layers");
  }
  return OkStatus();
}

Result<ContainerUser> ResolveUser(std::string_view user, std::string_view passwd,
                                  std::string_view group) {
  const std::size_t colon = user.find(':');
  std::string_view name = user.substr(0, colon);
  if (name.empty()) name = "0";
  const std::string_view group_name =
      colon == std::string_view::npos ? std::string_view() : user.substr(colon + 1);
  ContainerUser who;
  std::string_view login;
  const std::optional<std::uint32_t> number = ParseId(name);
  bool found = number.has_value();
  if (number) who.uid = *number;
  EachLine(passwd, 6, [&](const auto& fields) {
    const auto uid = ParseId(fields[2]);
    const auto gid = ParseId(fields[3]);
    if (!uid || !gid || (fields[0] != name && (!number || *uid != *number))) return false;
    who.uid = *uid;
    who.gid = *gid;
    login = fields[0];
    if (fields[5].starts_with('/')) who.home = fields[5];
    return found = true;
  });
  if (!found) {
    return Err(NotFoundError("the image is to run as the user " + QuoteForMessage(name) +
                             ", who is not in its /etc/passwd"));
  }
  bool group_found = group_name.empty();
  if (const auto gid = ParseId(group_name)) {
    who.gid = *gid;
    group_found = true;
  }
  EachLine(group, 4, [&](const auto& fields) {
    const auto gid = ParseId(fields[2]);
    if (!gid) return false;
    if (!group_name.empty()) {
      // Whoever names a group gets that one only.
      if (fields[0] != group_name) return false;
      who.gid = *gid;
      return group_found = true;
    }
    const auto members = SplitAt(fields[3], ',');
    if (!login.empty() && *gid != who.gid && std::ranges::find(members, login) != members.end()) {
      who.groups.push_back(*gid);
    }
    return who.groups.size() >= kMaxGroups;
  });
  if (!group_found) {
    return Err(NotFoundError("the image is to run as the group " + QuoteForMessage(group_name) +
                             ", which is not in its /etc/group"));
  }
  return who;
}

namespace {

// Of an image for containers, and of nothing else that a registry may hold.
Status CheckManifest(const Manifest& manifest) {
  if (manifest.is_index || !manifest.config ||
      (manifest.config->media_type != "application/vnd.oci.image.config.v1+json" &&
       manifest.config->media_type != "application/vnd.docker.container.image.v1+json")) {
    return InvalidArgumentError(
        "it is no image of a container; a package of a model is named pipeline:NAME:TAG");
  }
  if (manifest.config->size > kMaxImageConfigBytes) {
    return InvalidArgumentError("the image's config is larger than 1 MiB");
  }
  if (manifest.layers.size() > kMaxImageLayers) {
    return InvalidArgumentError("the image has more than " + std::to_string(kMaxImageLayers) +
                                " layers");
  }
  std::uint64_t bytes = 0;
  for (const Descriptor& layer : manifest.layers) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const LayerCompression compression,
                                     CompressionOfLayer(layer.media_type));
    if (layer.size > kMaxImageBytes - bytes) {
      return InvalidArgumentError("the image is larger than " + std::to_string(kMaxImageBytes) +
                                  " bytes");
    }
    bytes += layer.size;
  }
  return OkStatus();
}

using GetManifest = std::function<Result<StoredManifest>(const std::string& digest)>;

// From the digest of an index or a manifest to the manifest for this device.
Result<Manifest> FindManifest(const std::string& digest, std::string_view arch,
                              const GetManifest& get) {
  if (!IsDigest(digest))
    return Err(InvalidArgumentError(QuoteForMessage(digest) + " is no digest"));
  SELVEDGE_ASSIGN_OR_RETURN(StoredManifest stored, get(digest));
  SELVEDGE_ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(stored.bytes, stored.media_type));
  if (manifest.is_index) {
    SELVEDGE_ASSIGN_OR_RETURN(const Descriptor chosen, ChooseImage(manifest, arch));
    SELVEDGE_ASSIGN_OR_RETURN(stored, get(chosen.digest));
    SELVEDGE_ASSIGN_OR_RETURN(manifest, ParseManifest(stored.bytes, stored.media_type));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckManifest(manifest));
  return manifest;
}

}  // namespace

Result<OciImage> OpenImage(ContentStore* store, const std::string& repository,
                           const std::string& digest, std::string_view arch) {
  OciImage image{.digest = digest, .manifest = {}, .config_bytes = {}, .config = {}, .layers = {}};
  SELVEDGE_ASSIGN_OR_RETURN(image.manifest, FindManifest(digest, arch, [&](const auto& of) {
                              return store->GetManifest(repository, of);
                            }));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string config, store->Path(image.manifest.config->digest));
  SELVEDGE_ASSIGN_OR_RETURN(image.config_bytes, ReadFile(config, kMaxImageConfigBytes));
  SELVEDGE_ASSIGN_OR_RETURN(image.config, ParseImageConfig(image.config_bytes));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckImage(image.manifest, image.config, arch));
  image.bytes = image.manifest.config->size;
  for (std::size_t i = 0; i < image.manifest.layers.size(); ++i) {
    const Descriptor& layer = image.manifest.layers[i];
    SELVEDGE_ASSIGN_OR_RETURN(std::string path, store->Path(layer.digest));
    image.bytes += layer.size;
    image.layers.push_back({.path = std::move(path),
                            .media_type = layer.media_type,
                            .digest = layer.digest,
                            .size = layer.size,
                            .diff_id = image.config.diff_ids[i]});
  }
  return image;
}

Result<OciImage> FetchImage(OciClient* client, ContentStore* store, const std::string& repository,
                            const std::string& digest, std::string_view arch,
                            const OciProgress& progress, std::stop_token stop) {
  const auto get = [&](const std::string& of) -> Result<StoredManifest> {
    // What is here need not be asked for: a device goes on without its registry.
    if (auto here = store->GetManifest(repository, of)) return here;
    SELVEDGE_ASSIGN_OR_RETURN(StoredManifest stored, client->GetManifest(repository, of, stop));
    // Of an index only one manifest comes.
    SELVEDGE_ASSIGN_OR_RETURN([[maybe_unused]] const auto put,
                              store->PutManifest(repository, of, stored.media_type, stored.bytes,
                                                 /*whole=*/false));
    return stored;
  };
  SELVEDGE_ASSIGN_OR_RETURN(const Manifest manifest, FindManifest(digest, arch, get));
  std::vector<const Descriptor*> blobs = {&*manifest.config};
  for (const Descriptor& layer : manifest.layers) blobs.push_back(&layer);
  std::uint64_t total = 0;
  for (const Descriptor* blob : blobs) total += blob->size;
  std::uint64_t before = 0;
  for (const Descriptor* blob : blobs) {
    const auto on = [&](std::uint64_t done, std::uint64_t) {
      if (progress) progress(before + done, total);
    };
    SELVEDGE_RETURN_ERR_IF_ERROR(client->Download(repository, *blob, store, on, stop));
    before += blob->size;
  }
  return OpenImage(store, repository, digest, arch);
}

}  // namespace selvedge
