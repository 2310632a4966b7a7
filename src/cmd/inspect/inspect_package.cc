#include "cmd/inspect/inspect_package.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cmd/registry/transfer.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::uint64_t kMaxText = std::uint64_t{1} << 20;  // a card, a file of labels

// A folder for as long as the card is read.
class ShortFolder {
 public:
  ShortFolder() {
    std::error_code error;
    std::string pattern = (fs::temp_directory_path(error) / "selvedge-inspect-XXXXXX").string();
    if (::mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~ShortFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  ShortFolder(const ShortFolder&) = delete;
  ShortFolder& operator=(const ShortFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The card and the texts beside it, of which it may name one for its labels.
Result<ModelCard> FetchCard(OciClient* client, const PackageView& view) {
  const ShortFolder folder;
  if (folder.path().empty()) return Err(ErrnoError(errno, "cannot make a temporary folder"));
  for (const PackageFile& file : view.package.contents.front().files) {
    const bool text = file.blob.media_type == kCardType || file.blob.media_type == kDocType;
    if (!text || file.blob.size > kMaxText) continue;
    SELVEDGE_ASSIGN_OR_RETURN(const std::string content,
                              client->GetBlob(view.reference.repository, file.blob));
    const fs::path path = fs::path(folder.path()) / file.path;  // checked when it was read
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream out(path, std::ios::binary);
    out << content;
    out.close();
    if (!out) return Err(InternalError("cannot write the card to " + folder.path()));
  }
  auto card = ModelCard::Load(folder.path() + "/card.yaml");
  if (card) return card;
  // It lies nowhere on this machine: the folder's name says nothing.
  std::string message = card.error().message();
  for (std::size_t at; (at = message.find(folder.path() + "/")) != std::string::npos;) {
    message.erase(at, folder.path().size() + 1);
  }
  return Err(Status(card.error().code(), message));
}

const ModelVariant* OfCard(const PackageView& view, const std::string& name) {
  if (!view.card) return nullptr;
  for (const ModelVariant& variant : view.card->variants) {
    if (variant.name == name) return &variant;
  }
  return nullptr;
}

std::string_view LayoutName(TensorLayout layout) {
  return layout == TensorLayout::kNhwc ? "nhwc" : "nchw";
}

std::string License(const ModelCard& card) {
  return card.license.empty() ? "not stated" : card.license;
}

json CardToJson(const ModelCard& card) {
  json variants = json::array();
  for (const ModelVariant& variant : card.variants) {
    json entry = {{"name", variant.name}, {"precision", variant.precision}};
    if (variant.accuracy >= 0) entry["accuracy"] = variant.accuracy;
    variants.push_back(std::move(entry));
  }
  return {{"name", card.name},
          {"version", card.version},
          {"task", card.task},
          {"license", card.license},
          {"source", card.source},
          {"accuracy_metric", card.accuracy_metric},
          {"labels", card.labels},
          {"input",
           {{"layout", LayoutName(card.input.layout)},
            {"width", card.input.width},
            {"height", card.input.height}}},
          {"variants", std::move(variants)}};
}

json VariantToJson(const PackageVariant& variant, const PackageContent& content) {
  json files = json::array();
  for (const PackageFile& file : content.files) {
    files.push_back({{"path", file.path},
                     {"media_type", file.blob.media_type},
                     {"digest", file.blob.digest},
                     {"bytes", file.blob.size}});
  }
  return {{"name", variant.name},           {"format", variant.format},
          {"arch", variant.arch},           {"digest", variant.manifest.digest},
          {"bytes", variant.manifest.size}, {"config", content.config.digest},
          {"files", std::move(files)}};
}

void AppendVariant(const PackageView& view, std::size_t i, std::string* out) {
  auto to = std::back_inserter(*out);
  const PackageVariant& variant = view.package.index.variants[i];
  fmt::format_to(to, "variant {}  {}{}", variant.name, variant.format,
                 variant.arch.empty() ? "" : ", for " + variant.arch + " only");
  if (const ModelVariant* said = OfCard(view, variant.name)) {
    fmt::format_to(to, ", {}", said->precision);
    if (said->accuracy >= 0) {
      fmt::format_to(to, ", {} {:g}", view.card->accuracy_metric, said->accuracy);
    }
  }
  fmt::format_to(to, "\n  {:<32} {:>10}  {}\n", "(manifest)", HumanBytes(variant.manifest.size),
                 variant.manifest.digest);
  for (const PackageFile& file : view.package.contents[i].files) {
    fmt::format_to(to, "  {:<32} {:>10}  {}\n", file.path, HumanBytes(file.blob.size),
                   file.blob.digest);
  }
}

}  // namespace

Result<PackageView> InspectPackage(OciClient* client, const Reference& reference) {
  PackageView view{.reference = reference};
  auto package = DescribePackage(client, reference.repository, reference.target());
  if (!package && package.error().code() == StatusCode::kInvalidArgument) {
    return Err(package.error().WithContext(reference.ToString()));
  }
  if (!package) return Err(package.error());
  view.package = *std::move(package);
  auto card = FetchCard(client, view);
  if (card) {
    view.card = *std::move(card);
  } else {
    view.card_error = card.error().message();
  }
  return view;
}

std::string ToText(const PackageView& view) {
  const FetchedPackage& package = view.package;
  std::string out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{}  {} {}\n{}\n", view.reference.ToString(), package.index.title,
                 package.index.version, package.digest);
  fmt::format_to(to, "index of {}, {} variant{}, {} in all\n", HumanBytes(package.index_bytes),
                 package.index.variants.size(), package.index.variants.size() == 1 ? "" : "s",
                 HumanBytes(package.bytes));
  if (view.card) {
    const ModelCard& card = *view.card;
    fmt::format_to(to, "card: {} {}, {}, {} labels, input {}x{} {}, licence {}\n", card.name,
                   card.version, card.task, card.labels.size(), card.input.width, card.input.height,
                   LayoutName(card.input.layout), License(card));
  } else {
    fmt::format_to(to, "card: cannot be read: {}\n", view.card_error);
  }
  for (std::size_t i = 0; i < package.index.variants.size(); ++i) AppendVariant(view, i, &out);
  return out;
}

std::string ToJson(const PackageView& view) {
  const FetchedPackage& package = view.package;
  json variants = json::array();
  for (std::size_t i = 0; i < package.index.variants.size(); ++i) {
    variants.push_back(VariantToJson(package.index.variants[i], package.contents[i]));
  }
  json object = {{"name", view.reference.repository},
                 {"tag", view.reference.tag},
                 {"digest", package.digest},
                 {"index_bytes", package.index_bytes},
                 {"title", package.index.title},
                 {"version", package.index.version},
                 {"annotations", package.index.annotations},
                 {"bytes", package.bytes},
                 {"variants", std::move(variants)},
                 {"card", view.card ? CardToJson(*view.card) : json()}};
  if (!view.card_error.empty()) object["card_error"] = view.card_error;
  // Names and annotations may be in any encoding.
  return object.dump(2, ' ', false, json::error_handler_t::replace);
}

}  // namespace selvedge
