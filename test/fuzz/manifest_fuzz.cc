// Any bytes as a deployment manifest: they end in one clear sentence, or in applications that can
// be written, read back the same, and placed.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "check.h"
#include "orchestrate/iofog.h"
#include "orchestrate/placement.h"

namespace selvedge {
namespace {

void CheckMessage(const Status& status) {
  const std::string& message = status.message();
  SELVEDGE_FUZZ_CHECK(status.code() == StatusCode::kInvalidArgument);
  SELVEDGE_FUZZ_CHECK(message.starts_with("f.yaml"));
  SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
  SELVEDGE_FUZZ_CHECK(message.size() < 4096);
}

void CheckPlacement(const std::vector<ManifestDocument>& documents) {
  const std::vector<PlacementDevice> devices = {
      {.name = "bare", .known = true},
      {.name = "box",
       .labels = {{"hardware", "jetson"}, {"tpu", "coral"}},
       .facts = {{"arch", "arm64"},
                 {"cores", "6"},
                 {"gpu", "1"},
                 {"memory_mb", "8192"},
                 {"containers", "true"}},
       .known = true},
      {.name = "silent"}};
  std::vector<PlacementApplication> applications;
  for (const ManifestDocument& document : documents)
    applications.push_back({&document.application, 0});
  const auto placements = Place(applications, devices);
  SELVEDGE_FUZZ_CHECK(placements.size() == documents.size());
  for (const ApplicationPlacement& placement : placements) {
    SELVEDGE_FUZZ_CHECK(placement.devices.size() == devices.size());
    SELVEDGE_FUZZ_CHECK(!placement.devices[2].fits);
    for (const PlacementVerdict& verdict : placement.devices) {
      SELVEDGE_FUZZ_CHECK(verdict.fits == verdict.reasons.empty());
    }
  }
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const auto documents = ParseDeployment({reinterpret_cast<const char*>(data), size}, "f.yaml");
  if (!documents) {
    CheckMessage(documents.error());
    return 0;
  }
  SELVEDGE_FUZZ_CHECK(!documents->empty() && documents->size() <= kMaxDeploymentDocuments);
  for (const ManifestDocument& document : *documents) {
    SELVEDGE_FUZZ_CHECK(document.application.microservices.size() <= kMaxMicroservices);
    const auto again = ParseDeployment(WriteDeployment(document.application), "f.yaml");
    SELVEDGE_FUZZ_CHECK(again.has_value());
    SELVEDGE_FUZZ_CHECK(again->size() == 1 && again->front().application == document.application);
  }
  CheckPlacement(*documents);
  return 0;
}
