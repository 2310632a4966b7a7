// The agent as a process in a fleet whose control plane is the real one: joining, and pictures that
// an operator asks for.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/file.h"
#include "test_cloud.h"
#include "test_device.h"

namespace selvedge {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const char kPictures[] = "source: {uri: \"test://?width=64&height=48&fps=10&frames=0\"}\n";

class AgentInAFleet : public ::testing::Test {
 protected:
  // Onto the fleet's registry and onto every device.
  void Deploy(const std::string& version, const std::string& pipeline) {
    const BuiltPackage package = MakePackage(folder_ / ("package-" + version), version, pipeline);
    OciClientOptions options;
    std::getline(std::ifstream(cloud_.File("registry.url")), options.url);
    options.token = cloud_.admin();
    options.http.tls.ca_file = cloud_.File("ca.pem");
    OciClient client(std::move(options));
    const auto pushed = PushPackage(&client, package, "safety/boxes", version);
    ASSERT_TRUE(pushed.has_value()) << pushed.error().ToString();
    const auto applied = cloud_.Call("POST", "/applications",
                                     TestManifest("safety", "pipeline:safety/boxes:" + version));
    ASSERT_EQ(applied.status, 200) << applied.text;
  }
  bool AwaitRunning(const std::string& version) {
    return Await([&] {
      const json device = cloud_.Get("/devices/jetson-1");
      const json services = device.value("services", json::array());
      return services.size() == 1 && services[0].value("state", "") == "running" &&
             services[0]["pipeline"].value("model", "") == "boxes " + version &&
             services[0]["pipeline"].value("ready", false);
    });
  }
  TestCloud::Answer AskForPicture() {
    return cloud_.Call("POST", "/devices/jetson-1/snapshot",
                       R"({"application": "safety", "service": "detector"})");
  }

  TestFolder folder_;
  TestCloud cloud_;
  AgentProcess agent_{folder_ / "device", folder_ / "agent.out"};
};

TEST_F(AgentInAFleet, JoinsOnceWithAOneTimeToken) {
  const std::string token = cloud_.MakeJoinToken();
  agent_.Start({"--name", "jetson-1", "--join", token, "--label", "hardware=jetson"});
  ASSERT_TRUE(Await([&] { return cloud_.Get("/devices/jetson-1")["status"] == "online"; }));
  EXPECT_EQ(cloud_.Get("/devices/jetson-1")["labels"]["hardware"], "jetson");
  struct stat key{};
  ASSERT_EQ(stat((agent_.state() + "/identity/key.pem").c_str(), &key), 0);
  EXPECT_EQ(key.st_mode & 0777, 0600U);
  struct stat folder{};
  ASSERT_EQ(stat(agent_.state().c_str(), &folder), 0);
  EXPECT_EQ(folder.st_mode & 0777, 0700U);
  EXPECT_THAT(agent_.Log(), Not(HasSubstr(token)));

  // Neither the token again nor the name with another token.
  AgentProcess thief(folder_ / "thief", folder_ / "thief.out");
  thief.Start({"--name", "pi-1", "--join", token});
  EXPECT_EQ(thief.Wait(), 1);
  EXPECT_THAT(thief.Log(), HasSubstr("spent"));
  AgentProcess twin(folder_ / "twin", folder_ / "twin.out");
  twin.Start({"--name", "jetson-1", "--join", cloud_.MakeJoinToken()});
  EXPECT_EQ(twin.Wait(), 1);
  EXPECT_THAT(twin.Log(), HasSubstr("holds the name jetson-1"));
  AgentProcess liar(folder_ / "liar", folder_ / "liar.out");
  liar.Start({"--name", "liar", "--join", "slv1.bm8gdG9rZW4"});
  EXPECT_EQ(liar.Wait(), 1);

  // From now on it needs none.
  EXPECT_EQ(agent_.Terminate(), 0);
  ASSERT_TRUE(Await([&] { return cloud_.Get("/devices/jetson-1")["status"] == "offline"; }));
  agent_.Start();
  EXPECT_TRUE(Await([&] { return cloud_.Get("/devices/jetson-1")["status"] == "online"; }));
}

TEST_F(AgentInAFleet, AnOperatorSeesWhatThePipelinesFileAllows) {
  agent_.Start({"--name", "jetson-1", "--join", cloud_.MakeJoinToken()});
  Deploy("1", kPictures);
  ASSERT_TRUE(AwaitRunning("1")) << cloud_.Get("/devices/jetson-1").dump(1);
  const auto kept = AskForPicture();
  EXPECT_EQ(kept.status, 403) << kept.text;
  EXPECT_THAT(kept.text, HasSubstr("local-only"));
  EXPECT_THAT(kept.text, Not(HasSubstr("JFIF")));

  Deploy("2", std::string(kPictures) + "privacy: crops\nhttp: {live_view: {enabled: true}}\n");
  ASSERT_TRUE(AwaitRunning("2")) << cloud_.Get("/devices/jetson-1").dump(1);
  EXPECT_EQ(AskForPicture().status, 403);

  Deploy("3", std::string(kPictures) + "privacy: frames\n");
  ASSERT_TRUE(AwaitRunning("3")) << cloud_.Get("/devices/jetson-1").dump(1);
  // One after another, as the dashboard does for a live view.
  for (int i = 0; i < 3; ++i) {
    const auto picture = AskForPicture();
    ASSERT_EQ(picture.status, 200) << picture.text;
    EXPECT_EQ(picture.Header("Content-Type"), "image/jpeg");
    EXPECT_THAT(picture.text, StartsWith("\xff\xd8"));
  }
  EXPECT_EQ(agent_.Terminate(), 0);
  EXPECT_TRUE(agent_.Services().empty());
}

}  // namespace
}  // namespace selvedge
