// Messages as version 1 wrote them, byte for byte (v1/NAME.pb), and what they mean (v1/NAME.txtpb).
// SELVEDGE_COMPAT_WRITE=1 writes the bytes of a new NAME.txtpb; what is there stays for ever.

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "compat/golden.h"
#include "core/event_batch.h"
#include "gateway/aggregate.h"
#include "proto/run_link.pb.h"

namespace selvedge {
namespace {

using google::protobuf::Message;
using google::protobuf::TextFormat;
using google::protobuf::util::MessageDifferencer;

class OldMessage : public testing::TestWithParam<std::string> {};

TEST_P(OldMessage, MeansToday) {
  const std::string text = ReadGolden(GetParam() + ".txtpb");
  const std::unique_ptr<Message> meant = EmptyMessageOf(text);
  ASSERT_NE(meant, nullptr) << "its first line is no '# proto-message: selvedge.v1.NAME'";
  ASSERT_TRUE(TextFormat::ParseFromString(text, meant.get()))
      << "a name that version 1 had is gone";
  const std::string file = GoldenPath(GetParam() + ".pb");
  if (std::getenv("SELVEDGE_COMPAT_WRITE") != nullptr && !std::filesystem::exists(file)) {
    std::ofstream(file, std::ios::binary) << meant->SerializeAsString();
  }
  const std::string bytes = ReadGolden(GetParam() + ".pb");
  ASSERT_FALSE(bytes.empty()) << file << " is missing";
  const std::unique_ptr<Message> read(meant->New());
  ASSERT_TRUE(read->ParseFromString(bytes));
  std::string difference;
  MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&difference);
  EXPECT_TRUE(differencer.Compare(*meant, *read)) << difference;
}

// What a newer peer added is no obstacle, and is still there when the message is written again.
TEST_P(OldMessage, KeepsWhatANewerPeerAdded) {
  const std::unique_ptr<Message> meant = EmptyMessageOf(ReadGolden(GetParam() + ".txtpb"));
  const std::unique_ptr<Message> read(meant->New());
  ASSERT_TRUE(meant->ParseFromString(ReadGolden(GetParam() + ".pb")));
  ASSERT_TRUE(read->ParseFromString(ReadGolden(GetParam() + ".pb") + std::string(kNewField)));
  EXPECT_THAT(read->SerializeAsString(), testing::HasSubstr(kNewField));
  read->DiscardUnknownFields();
  EXPECT_TRUE(MessageDifferencer::Equals(*meant, *read));
}

INSTANTIATE_TEST_SUITE_P(V1, OldMessage, testing::ValuesIn(GoldenNames()),
                         [](const auto& info) { return info.param; });

// Every message that crosses a process boundary has its golden file.
TEST(OldMessages, AreThereOfEveryKind) {
  std::set<std::string> kinds;
  for (const std::string& name : GoldenNames()) {
    kinds.insert(EmptyMessageOf(ReadGolden(name + ".txtpb"))->GetDescriptor()->name());
  }
  EXPECT_THAT(kinds,
              testing::IsSupersetOf({"Ack", "Birth", "Command", "CommandResult", "Desired", "Event",
                                     "EventBatch", "EventList", "FromAgent", "FromRun", "State"}));
}

TEST(OldMessages, ACompressedBatchHoldsWhatItHeld) {
  v1::EventBatch batch;
  ASSERT_TRUE(batch.ParseFromString(ReadGolden("event_batch_compressed.pb")));
  const auto list = UnpackEvents(batch);
  ASSERT_TRUE(list) << list.error().ToString();
  v1::EventList meant;
  ASSERT_TRUE(meant.ParseFromString(ReadGolden("event_list.pb")));
  EXPECT_TRUE(MessageDifferencer::Equals(meant, *list));
}

// The absence of a field has a meaning: what a peer meant that does not know it yet.
TEST(OldMessages, WhatIsNotSaidHasAMeaning) {
  v1::Event rule;
  rule.mutable_decision()->set_rule("kerb");
  const v1::Event frame;
  const v1::GatewayPolicy silent;
  EXPECT_TRUE(PassesRaw(silent.raw(), rule)) << "events of rules go up";
  EXPECT_FALSE(PassesRaw(silent.raw(), frame)) << "frame records do not";
  EXPECT_EQ(v1::Hello().privacy(), "") << "local-only";
  EXPECT_EQ(v1::Command().what_case(), v1::Command::WHAT_NOT_SET) << "answered as not known";
}

}  // namespace
}  // namespace selvedge
