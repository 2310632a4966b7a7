#pragma once

// The frames of RFC 6455, for both ends of a WebSocket. Pure, no socket, not thread-safe.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace selvedge {

// Reads the peer's frames out of the bytes that come. Memory: what was fed and not yet read, plus a
// message of at most `max_message`.
class WebSocketParser {
 public:
  enum class Side {
    kServer,
    kClient
  };  // which we are: a client's frames are masked, a server's not
  enum class Kind { kText, kPing, kPong, kClose };
  struct Event {
    Kind kind = Kind::kText;
    std::string payload;  // of kClose: the reason
    int code = 0;         // of kClose; 1005 where the peer gave none
  };

  WebSocketParser(Side side, std::size_t max_message) : side_(side), max_message_(max_message) {}

  void Feed(std::string_view bytes) { pending_.append(bytes); }
  // The next whole message or control frame; nullopt where more bytes are needed or failed() says
  // why no more can be read.
  std::optional<Event> Next();

  // 0, else what to close with: 1002 (not the protocol), 1003 (binary), 1007 (not UTF-8), 1009 (too
  // large).
  int failed() const { return failed_; }

 private:
  struct Frame {
    bool last = false;
    int opcode = 0;
    std::string payload;
  };
  std::optional<Frame> NextFrame();
  std::optional<Event> Fail(int code);
  std::optional<Event> TakeControl(Frame frame);

  const Side side_;
  const std::size_t max_message_;
  std::string pending_;
  std::size_t read_ = 0;  // bytes of pending_ that are done with
  std::string message_;   // of several frames, so far
  bool in_message_ = false;
  int failed_ = 0;
};

enum class WebSocketOpcode { kText = 1, kClose = 8, kPing = 9, kPong = 10 };

// The head of an unmasked frame, as a server sends it.
std::string WebSocketFrameHead(WebSocketOpcode opcode, std::size_t length);
// A whole frame, as a client sends it, masked with `mask`, which must be unpredictable.
std::string MaskedWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::uint32_t mask);
// The payload of a close frame; `reason` is cut to what fits, at a character's border.
std::string WebSocketClosePayload(int code, std::string_view reason);

// Sec-WebSocket-Accept for a Sec-WebSocket-Key (section 4.2.2).
std::string WebSocketAcceptKey(std::string_view key);
// A Sec-WebSocket-Key: 16 random bytes in base64.
std::string NewWebSocketKey();
bool IsWebSocketKey(std::string_view key);

// Whether a header that is a list ("keep-alive, Upgrade") has `word`, in any case.
bool ListHasWord(std::string_view header, std::string_view word);

}  // namespace selvedge
