#include "device/agent/launch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

v1::ServiceSpec Spec() {
  v1::ServiceSpec spec;
  spec.set_application("safety");
  spec.set_name("detector");
  spec.set_kind(v1::PIPELINE);
  spec.set_config_json(
      R"({"confidence_threshold":0.7,"model_path":"/models/m.trt","zones":[1],"path":"x",
          "on":true,"camera":"gate"})");
  (*spec.mutable_env())["ON"] = "from env";
  v1::Volume* volume = spec.add_volumes();
  volume->set_host("/var/edge-models");
  volume->set_container("/models/a-b");
  return spec;
}

LaunchContext Context() {
  return {.device = "jetson-1",
          .run_program = "/usr/bin/selvedge-run",
          .agent_socket = "/state/run/agent.sock",
          .config_file = "/state/config.json",
          .cache_folder = "/cache",
          .package_folder = "/state/packages/p",
          .cameras = {{"yard", "rtsp://u:secret@yard/"}, {"gate", "rtsp://u:other@gate/"}},
          .default_camera = "yard",
          .environment = {"PATH=/bin", "SELVEDGE_JOIN_TOKEN=slv1.secret", "LC_ALL=C",
                          "AWS_SECRET=x", "GST_DEBUG=1"}};
}

TEST(Launch, APipelineGetsWhatDeviceAndManifestSettle) {
  const auto launch = LaunchPipeline(Spec(), Context(), true, true);
  ASSERT_TRUE(launch) << launch.error().message();
  EXPECT_THAT(launch->arguments, AllOf(Contains("--card"), Contains("/state/packages/p/card.yaml"),
                                       Contains("0.7"), Contains("127.0.0.1")));
  EXPECT_EQ(launch->arguments[0], "/usr/bin/selvedge-run");
  EXPECT_EQ(launch->arguments[1], "/state/packages/p/pipeline.yaml");
  EXPECT_THAT(
      launch->environment,
      IsSupersetOf(
          {"SELVEDGE_AGENT_SOCKET=/state/run/agent.sock", "SELVEDGE_APPLICATION=safety",
           "SELVEDGE_SERVICE=detector", "SELVEDGE_DEVICE=jetson-1",
           "SELVEDGE_CONFIG_FILE=/state/config.json", "SELVEDGE_SOURCE=rtsp://u:other@gate/",
           "CONFIDENCE_THRESHOLD=0.7", "MODEL_PATH=/models/m.trt", "ON=from env",
           "SELVEDGE_VOLUME_MODELS_A_B=/var/edge-models", "PATH=/bin", "LC_ALL=C", "GST_DEBUG=1"}));
}

TEST(Launch, SecretsOfTheAgentStayWithIt) {
  const auto launch = LaunchPipeline(Spec(), Context(), true, true);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->environment, Each(AllOf(Not(HasSubstr("slv1.")), Not(HasSubstr("AWS_")))));
  // Everybody on the machine may read a command line.
  EXPECT_THAT(launch->arguments, Each(Not(HasSubstr("other"))));
}

TEST(Launch, AManifestDoesNotReplaceWhatTheLoaderNeeds) {
  const auto launch = LaunchPipeline(Spec(), Context(), true, true);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->environment, Not(Contains("PATH=x")));
  EXPECT_THAT(launch->environment, Each(Not(StartsWith("ZONES="))));
}

TEST(Launch, AManifestsPortIsForOthers) {
  v1::ServiceSpec spec = Spec();
  spec.add_ports()->set_external(5000);
  const auto launch = LaunchPipeline(spec, Context(), true, true);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->arguments, AllOf(Contains("5000"), Contains("0.0.0.0")));
}

TEST(Launch, TheDefaultCameraIsTheFirst) {
  v1::ServiceSpec spec = Spec();
  spec.set_config_json("{}");
  const auto launch = LaunchPipeline(spec, Context(), true, true);
  ASSERT_TRUE(launch);
  EXPECT_THAT(launch->environment, Contains("SELVEDGE_SOURCE=rtsp://u:secret@yard/"));
  LaunchContext blind = Context();
  blind.cameras.clear();
  const auto own = LaunchPipeline(spec, blind, true, false);
  ASSERT_TRUE(own);
  EXPECT_THAT(own->environment, Each(Not(StartsWith("SELVEDGE_SOURCE="))));
  EXPECT_THAT(own->arguments, Not(Contains("--card")));
}

TEST(Launch, APackageWithoutAPipelineIsRefused) {
  const auto launch = LaunchPipeline(Spec(), Context(), false, true);
  ASSERT_FALSE(launch);
  EXPECT_EQ(launch.error().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(launch.error().message(), HasSubstr("--pipeline"));
}

TEST(Launch, AThresholdThatIsNoneIsRefused) {
  for (const char* bad : {R"({"confidence_threshold":7})", R"({"confidence_threshold":"high"})"}) {
    v1::ServiceSpec spec = Spec();
    spec.set_config_json(bad);
    const auto launch = LaunchPipeline(spec, Context(), true, true);
    ASSERT_FALSE(launch) << bad;
    EXPECT_EQ(launch.error().code(), StatusCode::kFailedPrecondition);
  }
}

TEST(Launch, AContainerSeesVolumesUnderItsOwnPaths) {
  EXPECT_EQ(ServiceVariables(Spec(), true).at("SELVEDGE_VOLUME_MODELS_A_B"), "/models/a-b");
}

TEST(Launch, VariableNames) {
  EXPECT_EQ(VariableName("confidence_threshold"), "CONFIDENCE_THRESHOLD");
  EXPECT_EQ(VariableName("a.b-c/9"), "A_B_C_9");
}

}  // namespace
}  // namespace selvedge
