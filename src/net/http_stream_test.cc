#include "net/http_stream.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

HttpStream::Chunk MakeChunk(const char* text) {
  return std::make_shared<const std::string>(text);
}

TEST(HttpStreamTest, LatestChunkWins) {
  HttpStream stream("text/plain");
  int wakes = 0;
  stream.Attach(&stream, [&] { ++wakes; });
  stream.AddSubscriber();
  stream.Publish(MakeChunk("one"));
  stream.Publish(MakeChunk("two"));
  EXPECT_EQ(*stream.Read().chunk, "two");
  EXPECT_EQ(stream.Read().version, 2u);
  EXPECT_EQ(wakes, 2);
  stream.Detach(&stream);
  stream.Publish(MakeChunk("three"));
  EXPECT_EQ(wakes, 2);
}

TEST(HttpStreamTest, NobodyGetsAPictureFromBeforeTheyCame) {
  HttpStream stream("text/plain");
  stream.Publish(MakeChunk("unseen"));
  EXPECT_EQ(stream.Read().chunk, nullptr);
  stream.AddSubscriber();
  EXPECT_EQ(stream.subscribers(), 1);
  stream.Publish(MakeChunk("seen"));
  stream.RemoveSubscriber();
  EXPECT_EQ(stream.subscribers(), 0);
  stream.AddSubscriber();
  EXPECT_EQ(stream.Read().chunk, nullptr);
}

TEST(HttpStreamTest, EndIsForGood) {
  HttpStream stream("text/plain");
  stream.AddSubscriber();
  stream.Publish(MakeChunk("one"));
  stream.End();
  stream.Publish(MakeChunk("two"));
  EXPECT_TRUE(stream.Read().ended);
  EXPECT_EQ(stream.Read().chunk, nullptr);
}

}  // namespace
}  // namespace selvedge
