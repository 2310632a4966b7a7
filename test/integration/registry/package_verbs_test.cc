// selvedge push, pull and inspect against a real registry.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "test_server.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class PackageVerbsTest : public testing::Test {
 protected:
  void SetUp() override { card_ = WriteModel(folder_, 400'000); }

  std::string Push(const std::string& name = "safety/person:1.0") {
    const Ended pushed = server_.Selvedge(
        {"push", name, "--card", card_, "--pipeline", folder_ / "pipeline.yaml", "--json"});
    EXPECT_EQ(pushed.exit_code, 0) << pushed.output;
    return pushed.exit_code == 0 ? json::parse(pushed.output)["digest"] : "";
  }
  Ended Pull(const std::string& name, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"pull", name, "-o", folder_ / "out"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return server_.Selvedge(arguments);
  }
  // Failed with one sentence.
  static void ExpectSentence(const Ended& ended, int code, const std::string& part) {
    EXPECT_EQ(ended.exit_code, code) << ended.output;
    EXPECT_THAT(ended.output, AllOf(StartsWith("selvedge "), HasSubstr(part)));
    EXPECT_EQ(std::ranges::count(ended.output, '\n'), 1) << ended.output;
  }
  std::string BlobFile(std::string_view content) {
    const std::string hex = DigestOf(content)->substr(7);
    return server_.data() + "/blobs/" + hex.substr(0, 2) + "/" + hex;
  }

  TestFolder folder_;
  std::string card_;
  TestServer server_;
};

TEST_F(PackageVerbsTest, WhatIsPushedIsPulledAndInspected) {
  const std::string digest = Push();
  const Ended pulled = Pull("safety/person:1.0");
  ASSERT_EQ(pulled.exit_code, 0) << pulled.output;
  EXPECT_THAT(pulled.output, AllOf(HasSubstr(digest), HasSubstr("every digest verified")));
  EXPECT_TRUE(ReadText(folder_ / "out/weights/person.onnx") == Noise(400'000, 1));
  EXPECT_TRUE(ReadText(folder_ / "out/card.yaml") == ReadText(card_));
  EXPECT_TRUE(ReadText(folder_ / "out/pipeline.yaml") == ReadText(folder_ / "pipeline.yaml"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
  // Pushed again nothing is sent.
  const Ended again = server_.Selvedge({"push", "safety/person:1.1", "--card", card_, "--pipeline",
                                        folder_ / "pipeline.yaml", "--json"});
  EXPECT_EQ(json::parse(again.output)["bytes_sent"], 0);
  EXPECT_EQ(json::parse(again.output)["digest"], digest);
  // What is there is not replaced unasked.
  ExpectSentence(Pull("safety/person:1.0"), 1, "--force");
  EXPECT_EQ(Pull("safety/person@" + digest, {"--force", "--variant", "int8"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(folder_ / "out/weights"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(PackageVerbsTest, InspectShowsIndexVariantsFilesAndCard) {
  const std::string digest = Push();
  const Ended text = server_.Selvedge({"inspect", "safety/person:1.0"});
  EXPECT_EQ(text.exit_code, 0) << text.output;
  for (const std::string& part :
       {std::string("safety/person:1.0  person 1.0.0"), digest, std::string("2 variants"),
        std::string("variant fp32  onnx, fp32, ap50 0.5"), std::string("variant int8"),
        std::string("card: person 1.0.0, detection, 1 labels, input 300x300 nhwc, licence MIT"),
        std::string("weights/person.onnx"), *DigestOf(Noise(400'000, 1))}) {
    EXPECT_THAT(text.output, HasSubstr(part));
  }
  const Ended machine = server_.Selvedge({"inspect", "safety/person@" + digest, "--json"});
  ASSERT_EQ(machine.exit_code, 0) << machine.output;
  const json view = json::parse(machine.output);
  EXPECT_EQ(view["digest"], digest);
  EXPECT_EQ(view["version"], "1.0.0");
  ASSERT_EQ(view["variants"].size(), 2U);
  EXPECT_EQ(view["variants"][0]["name"], "fp32");
  EXPECT_EQ(view["variants"][0]["files"][0]["path"], "weights/person.onnx");
  EXPECT_EQ(view["variants"][0]["files"][0]["bytes"], 400'000);
  EXPECT_EQ(view["variants"][0]["files"][0]["digest"], *DigestOf(Noise(400'000, 1)));
  EXPECT_EQ(view["card"]["labels"], json::array({"person"}));
  EXPECT_EQ(view["card"]["input"]["width"], 300);
  EXPECT_EQ(view["card"]["variants"][1]["accuracy"], 0.49);
  // A local model is one still.
  const Ended local = server_.Selvedge(
      {"inspect", std::string(SELVEDGE_SOURCE_DIR) + "/assets/models/person-ssdlite.card.yaml"});
  EXPECT_EQ(local.exit_code, 0) << local.output;
  EXPECT_THAT(local.output, HasSubstr("card and model agree"));
}

TEST_F(PackageVerbsTest, WhatIsNotThereIsOneSentenceAndNothingIsLeft) {
  Push();
  const std::string absent = "sha256:" + std::string(64, '0');
  for (const std::string& name :
       {std::string("safety/person:2.0"), std::string("no/such:1.0"), "safety/person@" + absent}) {
    SCOPED_TRACE(name);
    ExpectSentence(Pull(name), 1, "no");
    ExpectSentence(server_.Selvedge({"inspect", name}), 1, "no");
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
  }
  ExpectSentence(Pull("safety/person:1.0", {"--variant", "int4"}), 1, "it has fp32, int8");
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
  ExpectSentence(Pull("NO:1.0"), 2, "names nothing in a registry");
  ExpectSentence(server_.Selvedge({"inspect", "NO:1.0"}), 2, "names nothing in a registry");
  ExpectSentence(server_.Selvedge({"inspect", "other.example:5000/a:1"}), 2, "--registry");
  ExpectSentence(server_.Selvedge({"inspect", "no-such-model.onnx"}), 1, "no-such-model.onnx");
  ExpectSentence(server_.Selvedge({"push", "a/b:1", "--card", folder_ / "no.yaml"}), 1, "no.yaml");
}

TEST_F(PackageVerbsTest, WhatIsNoPackageIsSaid) {
  if (!FindProgram("oras")) GTEST_SKIP() << "oras is not installed (tools/setup --test)";
  folder_.Write("in/file", "x");
  const Ended pushed = RunProgram("oras",
                                  {"push", server_.host() + "/a/image:1", "--ca-file", server_.ca(),
                                   "--username", "any", "--password", server_.token(), "file"},
                                  {}, folder_ / "in");
  ASSERT_EQ(pushed.exit_code, 0) << pushed.output;
  ExpectSentence(Pull("a/image:1"), 1, "no package of a model");
  ExpectSentence(server_.Selvedge({"inspect", "a/image:1"}), 1, "no package of a model");
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

// The registry's disk gives other bytes than it was given.
TEST_F(PackageVerbsTest, OtherContentThanItsDigestIsNeverPutInPlace) {
  Push();
  const std::string weights = Noise(400'000, 1);
  std::string damaged = weights;
  damaged[1000] = static_cast<char>(damaged[1000] ^ 1);
  const std::string file = BlobFile(weights);
  fs::permissions(file, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(file, std::ios::binary | std::ios::trunc) << damaged;
  ExpectSentence(Pull("safety/person:1.0"), 1, "other content than sha256:");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST_F(PackageVerbsTest, NobodysFolderIsTakenForTheDownload) {
  Push();
  folder_.Write("out.partial/mine.txt", "do not remove");
  ExpectSentence(Pull("safety/person:1.0"), 1, "none of ours");
  EXPECT_EQ(ReadText(folder_ / "out.partial/mine.txt"), "do not remove");
}

// The token and the certificate decide.
TEST_F(PackageVerbsTest, OnlyWithTheTokenAndToTheRightRegistry) {
  Push();
  const std::string name = "safety/person:1.0";
  const auto with = [&](const std::string& token, const std::string& ca, const std::string& url) {
    return RunProgram(SELVEDGE, {"pull", name, "-o", folder_ / "out"},
                      {"SELVEDGE_REGISTRY=" + url, "SELVEDGE_TOKEN=" + token, "SELVEDGE_CA=" + ca,
                       "SELVEDGE_STATE=" + (folder_ / "state")});
  };
  ExpectSentence(with("", server_.ca(), server_.url()), 1, "--token-file");
  ExpectSentence(with("wrong-but-long-enough", server_.ca(), server_.url()), 1, "not known");
  TestCa other("another fleet");
  ExpectSentence(with(server_.token(), other.ca_file(), server_.url()), 1, "certificate");
  ExpectSentence(with(server_.token(), server_.ca(), "http://" + server_.host()), 1,
                 server_.host());
  ExpectSentence(with(server_.token(), server_.ca(), "http://registry.example:5000"), 1,
                 "must be https://");
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  EXPECT_FALSE(fs::exists(folder_ / "out.partial"));
}

TEST(RegistryOptionsTest, OtherMachinesAreServedOverTlsOnly) {
  TestFolder folder;
  for (const char* listen : {"0.0.0.0:0", "[::]:0", "192.0.2.1:0"}) {
    const Ended ended =
        RunProgram(SELVEDGE_REGISTRY_SERVER, {"--listen", listen, "--data", folder / "store"});
    EXPECT_EQ(ended.exit_code, 2) << listen;
    EXPECT_THAT(ended.output, HasSubstr("--tls-certificate"));
  }
  EXPECT_FALSE(fs::exists(folder / "store"));
  EXPECT_EQ(RunProgram(SELVEDGE_REGISTRY_SERVER, {"--listen", "nowhere"}).exit_code, 2);
}

}  // namespace
}  // namespace selvedge
