#include "net/websocket_frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/websocket.h"

namespace selvedge {
namespace {

using Kind = WebSocketParser::Kind;
using Side = WebSocketParser::Side;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint32_t kMask = 0x37fa213d;  // of the examples in RFC 6455, section 5.7

std::string Masked(WebSocketOpcode opcode, std::string_view payload) {
  return MaskedWebSocketFrame(opcode, payload, kMask);
}

// What a server reads out of `bytes`, one word per event, then why it stopped.
std::vector<std::string> Read(std::string_view bytes, std::size_t max = 1000) {
  WebSocketParser parser(Side::kServer, max);
  std::vector<std::string> out;
  const auto drain = [&] {
    while (auto event = parser.Next()) {
      static const char* const kNames[] = {"text:", "ping:", "pong:", "close:"};
      std::string word = kNames[static_cast<int>(event->kind)];
      if (event->kind == Kind::kClose) word += std::to_string(event->code) + ":";
      out.push_back(word + event->payload);
    }
  };
  for (const char c : bytes) {  // byte by byte, the hardest way
    parser.Feed({&c, 1});
    drain();
  }
  if (parser.failed() != 0) out.push_back("failed:" + std::to_string(parser.failed()));
  return out;
}

TEST(WebSocketFrame, ReadsTheExamplesOfTheRfc) {
  EXPECT_THAT(Read("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), ElementsAre("text:Hello"));
  EXPECT_EQ(Masked(WebSocketOpcode::kText, "Hello"),
            "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
  WebSocketParser client(Side::kClient, 1000);
  client.Feed(std::string("\x01\x03Hel\x80\x02lo\x89\x05Hello", 16));
  auto text = client.Next();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->payload, "Hello");
  auto ping = client.Next();
  ASSERT_TRUE(ping);
  EXPECT_EQ(ping->kind, Kind::kPing);
  EXPECT_EQ(WebSocketAcceptKey("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(WebSocketFrame, LengthsOfEverySize) {
  for (const std::size_t size : {0, 1, 125, 126, 127, 65535, 65536, 200'000}) {
    const std::string text(size, 'x');
    WebSocketParser server(Side::kServer, 200'000);
    server.Feed(Masked(WebSocketOpcode::kText, text));
    auto got = server.Next();
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(got->payload, text);
    WebSocketParser client(Side::kClient, 200'000);
    client.Feed(WebSocketFrameHead(WebSocketOpcode::kText, size) + text);
    got = client.Next();
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(got->payload, text);
  }
}

TEST(WebSocketFrame, ControlFramesMayComeBetweenFragments) {
  std::string first = Masked(WebSocketOpcode::kText, "Hel");
  first[0] = 0x01;
  std::string rest = Masked(WebSocketOpcode::kText, "lo");
  rest[0] = static_cast<char>(0x80);
  EXPECT_THAT(Read(first + Masked(WebSocketOpcode::kPing, "?") + rest),
              ElementsAre("ping:?", "text:Hello"));
}

TEST(WebSocketFrame, RefusesWhatItShould) {
  const auto with_first_byte = [](int byte, std::string frame) {
    frame[0] = static_cast<char>(byte);
    return frame;
  };
  const std::string text = Masked(WebSocketOpcode::kText, "x");
  EXPECT_THAT(Read(WebSocketFrameHead(WebSocketOpcode::kText, 1) + "x"),
              ElementsAre("failed:1002"));                                     // not masked
  EXPECT_THAT(Read(with_first_byte(0x82, text)), ElementsAre("failed:1003"));  // binary
  EXPECT_THAT(Read(with_first_byte(0x83, text)), ElementsAre("failed:1002"));  // no such opcode
  EXPECT_THAT(Read(with_first_byte(0xc1, text)), ElementsAre("failed:1002"));  // reserved bit
  EXPECT_THAT(Read(with_first_byte(0x80, text)), ElementsAre("failed:1002"));  // continues nothing
  EXPECT_THAT(Read(with_first_byte(0x09, text)), ElementsAre("failed:1002"));  // ping in parts
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kPing, std::string(126, 'x'))),
              ElementsAre("failed:1002"));
  EXPECT_THAT(Read(with_first_byte(0x01, text) + text), ElementsAre("failed:1002"));
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kText, "\xc3\x28")), ElementsAre("failed:1007"));
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kText, std::string(1001, 'x'))),
              ElementsAre("failed:1009"));
  // 2^63 bytes are announced: refused before any is waited for.
  EXPECT_THAT(Read(std::string("\x81\xff\x80\0\0\0\0\0\0\0", 10)), ElementsAre("failed:1009"));
  EXPECT_THAT(Read(with_first_byte(0x01, Masked(WebSocketOpcode::kText, std::string(600, 'x'))) +
                   with_first_byte(0x80, Masked(WebSocketOpcode::kText, std::string(600, 'x')))),
              ElementsAre("failed:1009"));
  EXPECT_THAT(Read(text.substr(0, 5)), IsEmpty());
}

TEST(WebSocketFrame, GoodbyesHaveACode) {
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kClose, WebSocketClosePayload(1001, "away"))),
              ElementsAre("close:1001:away"));
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kClose, "")), ElementsAre("close:1005:"));
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kClose, "x")), ElementsAre("failed:1002"));
  EXPECT_THAT(Read(Masked(WebSocketOpcode::kClose, std::string("\x03\xee", 2))),  // 1006
              ElementsAre("failed:1002"));
  EXPECT_EQ(WebSocketClosePayload(1006, "never sent"), "");
  // Cut at a character's border: 123 bytes fit, a character of two bytes does not at the end.
  EXPECT_EQ(WebSocketClosePayload(1000, std::string(122, 'x') + "\xc3\xa4").size(), 124U);
}

TEST(WebSocketFrame, ListsOfHeaders) {
  EXPECT_TRUE(ListHasWord("keep-alive, Upgrade", "upgrade"));
  EXPECT_FALSE(ListHasWord("upgraded", "upgrade"));
  EXPECT_THAT(WebSocketProtocols(" selvedge.v1 ,bearer.abc,, "),
              ElementsAre("selvedge.v1", "bearer.abc"));
  std::string many;
  for (int i = 0; i < 100; ++i) many += "a,";
  EXPECT_EQ(WebSocketProtocols(many).size(), 16U);
  EXPECT_TRUE(IsWebSocketKey(NewWebSocketKey()));
  EXPECT_FALSE(IsWebSocketKey("short=="));
}

}  // namespace
}  // namespace selvedge
