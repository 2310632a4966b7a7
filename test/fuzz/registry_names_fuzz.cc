// Any bytes as what else a registry reads of strangers: references, paths, ranges of chunks, waits,
// logins and challenges.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "check.h"
#include "registry/oci_challenge.h"
#include "registry/oci_route.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace {

using namespace selvedge;  // NOLINT(google-build-using-namespace)

void CheckReference(std::string_view text) {
  const auto reference = ParseReference(text);
  if (!reference) {
    const std::string& message = reference.error().message();
    SELVEDGE_FUZZ_CHECK(reference.error().code() == StatusCode::kInvalidArgument);
    SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos && message.size() < 512);
    SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
    return;
  }
  SELVEDGE_FUZZ_CHECK(IsRepositoryName(reference->repository));
  SELVEDGE_FUZZ_CHECK(IsTag(reference->target()) || IsDigest(reference->target()));
  SELVEDGE_FUZZ_CHECK(reference->ToString() == text);
}

void CheckRoute(std::string_view text) {
  const OciRoute route = ParseOciRoute(text);
  if (route.kind == OciRoute::Kind::kNone) return;
  SELVEDGE_FUZZ_CHECK(text.starts_with("/v2"));
  SELVEDGE_FUZZ_CHECK(route.item.find('/') == std::string::npos);
  // Nothing that is a name leads out of a folder.
  if (IsRepositoryName(route.name)) {
    SELVEDGE_FUZZ_CHECK(!("/" + route.name + "/").contains("/../"));
    SELVEDGE_FUZZ_CHECK(!route.name.contains("//") && !route.name.starts_with('/'));
  }
}

void CheckHeaders(std::string_view text) {
  if (const auto range = ParseChunkRange(text)) {
    SELVEDGE_FUZZ_CHECK(range->first <= range->last);
    const std::string again = std::to_string(range->first) + "-" + std::to_string(range->last);
    const auto same = ParseChunkRange(again);
    SELVEDGE_FUZZ_CHECK(same && same->first == range->first && same->last == range->last);
  }
  if (const auto wait = PreferredWait(text)) SELVEDGE_FUZZ_CHECK(*wait >= 0 && *wait <= 3600);
  HttpRequest request;
  request.headers = {{"Authorization", std::string(text)}};
  SELVEDGE_FUZZ_CHECK(CallerOf(request).peer_name.empty());
  SELVEDGE_FUZZ_CHECK(CallerOf(request).token.size() <= 4096);
  if (const auto challenge = ParseChallenge(text)) {
    SELVEDGE_FUZZ_CHECK(!challenge->scheme.empty());
  }
  SELVEDGE_FUZZ_CHECK(FromBase64(Base64(text)) == text);
  (void)FromBase64(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  CheckReference(text);
  CheckRoute(text);
  CheckHeaders(text);
  if (CheckPackagePath(text).ok()) {
    SELVEDGE_FUZZ_CHECK(!("/" + std::string(text) + "/").contains("/../"));
    SELVEDGE_FUZZ_CHECK(!text.starts_with('/') && !text.contains('\0'));
  }
  return 0;
}
