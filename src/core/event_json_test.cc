#include "core/event_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

#include "base/allocation_counter.h"
#include "base/utf8.h"
#include "proto/event.pb.h"

namespace selvedge {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::util::MessageDifferencer;

// Fills messages field by field through reflection: a field that is added to event.proto and
// forgotten by the writer fails here.
class RandomMessage {
 public:
  explicit RandomMessage(std::uint64_t seed) : random_(seed) {}

  void Fill(Message* message) {
    const auto* descriptor = message->GetDescriptor();
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const FieldDescriptor* field = descriptor->field(i);
      if (field->is_repeated()) {
        const std::uint64_t n = random_() % 4;
        for (std::uint64_t k = 0; k < n; ++k) {
          Fill(message->GetReflection()->AddMessage(message, field));
        }
      } else if (random_() % 4 != 0) {
        Set(message, field);
      }
    }
  }

 private:
  void Set(Message* message, const FieldDescriptor* field) {
    const auto* reflection = message->GetReflection();
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING: return reflection->SetString(message, field, Text());
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection->SetInt32(message, field, static_cast<std::int32_t>(Bits()));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection->SetUInt32(message, field, static_cast<std::uint32_t>(Bits()));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection->SetInt64(message, field, static_cast<std::int64_t>(Bits()));
      case FieldDescriptor::CPPTYPE_UINT64: return reflection->SetUInt64(message, field, Bits());
      case FieldDescriptor::CPPTYPE_FLOAT: return reflection->SetFloat(message, field, Float());
      case FieldDescriptor::CPPTYPE_DOUBLE: return reflection->SetDouble(message, field, Double());
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection->SetEnumValue(message, field, static_cast<int>(random_() % 6));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(reflection->MutableMessage(message, field));
      case FieldDescriptor::CPPTYPE_BOOL: break;
    }
    FAIL() << "event.proto has a field of a new type, " << field->full_name();
  }

  // Of any magnitude: 0 and the largest are as likely as those between.
  std::uint64_t Bits() { return random_() >> (random_() % 64); }
  float Float() {
    if (random_() % 16 == 0) return -0.0F;
    if (random_() % 2 == 0) return static_cast<float>(random_() % 10'000) / 16;
    const auto v = std::bit_cast<float>(static_cast<std::uint32_t>(random_()));
    return std::isfinite(v) ? v : 0.5F;
  }
  double Double() {
    if (random_() % 16 == 0) return -0.0;
    const auto v = std::bit_cast<double>(random_());
    return std::isfinite(v) ? v : 0.25;
  }
  std::string Text() {
    static const std::vector<std::string> kPieces = {
        "a",     "\"",   "\\",   "/", "\n", "\r",           "\t", std::string(1, '\0'),
        "\x01",  "\x1f", "\x7f", "é", "€",  "\xE2\x80\xA8", "𝄞",  "</script>",
        "person"};
    std::string text;
    for (std::uint64_t n = random_() % 8; n > 0; --n) text += kPieces[random_() % kPieces.size()];
    return text;
  }

  std::mt19937_64 random_;
};

std::string Line(const v1::Event& event) {
  std::string line;
  AppendEventLine(event, &line);
  return line;
}

TEST(EventJson, MeansWhatProtobufsMappingMeans) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    v1::Event event;
    RandomMessage(seed).Fill(&event);
    const std::string line = Line(event);
    ASSERT_EQ(line.find('\n'), line.size() - 1) << line;
    ASSERT_EQ(FindInvalidUtf8(line), std::string::npos);
    ASSERT_TRUE(nlohmann::json::accept(line)) << line;

    v1::Event read;
    const auto status = google::protobuf::util::JsonStringToMessage(line, &read);
    ASSERT_TRUE(status.ok()) << "seed " << seed << ": " << status.ToString() << "\n" << line;
    std::string difference;
    MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&difference);
    ASSERT_TRUE(differencer.Compare(event, read)) << "seed " << seed << ": " << difference << line;

    const Result<v1::Event> ours = ParseEventLine(line);
    ASSERT_TRUE(ours) << ours.error().ToString();
    ASSERT_TRUE(MessageDifferencer::Equals(event, *ours)) << "seed " << seed;
  }
}

TEST(EventJson, ReadsWhatProtobufWrites) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    v1::Event event;
    RandomMessage(seed).Fill(&event);
    std::string text;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(event, &text, options).ok());
    const Result<v1::Event> read = ParseEventLine(text);
    ASSERT_TRUE(read) << read.error().ToString() << "\n" << text;
    v1::Event expected;  // not `event`: protobuf itself loses the sign of -0
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(text, &expected).ok());
    ASSERT_TRUE(MessageDifferencer::Equals(expected, *read)) << text;
  }
}

v1::Event Example() {
  v1::Event event;
  event.set_id("01HF7YAT00QFM7QZJ4C3CVTT2N");
  event.set_device("gate-7");
  event.set_captured_unix_ns(1'700'000'000'123'456'789);
  event.set_decided_unix_ns(1'700'000'000'150'000'000);
  event.set_frame(41);
  event.set_width(768);
  event.set_height(576);
  event.set_provenance(v1::LOCAL);
  v1::DetectionRecord* detection = event.add_detections();
  detection->set_label("person");
  detection->set_score(0.875F);
  detection->mutable_box()->set_x1(10.5F);
  detection->mutable_box()->set_y2(200);
  detection->set_track(3);
  v1::Decision* decision = event.mutable_decision();
  decision->set_rule("over the \"kerb\"");
  decision->set_kind("line");
  decision->set_state("cross");
  decision->set_zone("kerb");
  decision->set_track(3);
  decision->set_value(0.875);
  decision->set_threshold(0.5);
  decision->set_direction("a-to-b");
  return event;
}

TEST(EventJson, TextIsThatOfTheFormatPage) {
  EXPECT_EQ(Line(Example()),
            R"({"id":"01HF7YAT00QFM7QZJ4C3CVTT2N","device":"gate-7",)"
            R"("captured_unix_ns":"1700000000123456789","decided_unix_ns":"1700000000150000000",)"
            R"("frame":41,"width":768,"height":576,"detections":[{"label":"person","score":0.875,)"
            R"("box":{"x1":10.5,"y1":0,"x2":0,"y2":200},"track":3,"class_id":0}],)"
            R"("decision":{"rule":"over the \"kerb\"","kind":"line","state":"cross","zone":"kerb",)"
            R"("track":3,"value":0.875,"threshold":0.5,"direction":"a-to-b"},"provenance":"LOCAL"})"
            "\n");
}

TEST(EventJson, IntegersThatADoubleCannotHoldAreText) {
  v1::Event event;
  event.set_frame((1ULL << 53) - 1);
  EXPECT_NE(Line(event).find(R"("frame":9007199254740991,)"), std::string::npos);
  event.set_frame(1ULL << 53);
  EXPECT_NE(Line(event).find(R"("frame":"9007199254740992",)"), std::string::npos);
  event.set_frame(std::numeric_limits<std::uint64_t>::max());
  EXPECT_NE(Line(event).find(R"("frame":"18446744073709551615",)"), std::string::npos);
}

TEST(EventJson, NumbersThatAreNotFiniteAreLeftOut) {
  v1::Event event = Example();
  event.mutable_detections(0)->set_score(std::numeric_limits<float>::quiet_NaN());
  event.mutable_detections(0)->mutable_box()->set_x2(std::numeric_limits<float>::infinity());
  event.mutable_decision()->set_value(-std::numeric_limits<double>::infinity());
  const std::string line = Line(event);
  const auto json = nlohmann::json::parse(line);
  EXPECT_FALSE(json["detections"][0].contains("score"));
  EXPECT_FALSE(json["detections"][0]["box"].contains("x2"));
  EXPECT_FALSE(json["decision"].contains("value"));
  EXPECT_TRUE(ParseEventLine(line));
}

TEST(EventJson, BytesThatAreNotUtf8BecomeReplacementCharacters) {
  v1::Event event;
  event.set_device("a\xFFz\xE2\x82\xC3\xA9");  // a stray byte, half a euro sign, a good é
  const auto json = nlohmann::json::parse(Line(event));
  EXPECT_EQ(json["device"], "a\uFFFDz\uFFFD\uFFFDé");
}

TEST(EventJson, AppendsAndKeepsTheMemory) {
  const v1::Event event = Example();
  std::string out;
  AppendEventLine(event, &out);
  const std::size_t one = out.size();
  AppendEventLine(event, &out);
  EXPECT_EQ(out.size(), 2 * one);
  EXPECT_EQ(out.substr(0, one), out.substr(one));

  const std::uint64_t before = AllocationsOfThisThread();
  for (int i = 0; i < 100; ++i) {
    out.clear();
    AppendEventLine(event, &out);
  }
  EXPECT_EQ(AllocationsOfThisThread() - before, 0U);
}

TEST(EventJson, ReaderIgnoresFieldsOfLaterVersionsAndTheEndOfLine) {
  const auto event = ParseEventLine("{\"frame\":3,\"fused\":{\"x\":[1,2]},\"id\":\"a\"}\r\n");
  ASSERT_TRUE(event) << event.error().ToString();
  EXPECT_EQ(event->frame(), 3U);
  EXPECT_EQ(event->id(), "a");
  const auto nameless = ParseEventLine(R"({"detections":[{"":{"label":"x"}}]})");
  ASSERT_TRUE(nameless) << nameless.error().ToString();
  EXPECT_EQ(nameless->ShortDebugString(), "detections { }");
  const auto mars = ParseEventLine(R"({"provenance":"MARS"})");
  ASSERT_TRUE(mars) << mars.error().ToString();
  EXPECT_EQ(mars->provenance(), v1::PROVENANCE_UNSPECIFIED);
}

TEST(EventJson, ReaderRefusesWhatIsNoEvent) {
  for (const char* line : {"",
                           "\n",
                           "null",
                           "[]",
                           "3",
                           "\"x\"",
                           "{",
                           "{\"frame\":}",
                           "{\"frame\":-1}",
                           "{\"frame\":1.5}",
                           "{\"width\":4294967296}",

                           "{\"detections\":[3]}",
                           "{\"id\":5}",
                           "{\"model\":\"x\"}",

                           "{} {}",
                           "{}x",
                           "{\"id\":\"\xFF\"}",
                           "{\"detections\":[{\"score\":\"NaN\"}]}",
                           "{\"detections\":[{\"score\":1e99}]}",
                           "{\"decision\":{\"value\":\"Infinity\"}}",
                           "{\"times\":{\"queue_us\":-1}}"}) {
    const auto event = ParseEventLine(line);
    EXPECT_FALSE(event) << line;
    if (event) continue;
    EXPECT_EQ(event.error().code(), StatusCode::kInvalidArgument) << line;
    EXPECT_EQ(event.error().message().find('\n'), std::string::npos) << line;
  }
}

TEST(EventJson, ReaderHasLimits) {
  std::string line = "{\"id\":\"" + std::string(kMaxEventLine, 'x') + "\"}";
  EXPECT_EQ(ParseEventLine(line).error().code(), StatusCode::kResourceExhausted);
  std::string deep = "{\"x\":";
  for (int i = 0; i < 100'000; ++i) deep += '[';
  EXPECT_EQ(ParseEventLine(deep).error().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
