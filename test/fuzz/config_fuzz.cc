// Any bytes as a YAML configuration: read with every call that base/config.h has, they end in
// values or in one clear sentence that names the file.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/utf8.h"
#include "check.h"

namespace selvedge {
namespace {

void CheckMessage(const Status& status) {
  if (status.ok()) return;
  const std::string& message = status.message();
  SELVEDGE_FUZZ_CHECK(status.code() == StatusCode::kInvalidArgument);
  SELVEDGE_FUZZ_CHECK(message.starts_with("f.yaml:"));
  SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
  SELVEDGE_FUZZ_CHECK(message.size() < 4096);
}

// A schema whose keys the corpus and the dictionary know.
Status ReadSchema(std::string_view text) {
  auto document = ConfigDocument::Parse(text, "f.yaml");
  if (!document) return document.error();
  ConfigMap map = document->Root();
  std::string name;
  map.Required("name", &name);
  int threads = 1;
  map.Optional("threads", &threads, Range{1, 64});
  std::int64_t bytes = 0;
  map.Optional("bytes", &bytes, Range{0, 1e18});
  float ratio = 0;
  map.Optional("ratio", &ratio, Range{0, 1});
  bool live = false;
  map.Optional("live", &live);
  std::int64_t timeout = 0;
  map.OptionalDuration("timeout", &timeout);
  int policy = 0;
  map.OptionalChoice("policy", {"block", "drop-oldest", "drop-newest"}, &policy);
  std::vector<std::string> tags;
  map.Optional("tags", &tags);
  std::vector<double> points;
  map.Optional("points", &points);
  if (auto source = map.OptionalMap("source")) source->Required("uri", &name);
  for (const ConfigValue& rule : map.OptionalSequence("rules")) {
    if (auto rule_map = rule.Map()) rule_map->Required("zone", &name);
  }
  SELVEDGE_FUZZ_CHECK(threads >= 1 && threads <= 64);
  SELVEDGE_FUZZ_CHECK(bytes >= 0 && ratio >= 0 && ratio <= 1 && timeout >= 0);
  SELVEDGE_FUZZ_CHECK(policy >= 0 && policy < 3);
  for (const double point : points) SELVEDGE_FUZZ_CHECK(std::isfinite(point));
  return document->status();
}

// Every value, asked for as every kind; at most `budget` of them, for aliases may repeat a subtree
// often.
void Walk(const ConfigValue& value, int* budget) {
  if (--*budget < 0) return;
  SELVEDGE_FUZZ_CHECK(value.line() >= 1);
  (void)value.String();
  (void)value.Number();
  (void)value.Integer();
  (void)value.Bool();
  if (value.IsSequence()) {
    for (const ConfigValue& element : value.Sequence()) Walk(element, budget);
  } else if (auto map = value.Map()) {
    for (const auto& [key, child] : map->Entries()) Walk(child, budget);
  }
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Status first = ReadSchema(text);
  CheckMessage(first);
  SELVEDGE_FUZZ_CHECK(first == ReadSchema(text));
  if (auto document = ConfigDocument::Parse(text, "f.yaml")) {
    ConfigMap map = document->Root();
    int budget = 10'000;
    for (const auto& [key, value] : map.Entries()) Walk(value, &budget);
    CheckMessage(document->status());
  }
  return 0;
}
