// Any bytes as a model card: they end in a card whose numbers are all in range, or in one clear
// sentence.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "check.h"
#include "core/model_card.h"

namespace selvedge {
namespace {

void CheckVariants(const ModelCard& card) {
  SELVEDGE_FUZZ_CHECK(!card.variants.empty());
  std::set<std::string> names;
  for (const ModelVariant& variant : card.variants) {
    SELVEDGE_FUZZ_CHECK(names.insert(variant.name).second);
    SELVEDGE_FUZZ_CHECK(!variant.path.empty() && variant.path[0] != '/');
    SELVEDGE_FUZZ_CHECK(("/" + variant.path + "/").find("/../") == std::string::npos);
    SELVEDGE_FUZZ_CHECK(variant.accuracy == -1 || (variant.accuracy >= 0 && variant.accuracy <= 1));
  }
}

void CheckInput(const ModelInput& input) {
  SELVEDGE_FUZZ_CHECK(input.width >= 1 && input.width <= 8192);
  SELVEDGE_FUZZ_CHECK(input.height >= 1 && input.height <= 8192);
  SELVEDGE_FUZZ_CHECK(input.pad >= 0 && input.pad <= 255);
  for (const float mean : input.mean) SELVEDGE_FUZZ_CHECK(std::isfinite(mean));
  for (const float std : input.std)
    SELVEDGE_FUZZ_CHECK(std::isfinite(std) && std::isfinite(1 / std));
}

void CheckDecoder(const ModelDecoder& decoder) {
  SELVEDGE_FUZZ_CHECK(decoder.score_threshold >= 0 && decoder.score_threshold <= 1);
  SELVEDGE_FUZZ_CHECK(decoder.nms_iou >= 0 && decoder.nms_iou <= 1);
  SELVEDGE_FUZZ_CHECK(decoder.max_detections >= 1 && decoder.top_k >= 1);
  for (const float scale : decoder.box_scale)
    SELVEDGE_FUZZ_CHECK(scale > 0 && std::isfinite(1 / scale));
  if (decoder.kind != DecoderKind::kSsd) return;
  std::int64_t anchors = 0;
  for (const int grid : decoder.anchors.grids) {
    SELVEDGE_FUZZ_CHECK(grid >= 1);
    anchors += std::int64_t{grid} * grid;
  }
  SELVEDGE_FUZZ_CHECK(anchors >= 1 && anchors <= 1'000'000);
  for (const double ratio : decoder.anchors.aspect_ratios)
    SELVEDGE_FUZZ_CHECK(ratio > 0 && std::isfinite(ratio));
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  // A folder that is not there: a label file named by the input is looked for and never found.
  const auto card =
      ModelCard::Parse({reinterpret_cast<const char*>(data), size}, "/nonexistent/card.yaml");
  if (!card) {
    const std::string& message = card.error().message();
    SELVEDGE_FUZZ_CHECK(message.starts_with("/nonexistent/card.yaml:"));
    SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos);
    SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
    return 0;
  }
  CheckVariants(*card);
  CheckInput(card->input);
  CheckDecoder(card->decoder);
  SELVEDGE_FUZZ_CHECK(card->temperature > 0 && std::isfinite(card->temperature));
  SELVEDGE_FUZZ_CHECK(card->task == "raw" || !card->labels.empty());
  return 0;
}
