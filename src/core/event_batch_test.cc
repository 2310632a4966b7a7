#include "core/event_batch.h"

#include <gtest/gtest.h>

#include <string>

namespace selvedge {
namespace {

v1::EventList Events(int count) {
  v1::EventList list;
  for (int i = 0; i < count; ++i) {
    v1::Event* event = list.add_events();
    event->set_id("01HF7YAT00QFM7QZJ4C3CVTT" + std::to_string(10 + i % 90));
    event->set_device("jetson-1");
    event->set_frame(static_cast<std::uint64_t>(i));
    event->mutable_decision()->set_rule("junction");
  }
  return list;
}

TEST(EventBatchTest, SmallOnesTravelAsTheyAre) {
  v1::EventBatch batch;
  PackEvents(Events(1), &batch);
  EXPECT_TRUE(batch.zstd().empty());
  EXPECT_EQ(batch.events_size(), 1);
}

TEST(EventBatchTest, LargeOnesAreCompressedAndComeBackWhole) {
  v1::EventList list = Events(100);
  list.add_aggregates()->set_device("jetson-1");
  v1::EventBatch batch;
  batch.set_first(7);
  PackEvents(list, &batch);
  EXPECT_EQ(batch.first(), 7u);
  EXPECT_EQ(batch.events_size(), 0);
  EXPECT_LT(batch.zstd().size(), list.ByteSizeLong() / 5);
  const auto back = UnpackEvents(batch);
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(back->SerializeAsString(), list.SerializeAsString());
}

TEST(EventBatchTest, DamageIsSaid) {
  v1::EventBatch batch;
  PackEvents(Events(100), &batch);
  const std::string whole = batch.zstd();
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    batch.set_zstd(bad);
    (void)UnpackEvents(batch);  // no crash; a changed literal may still decompress
    if (i == 0) continue;
    batch.set_zstd(whole.substr(0, i));
    EXPECT_FALSE(UnpackEvents(batch).has_value()) << i;
  }
  batch.set_zstd("rubbish");
  EXPECT_FALSE(UnpackEvents(batch).has_value());
}

TEST(EventBatchTest, LimitsHold) {
  v1::EventList many;
  for (int i = 0; i < 2 * kMaxBatchEvents + 1; ++i) many.add_events();
  v1::EventBatch batch;
  PackEvents(many, &batch);
  EXPECT_FALSE(UnpackEvents(batch).has_value());

  // A bomb: a megabyte of one byte in a few hundred bytes.
  v1::EventList bomb;
  bomb.add_events()->set_device(std::string(1 << 20, 'x'));
  PackEvents(bomb, &batch);
  EXPECT_LT(batch.zstd().size(), 1000u);
  EXPECT_FALSE(UnpackEvents(batch).has_value());
}

}  // namespace
}  // namespace selvedge
