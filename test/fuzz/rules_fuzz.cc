// Any bytes as a pipeline file's zones, lines and rules: they end in one clear sentence, or in
// rules that can be run on tracks wherever those go.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "check.h"
#include "device/decide/rules.h"

namespace selvedge {
namespace {

void CheckMessage(const Status& status) {
  const std::string& message = status.message();
  SELVEDGE_FUZZ_CHECK(status.code() == StatusCode::kInvalidArgument);
  SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
  SELVEDGE_FUZZ_CHECK(message.size() < 4096);
}

// Tracks from a small generator, so that the input's bytes are all the rules'.
class Walk {
 public:
  std::uint32_t Next(std::uint32_t below) {
    state_ = state_ * 1664525U + 1013904223U;  // Numerical Recipes' constants
    return (state_ >> 8) % below;
  }
  Tracks Step() {
    Tracks tracks;
    for (std::int64_t id = 1; id <= 4; ++id) {
      if (Next(8) == 0) continue;
      Track track{.id = id + Next(2)};
      const auto x = static_cast<float>(Next(140)) - 20;
      const auto y = static_cast<float>(Next(140)) - 20;
      track.box = {x - 2, y - 8, x + 2, y};
      track.class_id = static_cast<std::int32_t>(Next(5)) - 1;
      track.score = static_cast<float>(Next(100)) / 100;
      track.matched = Next(4) != 0;
      tracks.push_back(track);
    }
    return tracks;
  }

 private:
  std::uint32_t state_ = 1;
};

void CheckFiring(const RuleFiring& firing, const RuleSet& rules) {
  SELVEDGE_FUZZ_CHECK(firing.rule_index >= 0);
  SELVEDGE_FUZZ_CHECK(static_cast<std::size_t>(firing.rule_index) < rules.size());
  SELVEDGE_FUZZ_CHECK(!firing.rule.empty() && !firing.kind.empty() && !firing.state.empty());
  SELVEDGE_FUZZ_CHECK(std::isfinite(firing.value) && std::isfinite(firing.threshold));
  SELVEDGE_FUZZ_CHECK((firing.kind == "line") == !firing.direction.empty());
}

void Run(RuleSet* rules) {
  Walk walk;
  std::vector<RuleFiring> out;
  Nanos now = 0;
  for (int frame = 0; frame < 60; ++frame) {
    now += static_cast<Nanos>(walk.Next(3000)) * kMillisecond - kSecond;
    const Tracks tracks = walk.Step();
    const std::vector<std::int64_t> ended = {static_cast<std::int64_t>(walk.Next(8))};
    const int size = frame < 50 ? 100 : 1 + static_cast<int>(walk.Next(300));
    out.clear();
    rules->Evaluate({.time = now, .width = size, .height = size, .tracks = tracks, .ended = ended},
                    &out);
    for (const RuleFiring& firing : out) CheckFiring(firing, *rules);
  }
}

}  // namespace
}  // namespace selvedge

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  auto document = ConfigDocument::Parse({reinterpret_cast<const char*>(data), size}, "f.yaml");
  if (!document) return 0;  // config_fuzz looks at these
  RuleSet rules = [&] {
    ConfigMap root = document->Root();
    return RuleSet::Parse(&root, {"person", "car", "bicycle"});
  }();
  if (!document->status().ok()) {
    CheckMessage(document->status());
    return 0;
  }
  if (const Status fits = rules.CheckPicture(100, 100); !fits.ok()) {
    CheckMessage(fits);
    return 0;
  }
  Run(&rules);
  return 0;
}
