// Join tokens, certificates and certificate requests, which come from people and from machines that
// are not yet trusted.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check.h"
#include "trust/certificate.h"
#include "trust/token.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const Result<JoinToken> token = ParseJoinToken(text)) {
    const Result<std::string> again = FormatJoinToken(*token);
    SELVEDGE_FUZZ_CHECK(again.has_value());
    SELVEDGE_FUZZ_CHECK(*ParseJoinToken(*again) == *token);
  }
  if (const Result<std::string> bytes = FromBase64Url(text)) {
    SELVEDGE_FUZZ_CHECK(ToBase64Url(*bytes) == text);
  }
  (void)ReadCertificate(text);
  (void)ReadCertificateRequest(text);
  return 0;
}
