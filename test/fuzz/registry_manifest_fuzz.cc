// Any bytes as a manifest or an index, as registries and those who push send them: they are refused
// in one sentence, or read into something within its limits that is written and read back the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "check.h"
#include "registry/manifest.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace {

using namespace selvedge;  // NOLINT(google-build-using-namespace)

void CheckError(const Status& status) {
  SELVEDGE_FUZZ_CHECK(status.code() == StatusCode::kInvalidArgument);
  SELVEDGE_FUZZ_CHECK(status.message().find('\n') == std::string::npos);
  SELVEDGE_FUZZ_CHECK(status.message().size() < 1024);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(status.message()) == std::string_view::npos);
}

void CheckManifest(std::string_view text, std::string_view media_type) {
  const auto manifest = ParseManifest(text, media_type);
  if (!manifest) return CheckError(manifest.error());
  SELVEDGE_FUZZ_CHECK(manifest->is_index ? manifest->layers.empty() && !manifest->config
                                         : manifest->manifests.empty() && manifest->config);
  SELVEDGE_FUZZ_CHECK(manifest->layers.size() <= 4096 && manifest->manifests.size() <= 4096);
  for (const auto* list : {&manifest->layers, &manifest->manifests}) {
    for (const Descriptor& one : *list) SELVEDGE_FUZZ_CHECK(IsDigest(one.digest));
  }
  const std::string written = WriteManifest(*manifest);
  if (written.size() > kMaxManifestBytes) return;
  const auto again = ParseManifest(written, manifest->media_type);
  // What is foreign (has `urls`) is written without them, everything else as it was.
  SELVEDGE_FUZZ_CHECK(again.has_value());
  SELVEDGE_FUZZ_CHECK(WriteManifest(*again) == written);
}

void CheckPackage(std::string_view text) {
  if (const auto index = ReadPackageIndex(text)) {
    SELVEDGE_FUZZ_CHECK(!index->variants.empty() && index->variants.size() <= 64);
    for (const PackageVariant& variant : index->variants) {
      SELVEDGE_FUZZ_CHECK(variant.name.find('/') == std::string::npos);
      SELVEDGE_FUZZ_CHECK(index->Find(variant.name) != nullptr);
    }
  } else {
    CheckError(index.error());
  }
  if (const auto content = ReadPackageManifest(text)) {
    SELVEDGE_FUZZ_CHECK(content->files.size() <= 64);
    for (const PackageFile& file : content->files) {
      SELVEDGE_FUZZ_CHECK(CheckPackagePath(file.path).ok());
      SELVEDGE_FUZZ_CHECK(!file.path.starts_with('/'));
      SELVEDGE_FUZZ_CHECK(!("/" + file.path + "/").contains("/../"));
    }
  } else {
    CheckError(content.error());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckManifest(text, {});
  CheckManifest(text, kManifestType);
  CheckManifest(text, kIndexType);
  CheckPackage(text);
  return 0;
}
