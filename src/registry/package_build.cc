// Building packages from a model card, and sending them.

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "base/config.h"
#include "base/file.h"
#include "core/model_card.h"
#include "registry/package.h"
#include "registry/reference.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxTextFile = std::size_t{1} << 20;  // cards, pipelines, labels
// Beside the card, taken along where they are there.
constexpr std::array<std::string_view, 6> kDocs = {"LICENSE",       "LICENSE.md", "LICENSE.txt",
                                                   "PROVENANCE.md", "NOTICE",     "README.md"};
// Weights that a format keeps in a file of their own.
constexpr std::array<std::string_view, 2> kOnnxData = {".data", "_data"};

std::string FormatOf(std::string_view path) {
  if (path.ends_with(".onnx")) return "onnx";
  if (path.ends_with(".tflite")) return "tflite";
  if (path.ends_with(".xml")) return "openvino";
  if (path.ends_with(".fake")) return "fake";  // engine/fake: tests and benchmarks of the fleet
  return "";
}

bool IsFile(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// What one variant consists of besides the files that all share.
struct Weights {
  std::string name;
  std::string format;
  std::string precision;
  std::vector<Descriptor> layers;
};

class Builder {
 public:
  explicit Builder(std::string card) : card_path_(std::move(card)) {}

  Result<BuiltPackage> Build(const std::string& pipeline) {
    SELVEDGE_ASSIGN_OR_RETURN(card_, ModelCard::Load(card_path_));
    package_.title = card_.name;
    package_.version = card_.version;
    SELVEDGE_RETURN_ERR_IF_ERROR(AddShared(pipeline));
    for (const ModelVariant& variant : card_.variants) {
      SELVEDGE_RETURN_ERR_IF_ERROR(AddVariant(variant));
    }
    SELVEDGE_RETURN_ERR_IF_ERROR(AddIndex());
    return std::move(package_);
  }

 private:
  // The file as a layer under `path`, its content as a blob.
  Result<Descriptor> AddFile(const std::string& file, const std::string& path,
                             std::string_view type, std::uint64_t limit) {
    SELVEDGE_RETURN_ERR_IF_ERROR(CheckPackagePath(path));
    struct stat info = {};
    if (::stat(file.c_str(), &info) != 0) return Err(ErrnoError(errno, "cannot read " + file));
    if (!S_ISREG(info.st_mode)) return Err(InvalidArgumentError(file + " is no regular file"));
    Descriptor blob{.media_type = std::string(type),
                    .size = static_cast<std::uint64_t>(info.st_size)};
    if (blob.size > limit) {
      return Err(ResourceExhaustedError(file + " has " + std::to_string(blob.size) +
                                        " bytes; at most " + std::to_string(limit) +
                                        " are allowed"));
    }
    SELVEDGE_ASSIGN_OR_RETURN(blob.digest, DigestOfFile(file));
    blob.annotations["org.cncf.model.filepath"] = path;
    AddBlob({.blob = blob, .file = file, .bytes = {}});
    return blob;
  }

  void AddBlob(PackageBlob blob) {
    if (known_.insert(blob.blob.digest).second) package_.blobs.push_back(std::move(blob));
  }

  Status AddShared(const std::string& pipeline) {
    auto card = AddFile(card_path_, "card.yaml", kCardType, kMaxTextFile);
    if (!card) return card.error();
    shared_.push_back(*std::move(card));
    if (!pipeline.empty()) {
      auto layer = AddFile(pipeline, "pipeline.yaml", kPipelineType, kMaxTextFile);
      if (!layer) return layer.error();
      shared_.push_back(*std::move(layer));
    }
    auto labels = LabelFile();
    if (!labels) return labels.error();
    std::vector<std::string> docs;
    if (!labels->empty()) docs.push_back(*labels);
    for (const std::string_view doc : kDocs) {
      if (IsFile(ResolvePath(doc, card_path_))) docs.emplace_back(doc);
    }
    for (const std::string& doc : docs) {
      auto layer = AddFile(ResolvePath(doc, card_path_), doc, kDocType, kMaxTextFile);
      if (!layer) return layer.error();
      shared_.push_back(*std::move(layer));
    }
    return OkStatus();
  }

  // The file that the card's `labels` names, if it names one.
  Result<std::string> LabelFile() const {
    SELVEDGE_ASSIGN_OR_RETURN(const std::string text, ReadFile(card_path_, kMaxTextFile));
    auto document = ConfigDocument::Parse(text, card_path_);
    if (!document) return Err(document.error());
    ConfigMap root = document->Root();
    const auto labels = root.Value("labels");
    return labels && labels->IsScalar() ? labels->String().value_or("") : std::string();
  }

  Status AddVariant(const ModelVariant& variant) {
    Weights weights{.name = variant.name,
                    .format = FormatOf(variant.path),
                    .precision = variant.precision,
                    .layers = {}};
    if (weights.format.empty()) {
      return InvalidArgumentError(card_path_ + ": the variant " + variant.name + " names " +
                                  variant.path + "; expected .onnx, .tflite or an OpenVINO .xml");
    }
    std::vector<std::string> paths = {variant.path};
    if (weights.format == "openvino") {
      paths.push_back(variant.path.substr(0, variant.path.size() - 3) + "bin");
    } else if (weights.format == "onnx") {
      for (const std::string_view suffix : kOnnxData) {
        const std::string data = variant.path + std::string(suffix);
        if (IsFile(ResolvePath(data, card_path_))) paths.push_back(data);
      }
    }
    for (const std::string& path : paths) {
      auto layer = AddFile(ResolvePath(path, card_path_), path, kWeightType, kMaxBlobBytes);
      if (!layer) return layer.error();
      weights.layers.push_back(*std::move(layer));
    }
    return AddManifest(weights);
  }

  // What the CNCF model specification's config says of a model. No time of making: the same model
  // is to have the same digest.
  std::string ConfigOf(const Weights& weights, const std::vector<Descriptor>& layers) const {
    json ids = json::array();
    for (const Descriptor& layer : layers) ids.push_back(layer.digest);
    json descriptor = {{"name", card_.name}, {"version", card_.version}};
    if (!card_.license.empty()) descriptor["licenses"] = json::array({card_.license});
    const json config = {{"descriptor", std::move(descriptor)},
                         {"config", {{"format", weights.format}, {"precision", weights.precision}}},
                         {"modelfs", {{"type", "layers"}, {"diffIds", std::move(ids)}}}};
    return config.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  Status AddManifest(const Weights& weights) {
    Manifest manifest;
    manifest.media_type = kManifestType;
    manifest.artifact_type = kModelManifestType;
    manifest.layers = weights.layers;
    manifest.layers.insert(manifest.layers.end(), shared_.begin(), shared_.end());
    std::string config = ConfigOf(weights, manifest.layers);
    Descriptor blob{.media_type = std::string(kModelConfigType), .size = config.size()};
    auto digest = DigestOf(config);
    if (!digest) return digest.error();
    blob.digest = *std::move(digest);
    manifest.config = blob;
    AddBlob({.blob = blob, .file = {}, .bytes = std::move(config)});

    StoredManifest stored{
        .digest = {}, .media_type = std::string(kManifestType), .bytes = WriteManifest(manifest)};
    digest = DigestOf(stored.bytes);
    if (!digest) return digest.error();
    stored.digest = *std::move(digest);
    // What we would refuse to read is not sent.
    if (const auto content = ReadPackageManifest(stored.bytes); !content) return content.error();
    index_.manifests.push_back({.media_type = stored.media_type,
                                .digest = stored.digest,
                                .size = stored.bytes.size(),
                                .artifact_type = std::string(kModelManifestType),
                                .annotations = {{"dev.selvedge.variant", weights.name},
                                                {"dev.selvedge.format", weights.format}}});
    package_.manifests.push_back(std::move(stored));
    return OkStatus();
  }

  Status AddIndex() {
    index_.media_type = kIndexType;
    index_.is_index = true;
    index_.artifact_type = kPackageType;
    index_.annotations = {{"org.opencontainers.image.title", card_.name},
                          {"org.opencontainers.image.version", card_.version}};
    package_.index.media_type = kIndexType;
    package_.index.bytes = WriteManifest(index_);
    auto digest = DigestOf(package_.index.bytes);
    if (!digest) return digest.error();
    package_.index.digest = *std::move(digest);
    const auto index = ReadPackageIndex(package_.index.bytes);
    return index ? OkStatus() : index.error();
  }

  std::string card_path_;
  ModelCard card_;
  std::vector<Descriptor> shared_;
  std::set<std::string> known_;
  Manifest index_;
  BuiltPackage package_;
};

}  // namespace

Result<BuiltPackage> BuildPackage(const std::string& card, const std::string& pipeline) {
  return Builder(card).Build(pipeline);
}

Result<PushedPackage> PushPackage(OciClient* client, const BuiltPackage& package,
                                  const std::string& repository, const std::string& tag,
                                  const OnPackageProgress& progress, std::stop_token stop) {
  std::uint64_t total = 0;
  for (const PackageBlob& blob : package.blobs) total += blob.blob.size;
  std::uint64_t done = 0;
  PushedPackage pushed{.digest = package.index.digest};
  for (const PackageBlob& blob : package.blobs) {
    const std::string what =
        blob.file.empty() ? "config" : std::filesystem::path(blob.file).filename().string();
    const auto report = [&](std::uint64_t of_this, std::uint64_t) {
      if (progress) progress({.what = what, .done = done + of_this, .total = total});
    };
    report(0, 0);
    Result<bool> sent = blob.file.empty()
                            ? client->PushBytes(repository, blob.blob, blob.bytes)
                            : client->PushFile(repository, blob.blob, blob.file, report, stop);
    if (!sent) return Err(sent.error().WithContext("cannot send " + what));
    (*sent ? pushed.bytes_sent : pushed.bytes_there) += blob.blob.size;
    done += blob.blob.size;
    report(0, 0);
  }
  for (const StoredManifest& manifest : package.manifests) {
    SELVEDGE_RETURN_ERR_IF_ERROR(
        client->PushManifest(repository, manifest.digest, manifest.media_type, manifest.bytes));
  }
  // Last: from here on the tag is there, and whole.
  SELVEDGE_RETURN_ERR_IF_ERROR(
      client->PushManifest(repository, tag, package.index.media_type, package.index.bytes));
  return pushed;
}

}  // namespace selvedge
