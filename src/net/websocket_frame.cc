#include "net/websocket_frame.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "net/http_message.h"
#include "net/websocket.h"

namespace selvedge {
namespace {

constexpr int kContinuation = 0;
constexpr int kBinary = 2;
constexpr std::size_t kMaxControl = 125;
constexpr std::size_t kMaxProtocols = 16;

std::string Base64(const unsigned char* bytes, std::size_t length) {
  std::string out(4 * ((length + 2) / 3) + 1, '\0');
  const int written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes,
                                      static_cast<int>(length));
  out.resize(static_cast<std::size_t>(written));
  return out;
}

void Mask(std::string* payload, const char* key) {
  for (std::size_t i = 0; i < payload->size(); ++i) {
    (*payload)[i] = static_cast<char>((*payload)[i] ^ key[i % 4]);
  }
}

// Section 7.4: what may stand in a close frame.
bool MayBeSent(int code) {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::optional<WebSocketParser::Event> WebSocketParser::Fail(int code) {
  failed_ = code;
  pending_.clear();
  read_ = 0;
  message_.clear();
  return std::nullopt;
}

std::optional<WebSocketParser::Frame> WebSocketParser::NextFrame() {
  const std::string_view bytes = std::string_view(pending_).substr(read_);
  if (bytes.size() < 2) return std::nullopt;
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  Frame frame;
  frame.last = (at(0) & 0x80) != 0;
  frame.opcode = at(0) & 0x0f;
  const bool control = frame.opcode >= 8;
  const bool masked = (at(1) & 0x80) != 0;
  std::uint64_t length = at(1) & 0x7f;
  const bool known = frame.opcode <= kBinary || (frame.opcode >= 8 && frame.opcode <= 10);
  // No extension was agreed on, so that the reserved bits must be 0 (section 5.2).
  const bool proper = (at(0) & 0x70) == 0 && known && masked == (side_ == Side::kServer) &&
                      !(control && (!frame.last || length > kMaxControl));
  if (!proper) {
    Fail(1002);
    return std::nullopt;
  }
  const std::size_t extended = length == 126 ? 2 : length == 127 ? 8 : 0;
  const std::size_t head = 2 + extended + (masked ? 4 : 0);
  if (bytes.size() < 2 + extended) return std::nullopt;
  if (extended > 0) {
    length = 0;
    for (std::size_t i = 0; i < extended; ++i) length = length << 8 | at(2 + i);
  }
  // Before any of it is gathered.
  if (!control && length > max_message_ - message_.size()) {
    Fail(1009);
    return std::nullopt;
  }
  if (bytes.size() < head || bytes.size() - head < length) return std::nullopt;
  frame.payload.assign(bytes.substr(head, length));
  if (masked) Mask(&frame.payload, bytes.data() + head - 4);
  read_ += head + length;
  if (read_ == pending_.size() || read_ > 64 * 1024) {
    pending_.erase(0, read_);
    read_ = 0;
  }
  return frame;
}

std::optional<WebSocketParser::Event> WebSocketParser::TakeControl(Frame frame) {
  Event event;
  event.payload = std::move(frame.payload);
  if (frame.opcode != static_cast<int>(WebSocketOpcode::kClose)) {
    event.kind =
        frame.opcode == static_cast<int>(WebSocketOpcode::kPing) ? Kind::kPing : Kind::kPong;
    return event;
  }
  event.kind = Kind::kClose;
  event.code = 1005;
  if (event.payload.empty()) return event;
  if (event.payload.size() < 2) return Fail(1002);
  event.code = static_cast<std::uint8_t>(event.payload[0]) << 8 |
               static_cast<std::uint8_t>(event.payload[1]);
  event.payload.erase(0, 2);
  if (!MayBeSent(event.code)) return Fail(1002);
  if (FindInvalidUtf8(event.payload) != std::string_view::npos) return Fail(1007);
  return event;
}

std::optional<WebSocketParser::Event> WebSocketParser::Next() {
  while (failed_ == 0) {
    std::optional<Frame> frame = NextFrame();
    if (!frame) return std::nullopt;
    if (frame->opcode >= 8) return TakeControl(std::move(*frame));
    if (frame->opcode == kBinary) return Fail(1003);
    // A message begins with its kind and goes on with continuations.
    if (in_message_ != (frame->opcode == kContinuation)) return Fail(1002);
    in_message_ = !frame->last;
    if (message_.empty()) {
      message_ = std::move(frame->payload);
    } else {
      message_.append(frame->payload);
    }
    if (!frame->last) continue;
    if (FindInvalidUtf8(message_) != std::string_view::npos) return Fail(1007);
    Event event;
    event.payload = std::exchange(message_, {});
    return event;
  }
  return std::nullopt;
}

std::string WebSocketFrameHead(WebSocketOpcode opcode, std::size_t length) {
  std::string head(1, static_cast<char>(0x80 | static_cast<int>(opcode)));
  if (length < 126) {
    head.push_back(static_cast<char>(length));
    return head;
  }
  const int bytes = length <= 0xffff ? 2 : 8;
  head.push_back(static_cast<char>(bytes == 2 ? 126 : 127));
  for (int i = bytes - 1; i >= 0; --i) {
    head.push_back(static_cast<char>(static_cast<std::uint64_t>(length) >> (8 * i) & 0xff));
  }
  return head;
}

std::string MaskedWebSocketFrame(WebSocketOpcode opcode, std::string_view payload,
                                 std::uint32_t mask) {
  std::string frame = WebSocketFrameHead(opcode, payload.size());
  frame[1] = static_cast<char>(frame[1] | 0x80);
  const char key[4] = {static_cast<char>(mask >> 24), static_cast<char>(mask >> 16),
                       static_cast<char>(mask >> 8), static_cast<char>(mask)};
  frame.append(key, 4);
  std::string masked(payload);
  Mask(&masked, key);
  return frame + masked;
}

std::string WebSocketClosePayload(int code, std::string_view reason) {
  if (!MayBeSent(code)) return {};
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  std::size_t fits = 0;
  while (fits < reason.size()) {
    const std::size_t step = Utf8SequenceLength(reason, fits);
    if (step == 0 || 2 + fits + step > kMaxControl) break;
    fits += step;
  }
  return payload.append(reason.substr(0, fits));
}

std::string WebSocketAcceptKey(std::string_view key) {
  const std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &length, EVP_sha1(), nullptr) != 1) return {};
  return Base64(digest, length);
}

std::string NewWebSocketKey() {
  unsigned char bytes[16] = {};
  RAND_bytes(bytes, sizeof bytes);  // only against caches (section 10.3): zeros would do no harm
  return Base64(bytes, sizeof bytes);
}

bool IsWebSocketKey(std::string_view key) {
  if (key.size() != 24 || !key.ends_with("==")) return false;
  return std::all_of(key.begin(), key.end() - 2, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
  });
}

bool ListHasWord(std::string_view header, std::string_view word) {
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(','), header.size());
    if (EqualsIgnoringCase(Trim(header.substr(0, end)), word)) return true;
    header.remove_prefix(std::min(end + 1, header.size()));
  }
  return false;
}

std::vector<std::string> WebSocketProtocols(std::string_view header) {
  std::vector<std::string> out;
  while (!header.empty() && out.size() < kMaxProtocols) {
    const std::size_t end = std::min(header.find(','), header.size());
    const std::string_view name = Trim(header.substr(0, end));
    if (!name.empty()) out.emplace_back(name);
    header.remove_prefix(std::min(end + 1, header.size()));
  }
  return out;
}

}  // namespace selvedge
