// Any bytes as an ONNX model: they end in a checked graph that imports again as it is, or in one
// clear sentence.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "check.h"
#include "optimizer/graph.h"
#include "optimizer/import.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const auto model = ImportOnnx(std::as_bytes(std::span(data, size)));
  if (!model) {
    const std::string& message = model.error().message();
    SELVEDGE_FUZZ_CHECK(!message.empty() && message.size() < 512);
    for (const char c : message) SELVEDGE_FUZZ_CHECK(c >= ' ' && c < 127);
    return 0;
  }
  const std::string written = Serialize(*model);
  const auto again = ImportOnnx(std::as_bytes(std::span(written)));
  SELVEDGE_FUZZ_CHECK(again.has_value());
  SELVEDGE_FUZZ_CHECK(Serialize(*again) == written);
  // Every node comes after those that it reads from.
  const GraphIndex index(model->graph());
  for (int i = 0; i < model->graph().node_size(); ++i) {
    for (const std::string& input : model->graph().node(i).input()) {
      SELVEDGE_FUZZ_CHECK(input.empty() || index.IsDefined(input));
      SELVEDGE_FUZZ_CHECK(index.ProducerOf(input) < i);
    }
  }
  return 0;
}
