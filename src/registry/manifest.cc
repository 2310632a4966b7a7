#include "registry/manifest.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/json_limits.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;
// Values of a document: what 4 MiB of "[[],[]…" would become in memory is far more than 4 MiB.
constexpr std::size_t kMaxValues = 100'000;
constexpr std::size_t kMaxDescriptors = 4096;
constexpr std::size_t kMaxMediaType = 255;
constexpr std::size_t kMaxAnnotations = 1000;

Status Wrong(const std::string& what) {
  return InvalidArgumentError("the manifest is wrong: " + what);
}

Result<json> ParseLimited(std::string_view bytes) {
  if (bytes.size() > kMaxManifestBytes) {
    return Err(
        Wrong("it has " + std::to_string(bytes.size()) + " bytes, at most 4 MiB are allowed"));
  }
  if (!JsonWithinLimits(bytes, kMaxDepth, kMaxValues)) {
    return Err(Wrong("it is too deep or names too many things"));
  }
  json parsed = json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return Err(Wrong("it is no JSON"));
  if (!parsed.is_object()) return Err(Wrong("it is no JSON object"));
  return parsed;
}

Status ReadString(const json& object, const char* key, std::string* out) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return OkStatus();
  if (!found->is_string()) return Wrong(std::string(key) + " is no string");
  *out = found->get<std::string>();
  return OkStatus();
}

Status ReadMediaType(const json& object, const char* key, std::string* out) {
  SELVEDGE_RETURN_IF_ERROR(ReadString(object, key, out));
  if (out->size() > kMaxMediaType) return Wrong(std::string(key) + " is too long");
  for (const char c : *out) {
    if (c <= ' ' || c > '~') return Wrong(std::string(key) + " is no media type");
  }
  return OkStatus();
}

Status ReadAnnotations(const json& object, Annotations* out) {
  const auto found = object.find("annotations");
  if (found == object.end() || found->is_null()) return OkStatus();
  if (!found->is_object()) return Wrong("annotations are no object");
  if (found->size() > kMaxAnnotations) return Wrong("it has more than 1000 annotations");
  for (const auto& [key, value] : found->items()) {
    if (!value.is_string()) return Wrong("an annotation is no string");
    out->emplace(key, value.get<std::string>());
  }
  return OkStatus();
}

Result<Descriptor> ReadDescriptor(const json& object, const std::string& what) {
  if (!object.is_object()) return Err(Wrong(what + " is no object"));
  Descriptor descriptor;
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadMediaType(object, "mediaType", &descriptor.media_type));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadString(object, "digest", &descriptor.digest));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadMediaType(object, "artifactType", &descriptor.artifact_type));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadAnnotations(object, &descriptor.annotations));
  if (!IsDigest(descriptor.digest)) return Err(Wrong(what + " has no sha256 digest"));
  const auto size = object.find("size");
  if (size == object.end() || !size->is_number_unsigned() ||
      size->get<std::uint64_t>() > std::uint64_t{1} << 50) {
    return Err(Wrong(what + " has no size"));
  }
  descriptor.size = size->get<std::uint64_t>();
  const auto urls = object.find("urls");
  descriptor.foreign = urls != object.end() && urls->is_array() && !urls->empty();
  if (const auto platform = object.find("platform");
      platform != object.end() && platform->is_object()) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadString(*platform, "os", &descriptor.os));
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadString(*platform, "architecture", &descriptor.architecture));
  }
  return descriptor;
}

Status ReadDescriptors(const json& object, const char* key, std::vector<Descriptor>* out) {
  const auto found = object.find(key);
  if (found == object.end()) return Wrong(std::string(key) + " are missing");
  if (found->is_null()) return OkStatus();
  if (!found->is_array()) return Wrong(std::string(key) + " are no list");
  if (found->size() > kMaxDescriptors) {
    return Wrong(std::string(key) + " are more than " + std::to_string(kMaxDescriptors));
  }
  for (const json& element : *found) {
    auto descriptor = ReadDescriptor(element, "one of its " + std::string(key));
    if (!descriptor) return std::move(descriptor).error();
    out->push_back(*std::move(descriptor));
  }
  return OkStatus();
}

bool IsIndexType(std::string_view type) {
  return type == kIndexType || type == kDockerListType;
}

// Says what kind of manifest it is, from what it was sent as and what it says itself.
Status SettleType(const json& object, std::string_view sent_as, Manifest* manifest) {
  const auto version = object.find("schemaVersion");
  if (version == object.end() || *version != 2) return Wrong("its schemaVersion is not 2");
  SELVEDGE_RETURN_IF_ERROR(ReadMediaType(object, "mediaType", &manifest->media_type));
  if (manifest->media_type.empty()) {
    manifest->media_type = sent_as;
  } else if (!sent_as.empty() && sent_as != manifest->media_type) {
    return Wrong("it was sent as " + std::string(sent_as.substr(0, kMaxMediaType)) +
                 " and says that it is " + manifest->media_type);
  }
  if (manifest->media_type.empty()) {
    manifest->media_type = object.contains("manifests") ? kIndexType : kManifestType;
  }
  manifest->is_index = IsIndexType(manifest->media_type);
  if (!manifest->is_index && manifest->media_type != kManifestType &&
      manifest->media_type != kDockerManifestType) {
    return Wrong("its media type " + manifest->media_type + " is not known here");
  }
  // One that is both would be read as one thing here and as another there.
  if (object.contains(manifest->is_index ? "layers" : "manifests")) {
    return Wrong("it is a manifest and an index at once");
  }
  return OkStatus();
}

std::string_view Look(const Annotations& annotations, const std::string& name) {
  const auto found = annotations.find(name);
  return found == annotations.end() ? std::string_view() : std::string_view(found->second);
}

json ToJson(const Descriptor& descriptor) {
  json object = {{"mediaType", descriptor.media_type},
                 {"digest", descriptor.digest},
                 {"size", descriptor.size}};
  if (!descriptor.artifact_type.empty()) object["artifactType"] = descriptor.artifact_type;
  if (!descriptor.annotations.empty()) object["annotations"] = descriptor.annotations;
  if (!descriptor.os.empty() || !descriptor.architecture.empty()) {
    object["platform"] = {{"os", descriptor.os}, {"architecture", descriptor.architecture}};
  }
  return object;
}

json ToJson(const std::vector<Descriptor>& descriptors) {
  json list = json::array();
  for (const Descriptor& descriptor : descriptors) list.push_back(ToJson(descriptor));
  return list;
}

}  // namespace

std::string_view Descriptor::Annotation(const std::string& name) const {
  return Look(annotations, name);
}

std::string_view Manifest::Annotation(const std::string& name) const {
  return Look(annotations, name);
}

Result<Manifest> ParseManifest(std::string_view bytes, std::string_view media_type) {
  SELVEDGE_ASSIGN_OR_RETURN(const json object, ParseLimited(bytes));
  Manifest manifest;
  SELVEDGE_RETURN_ERR_IF_ERROR(SettleType(object, media_type, &manifest));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadMediaType(object, "artifactType", &manifest.artifact_type));
  SELVEDGE_RETURN_ERR_IF_ERROR(ReadAnnotations(object, &manifest.annotations));
  if (manifest.is_index) {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadDescriptors(object, "manifests", &manifest.manifests));
  } else {
    SELVEDGE_RETURN_ERR_IF_ERROR(ReadDescriptors(object, "layers", &manifest.layers));
    const auto config = object.find("config");
    if (config == object.end()) return Err(Wrong("its config is missing"));
    SELVEDGE_ASSIGN_OR_RETURN(manifest.config, ReadDescriptor(*config, "its config"));
    if (manifest.artifact_type.empty()) manifest.artifact_type = manifest.config->media_type;
  }
  if (const auto subject = object.find("subject"); subject != object.end() && !subject->is_null()) {
    SELVEDGE_ASSIGN_OR_RETURN(manifest.subject, ReadDescriptor(*subject, "its subject"));
  }
  return manifest;
}

std::string WriteManifest(const Manifest& manifest) {
  json object = {{"schemaVersion", 2}, {"mediaType", manifest.media_type}};
  if (!manifest.artifact_type.empty()) object["artifactType"] = manifest.artifact_type;
  if (manifest.config) object["config"] = ToJson(*manifest.config);
  if (manifest.is_index) {
    object["manifests"] = ToJson(manifest.manifests);
  } else {
    object["layers"] = ToJson(manifest.layers);
  }
  if (manifest.subject) object["subject"] = ToJson(*manifest.subject);
  if (!manifest.annotations.empty()) object["annotations"] = manifest.annotations;
  // Names of files may be in another encoding than UTF-8.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace selvedge
