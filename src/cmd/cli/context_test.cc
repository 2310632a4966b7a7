#include "cmd/cli/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"

namespace selvedge::cli {
namespace {

using ::testing::HasSubstr;

class ContextTest : public ::testing::Test {
 protected:
  ContextTest() : folder_(::testing::TempDir() + "context_" + std::to_string(getpid())) {
    std::filesystem::create_directories(folder_ + "/cloud");
    for (const char* name :
         {"SELVEDGE_SERVER", "SELVEDGE_REGISTRY", "SELVEDGE_TOKEN", "SELVEDGE_CA"}) {
      unsetenv(name);
    }
    setenv("SELVEDGE_STATE", (folder_ + "/").c_str(), 1);
  }
  ~ContextTest() override {
    std::filesystem::remove_all(folder_);
    unsetenv("SELVEDGE_STATE");
  }

  void WriteCloud(std::string_view name, const std::string& content) const {
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/cloud/" + std::string(name), content).ok());
  }
  void WriteControlPlane() const {
    WriteCloud(kApiUrlFile, "http://localhost:8080\n");
    WriteCloud(kAdminTokenFile, "secret\n");
    WriteCloud(kCaFile, "PEM\n");
  }
  static Result<Connection> Resolve(std::vector<std::string> arguments) {
    CLI::App app;
    const ContextFlags flags(&app, ContextFlags::Server::kApi);
    std::ranges::reverse(arguments);
    app.parse(arguments);
    return flags.Resolve();
  }

  std::string folder_;
};

TEST_F(ContextTest, AControlPlaneOfThisMachineIsFound) {
  WriteControlPlane();
  const auto found = Resolve({});
  ASSERT_TRUE(found.has_value()) << found.error().message();
  EXPECT_EQ(found->url, "http://localhost:8080");
  EXPECT_EQ(found->token, "secret");
  EXPECT_EQ(found->ca, folder_ + "/cloud/ca.pem");
}

TEST_F(ContextTest, NothingKnownSaysWhatToGive) {
  const auto none = Resolve({});
  ASSERT_FALSE(none.has_value());
  EXPECT_THAT(none.error().message(), HasSubstr("--server URL"));
  EXPECT_THAT(none.error().message(), HasSubstr(folder_ + "/cloud"));
}

TEST_F(ContextTest, ItsTokenGoesToNoOtherServer) {
  WriteControlPlane();
  const auto other = Resolve({"--server", "https://elsewhere:8443/"});
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->url, "https://elsewhere:8443");
  EXPECT_EQ(other->token, "");
  EXPECT_EQ(other->ca, "");
  EXPECT_EQ(Resolve({"--server", "http://localhost:8080/"})->token, "secret");
}

TEST_F(ContextTest, FlagsComeBeforeTheEnvironmentBeforeTheFolder) {
  WriteControlPlane();
  setenv("SELVEDGE_SERVER", "https://environment:1", 1);
  setenv("SELVEDGE_TOKEN", "from-environment", 1);
  setenv("SELVEDGE_CA", "/environment.pem", 1);
  EXPECT_EQ(Resolve({})->url, "https://environment:1");
  EXPECT_EQ(Resolve({})->token, "from-environment");
  EXPECT_EQ(Resolve({})->ca, "/environment.pem");
  WriteCloud("mine", "  from-file \n");
  const auto flags = Resolve(
      {"--server", "https://flag:2", "--token-file", folder_ + "/cloud/mine", "--ca", "/flag.pem"});
  EXPECT_EQ(flags->url, "https://flag:2");
  EXPECT_EQ(flags->token, "from-file");
  EXPECT_EQ(flags->ca, "/flag.pem");
  EXPECT_FALSE(Resolve({"--token-file", "/nowhere"}).has_value());
}

}  // namespace
}  // namespace selvedge::cli
