// Any bytes as an event line: they end in an event that is written and read back unchanged, or in
// one clear sentence.

#include <google/protobuf/util/message_differencer.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/utf8.h"
#include "check.h"
#include "core/event_id.h"
#include "core/event_json.h"
#include "proto/event.pb.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace selvedge;  // NOLINT(google-build-using-namespace): a fuzzer's entry has C linkage
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto event = ParseEventLine(line);
  if (!event) {
    const std::string& message = event.error().message();
    SELVEDGE_FUZZ_CHECK(message.starts_with("event line"));
    SELVEDGE_FUZZ_CHECK(message.find('\n') == std::string::npos);
    SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(message) == std::string_view::npos);
    SELVEDGE_FUZZ_CHECK(message.size() < 1024);
    return 0;
  }
  std::string written;
  AppendEventLine(*event, &written);
  SELVEDGE_FUZZ_CHECK(written.find('\n') == written.size() - 1);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(written) == std::string_view::npos);
  if (written.size() > kMaxEventLine) return 0;  // names and defaults that the input left out
  const auto again = ParseEventLine(written);
  SELVEDGE_FUZZ_CHECK(again.has_value());
  SELVEDGE_FUZZ_CHECK(google::protobuf::util::MessageDifferencer::Equals(*event, *again));
  if (const auto millis = EventIdMillis(event->id())) {
    SELVEDGE_FUZZ_CHECK(*millis >= 0 && *millis < std::int64_t{1} << 48);
  }
  return 0;
}
