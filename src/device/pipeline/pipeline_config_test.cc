#include "device/pipeline/pipeline_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace selvedge {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A file that lies where the example lies, so that its relative paths hold.
const std::string kFile = std::string(SELVEDGE_SOURCE_DIR) + "/examples/safety-monitor/test.yaml";

const char kSmallest[] =
    "pipeline: p\n"
    "source: {uri: test://}\n"
    "model: {card: ../../assets/models/person-ssdlite.card.yaml}\n";

TEST(PipelineConfig, TheExampleIsValid) {
  const auto config = PipelineConfig::Load(std::string(SELVEDGE_SOURCE_DIR) +
                                           "/examples/safety-monitor/pipeline.yaml");
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->pipeline.name, "safety-monitor");
  EXPECT_EQ(config->model.engine, "");
  EXPECT_FALSE(config->http.live_view);
  EXPECT_GT(config->rules.size(), 3U);
}

TEST(PipelineConfig, TheSmallestFileHasSafeDefaults) {
  const auto config = PipelineConfig::Parse(kSmallest, kFile);
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->source.uri, "test://");
  EXPECT_EQ(config->pipeline.queue_policy, DropPolicy::kDropOldest);
  EXPECT_EQ(config->http.address, "127.0.0.1");
  EXPECT_FALSE(config->http.live_view);
  EXPECT_TRUE(config->events.path.empty());
  EXPECT_FALSE(config->device.empty());
}

TEST(PipelineConfig, PathsStartAtTheFile) {
  std::string text = kSmallest;
  text.replace(text.find("test://"), 7, "videos/a.mp4");
  text += "events: {path: out.jsonl}\n";
  const auto config = PipelineConfig::Parse(text, kFile);
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_THAT(config->source.uri, HasSubstr("examples/safety-monitor/videos/a.mp4"));
  EXPECT_THAT(config->events.path, HasSubstr("examples/safety-monitor/out.jsonl"));
}

TEST(PipelineConfig, PicturesStayOnTheDeviceUnlessTheFileSaysOtherwise) {
  const std::string shown = std::string(kSmallest) + "http: {live_view: {enabled: true}}\n";
  auto config = PipelineConfig::Parse(shown, kFile);
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->privacy, Privacy::kLocalOnly);
  for (const char* here : {"127.0.0.1", "127.8.8.8", "localhost", "::1"}) {
    config->http.address = here;
    EXPECT_TRUE(config->CheckPrivacy().ok()) << here;
  }
  for (const char* anywhere : {"0.0.0.0", "::", "10.0.0.1", "fe80::1", "127.0.0.1.example", ""}) {
    config->http.address = anywhere;
    const Status status = config->CheckPrivacy();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << anywhere;
    EXPECT_THAT(status.message(), AllOf(HasSubstr("local-only"), HasSubstr("privacy: frames")));
  }
  config->privacy = Privacy::kCrops;  // the live view shows whole pictures
  EXPECT_FALSE(config->CheckPrivacy().ok());
  config->http.live_view = false;
  EXPECT_TRUE(config->CheckPrivacy().ok());
  config->http.live_view = true;
  config->privacy = Privacy::kFrames;
  EXPECT_TRUE(config->CheckPrivacy().ok());
}

TEST(PipelineConfig, PrivacyAndThresholdAreKeysOfTheFile) {
  const auto config = PipelineConfig::Parse(
      std::string(kSmallest) + "privacy: frames\nconfidence_threshold: 0.7\n", kFile);
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->privacy, Privacy::kFrames);
  EXPECT_FLOAT_EQ(config->pipeline.confidence_threshold, 0.7F);
}

TEST(PipelineConfig, TheCardCanBeAnotherOne) {
  std::string text = kSmallest;
  text.replace(text.find("../../assets"), 12, "nowhere");
  const std::string card =
      std::string(SELVEDGE_SOURCE_DIR) + "/assets/models/person-ssdlite.card.yaml";
  EXPECT_FALSE(PipelineConfig::Parse(text, kFile).has_value());
  const auto config = PipelineConfig::Parse(text, kFile, {.card = card});
  ASSERT_TRUE(config.has_value()) << config.error().message();
  EXPECT_EQ(config->model.card_path, card);
  EXPECT_EQ(config->card.name, "person-ssdlite");
}

struct BadCase {
  const char* what;
  std::string text;
  std::vector<std::string> message;
};

class BadPipelineFile : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadPipelineFile, IsRefusedWithFileLineAndKey) {
  const auto config = PipelineConfig::Parse(GetParam().text, kFile);
  ASSERT_FALSE(config.has_value());
  for (const std::string& part : GetParam().message) {
    EXPECT_THAT(config.error().message(), HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, BadPipelineFile,
    ::testing::Values(
        BadCase{"unknown key",
                std::string(kSmallest) + "quue: {}\n",
                {"test.yaml:4", "quue", "did you mean \"queue\"?"}},
        BadCase{"misspelt nested key",
                "pipeline: p\nsource:\n  url: x\n  uri: test://\nmodel: {card: c}\n",
                {"test.yaml:3", "source.url", "uri"}},
        BadCase{"no source", "pipeline: p\nmodel: {card: c}\n", {"test.yaml", "source"}},
        BadCase{"missing card",
                "pipeline: p\nsource: {uri: test://}\nmodel: {card: gone.yaml}\n",
                {"gone.yaml"}},
        BadCase{"unknown variant",
                "pipeline: p\nsource: {uri: test://}\n"
                "model: {card: ../../assets/models/person-ssdlite.card.yaml, variant: int4}\n",
                {"model.variant", "int4", "fp32"}},
        BadCase{"threads",
                "pipeline: p\nsource: {uri: test://}\nmodel: {card: c, threads: 0}\n",
                {"test.yaml:3", "model.threads", "auto"}},
        BadCase{"policy",
                std::string(kSmallest) + "queue: {policy: drop-oldst}\n",
                {"test.yaml:4", "queue.policy", "drop-oldest"}},
        BadCase{"unknown class",
                std::string(kSmallest) + "rules: [{name: r, kind: presence, classes: [persn]}]\n",
                {"test.yaml:4", "persn", "person"}},
        BadCase{"tracker contradiction",
                std::string(kSmallest) + "tracker: {high_score: 0.2, low_score: 0.5}\n",
                {"test.yaml:4", "tracker", "score"}},
        BadCase{"backoff",
                "pipeline: p\nsource: {uri: test://, backoff_first: 10s, backoff_max: 1s}\n"
                "model: {card: c}\n",
                {"source.backoff_max", "backoff_first"}},
        BadCase{"port",
                std::string(kSmallest) + "http: {port: 99999}\n",
                {"test.yaml:4", "http.port", "65535"}},
        BadCase{"not yaml", "pipeline: [", {"test.yaml:1"}}),
    [](const auto& info) {
      std::string name = info.param.what;
      std::ranges::replace(name, ' ', '_');
      return name;
    });

}  // namespace
}  // namespace selvedge
