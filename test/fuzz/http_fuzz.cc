// Any bytes as each thing that net/ parses without a library: a target, a query, a Host, a Range,
// list headers, an answer with an error, the frames of a WebSocket.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "check.h"
#include "net/http_client.h"
#include "net/http_file.h"
#include "net/http_message.h"
#include "net/http_server.h"
#include "net/websocket.h"
#include "net/websocket_frame.h"

namespace {

using namespace selvedge;  // NOLINT(google-build-using-namespace)

void Targets(std::string_view text) {
  if (const auto target = ParseTarget(text)) {
    SELVEDGE_FUZZ_CHECK(target->path.starts_with('/'));
    SELVEDGE_FUZZ_CHECK(target->path.find('\0') == std::string::npos || text.contains('\0'));
  }
  const auto decoded = PercentDecode(PercentEncode(text));
  // An escaped NUL is refused; everything else comes back as it was.
  SELVEDGE_FUZZ_CHECK(text.contains('\0') ? !decoded : decoded && *decoded == text);
  (void)QueryValue(text, "a");
  (void)HostAllowed(text, "machine", {"camera.example"});
  (void)HostOfUrl(text);
}

void Ranges(std::string_view text) {
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1000}, UINT64_MAX}) {
    const auto range = ParseRange(text, size);
    if (!range || !*range) continue;
    SELVEDGE_FUZZ_CHECK((*range)->length >= 1);
    SELVEDGE_FUZZ_CHECK((*range)->offset < size);
    SELVEDGE_FUZZ_CHECK((*range)->length <= size - (*range)->offset);
  }
}

void Answers(std::string_view text) {
  HttpAnswer answer;
  answer.status = 500;
  answer.url = "https://host/";
  answer.body = text;
  answer.headers = {{"Content-Type", "text/plain"}};
  const Status status = StatusOfAnswer(answer);
  SELVEDGE_FUZZ_CHECK(!status.ok());
  SELVEDGE_FUZZ_CHECK(status.message().size() < 1024);
  SELVEDGE_FUZZ_CHECK(status.message().find('\n') == std::string::npos);
  SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(status.message()) == std::string_view::npos);
}

// The events of `text`, fed in pieces of `step`.
std::vector<std::string> Events(std::string_view text, WebSocketParser::Side side,
                                std::size_t step) {
  constexpr std::size_t kMax = 512;
  WebSocketParser parser(side, kMax);
  std::vector<std::string> events;
  for (std::size_t at = 0; at < text.size(); at += step) {
    parser.Feed(text.substr(at, step));
    while (const auto event = parser.Next()) {
      SELVEDGE_FUZZ_CHECK(event->payload.size() <= kMax);
      if (event->kind == WebSocketParser::Kind::kText) {
        SELVEDGE_FUZZ_CHECK(FindInvalidUtf8(event->payload) == std::string_view::npos);
      }
      events.push_back(std::to_string(static_cast<int>(event->kind)) + event->payload);
    }
  }
  events.push_back(std::to_string(parser.failed()));
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Targets(text);
  Ranges(text);
  Answers(text);
  (void)WebSocketProtocols(text);
  (void)ListHasWord(text, "upgrade");
  (void)IsWebSocketKey(text);
  SELVEDGE_FUZZ_CHECK(WebSocketClosePayload(1000, text).size() <= 125);
  for (const auto side : {WebSocketParser::Side::kServer, WebSocketParser::Side::kClient}) {
    // However the bytes are cut, they mean the same.
    SELVEDGE_FUZZ_CHECK(Events(text, side, 1) == Events(text, side, size + 1));
  }
  return 0;
}
