// Fields are only added: what v1/schema.txt has stays as it is, number, name and type.
// SELVEDGE_COMPAT_WRITE=1 adds what is new; it takes nothing away.

#include "compat/schema.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>

#include "proto/event.pb.h"
#include "proto/fleet.pb.h"
#include "proto/run_link.pb.h"

namespace selvedge {
namespace {

using google::protobuf::FileDescriptor;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kBaseline = std::string(SELVEDGE_SOURCE_DIR) + "/test/compat/v1/schema.txt";

std::set<std::string> Today() {
  const FileDescriptor* const files[] = {v1::Event::descriptor()->file(),
                                         v1::Desired::descriptor()->file(),
                                         v1::FromRun::descriptor()->file()};
  return SchemaLines(files);
}

std::set<std::string> Baseline() {
  std::set<std::string> lines;
  std::ifstream file(kBaseline);
  for (std::string line; std::getline(file, line);) lines.insert(line);
  return lines;
}

TEST(Schema, OnlyGrows) {
  const std::set<std::string> before = Baseline();
  ASSERT_GT(before.size(), 200U) << kBaseline << " is missing or cut off";
  EXPECT_THAT(Broken(before, Today()), IsEmpty())
      << "an older peer would misunderstand these: put them back, and give what is new a number "
         "of its own";
}

TEST(Schema, WhatIsNewIsWrittenDown) {
  const std::set<std::string> before = Baseline();
  const std::set<std::string> today = Today();
  if (std::getenv("SELVEDGE_COMPAT_WRITE") != nullptr) {
    std::set<std::string> both = before;
    both.insert(today.begin(), today.end());
    std::ofstream file(kBaseline);
    for (const std::string& line : both) file << line << "\n";
    return;
  }
  EXPECT_THAT(Broken(today, before), IsEmpty())
      << "SELVEDGE_COMPAT_WRITE=1 build/dev/test/compat_test --gtest_filter=Schema.* adds them to "
      << kBaseline;
}

// Of event.proto as somebody might change it.
std::vector<std::string> BrokenBy(
    const std::function<void(google::protobuf::FileDescriptorProto*)>& change) {
  const FileDescriptor* const before[] = {v1::Event::descriptor()->file()};
  google::protobuf::FileDescriptorProto file;
  before[0]->CopyTo(&file);
  change(&file);
  google::protobuf::DescriptorPool pool;
  const FileDescriptor* const after[] = {pool.BuildFile(file)};
  EXPECT_NE(after[0], nullptr);
  return Broken(SchemaLines(before), SchemaLines(after));
}

google::protobuf::DescriptorProto* Find(google::protobuf::FileDescriptorProto* file,
                                        std::string_view name) {
  for (auto& message : *file->mutable_message_type()) {
    if (message.name() == name) return &message;
  }
  return nullptr;
}

TEST(Schema, EveryChangeThatAnOldPeerWouldMisunderstandIsSeen) {
  using google::protobuf::FieldDescriptorProto;
  using google::protobuf::FileDescriptorProto;
  EXPECT_THAT(BrokenBy([](FileDescriptorProto*) {}), IsEmpty());
  EXPECT_THAT(BrokenBy([](FileDescriptorProto* file) {  // more is no harm
                FieldDescriptorProto* field = Find(file, "Box")->add_field();
                field->set_name("more");
                field->set_number(100);
                field->set_type(FieldDescriptorProto::TYPE_BYTES);
                field->set_label(FieldDescriptorProto::LABEL_OPTIONAL);
                file->add_message_type()->set_name("New");
              }),
              IsEmpty());
  const auto in_model = [](const std::function<void(FieldDescriptorProto*)>& change) {
    return BrokenBy(
        [&](FileDescriptorProto* file) { change(Find(file, "ModelRef")->mutable_field(2)); });
  };
  const auto is_seen = ElementsAre("selvedge.v1.ModelRef 3 digest: string");
  EXPECT_THAT(in_model([](auto* field) { field->set_number(30); }), is_seen);
  EXPECT_THAT(in_model([](auto* field) { field->set_name("sum"); }), is_seen);
  EXPECT_THAT(in_model([](auto* field) { field->set_type(FieldDescriptorProto::TYPE_BYTES); }),
              is_seen);
  EXPECT_THAT(in_model([](auto* field) { field->set_label(FieldDescriptorProto::LABEL_REPEATED); }),
              is_seen);
  EXPECT_THAT(BrokenBy([](FileDescriptorProto* file) {  // taken away, and its number used anew
                auto* fields = Find(file, "ModelRef")->mutable_field();
                fields->DeleteSubrange(2, 1);
                fields->Mutable(3)->set_number(3);
              }),
              ElementsAre("selvedge.v1.ModelRef 3 digest: string",
                          "selvedge.v1.ModelRef 5 engine: string"));
  EXPECT_THAT(BrokenBy([](FileDescriptorProto* file) {
                file->mutable_enum_type(0)->mutable_value(1)->set_number(9);
              }),
              ElementsAre("selvedge.v1.Provenance 1 LOCAL"));
}

}  // namespace
}  // namespace selvedge
