// The registry killed and started again at any moment, cut downloads, a full disk, a site whose
// uplink is gone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>

#include "net/http_client.h"
#include "test_server.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

constexpr std::size_t kLarge = 24'000'000;

std::uint64_t BytesUnder(const std::string& folder) {
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(folder, error)) {
    std::error_code gone;
    const auto size = entry.file_size(gone);
    if (!gone && entry.is_regular_file(gone)) bytes += size;
  }
  return bytes;
}

TEST(BadDaysTest, ARegistryKilledAtAnyMomentLosesNothingThatItSaidItHas) {
  TestFolder folder;
  TestServer server;
  const std::string card = WriteModel(folder, kLarge);
  ASSERT_EQ(server.Selvedge({"push", "kept/person:1.0", "--card", card}).exit_code, 0);
  std::mt19937 random(20'261'124);
  int done = 0;
  for (int round = 0; round < 6; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    folder.Write("model/weights/person.onnx", Noise(kLarge, 100 + static_cast<unsigned>(round)));
    const std::string name = "killed/person:" + std::to_string(round);
    auto pushing = ChildProcess::Start({.program = SELVEDGE,
                                        .arguments = {"push", name, "--card", card},
                                        .environment = server.SelvedgeEnvironment(),
                                        .output_file = folder / "push.log"});
    ASSERT_TRUE(pushing.has_value());
    // Somewhere within the upload: when so much of it has arrived.
    const std::uint64_t until = BytesUnder(server.data() + "/uploads") + random() % kLarge;
    EXPECT_TRUE(Await(
        [&] { return BytesUnder(server.data() + "/uploads") >= until || !pushing->Running(); }));
    server.Kill();
    server.Start();
    // It goes on by itself, or says that it could not; then the same command does.
    const auto code = pushing->Wait(60 * kSecond);
    ASSERT_TRUE(code.has_value());
    if (*code != 0) {
      const Ended again = server.Selvedge({"push", name, "--card", card});
      ASSERT_EQ(again.exit_code, 0) << again.output;
    } else {
      ++done;
    }
    const std::string out = folder / ("out-" + std::to_string(round));
    const Ended pulled = server.Selvedge({"pull", name, "-o", out});
    ASSERT_EQ(pulled.exit_code, 0) << pulled.output;
    ASSERT_TRUE(ReadText(out + "/weights/person.onnx") ==
                Noise(kLarge, 100 + static_cast<unsigned>(round)));
    fs::remove_all(out);
  }
  const Ended first = server.Selvedge({"pull", "kept/person:1.0", "-o", folder / "kept"});
  EXPECT_EQ(first.exit_code, 0) << first.output;
  EXPECT_TRUE(ReadText(folder / "kept/weights/person.onnx") == Noise(kLarge, 1));
  EXPECT_GT(done, 0) << "no push went on by itself";
  EXPECT_EQ(server.Stop(), 0);
}

TEST(BadDaysTest, APullKilledMidwayGoesOnWhereItWas) {
  TestFolder folder;
  TestServer server;
  const std::string card = WriteModel(folder, kLarge);
  ASSERT_EQ(server.Selvedge({"push", "a/person:1.0", "--card", card}).exit_code, 0);
  const std::string out = folder / "out";
  bool cut = false;
  for (int i = 0; i < 20 && !cut; ++i) {
    auto pulling = ChildProcess::Start({.program = SELVEDGE,
                                        .arguments = {"pull", "a/person:1.0", "-o", out},
                                        .environment = server.SelvedgeEnvironment(),
                                        .output_file = folder / "pull.log"});
    ASSERT_TRUE(pulling.has_value());
    EXPECT_TRUE(Await(
        [&] { return BytesUnder(out + ".partial/uploads") >= 1'000'000 || !pulling->Running(); }));
    pulling->Signal(SIGKILL);
    pulling->Wait(10 * kSecond);
    cut = !fs::exists(out) && BytesUnder(out + ".partial") >= 1'000'000;
    if (!cut) fs::remove_all(out), fs::remove_all(out + ".partial");  // it was faster
  }
  ASSERT_TRUE(cut) << "could not be caught in the middle";
  const Ended again = server.Selvedge({"pull", "a/person:1.0", "-o", out});
  ASSERT_EQ(again.exit_code, 0) << again.output;
  EXPECT_TRUE(ReadText(out + "/weights/person.onnx") == Noise(kLarge, 1));
  EXPECT_FALSE(fs::exists(out + ".partial"));
}

TEST(BadDaysTest, ARegistryThatIsGoneForGoodIsSaidAndWhatCameIsKept) {
  TestFolder folder;
  TestServer server;
  const std::string card = WriteModel(folder, kLarge);
  ASSERT_EQ(server.Selvedge({"push", "a/person:1.0", "--card", card}).exit_code, 0);
  server.Kill();
  const std::string out = folder / "out";
  const Ended pulled = server.Selvedge({"pull", "a/person:1.0", "-o", out});
  EXPECT_EQ(pulled.exit_code, 1);
  EXPECT_THAT(pulled.output, HasSubstr(server.host()));
  EXPECT_FALSE(fs::exists(out + ".partial"));  // nothing came
  EXPECT_EQ(server.Selvedge({"push", "a/person:2.0", "--card", card}).exit_code, 1);
}

TEST(BadDaysTest, AFullDiskIsSaidAndOverWhenThereIsRoom) {
  TestFolder folder;
  fs::create_directories(folder / "disk");
  // Seen by this process and its children only.
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) ||
      ::mount("none", (folder / "disk").c_str(), "tmpfs", 0, "size=16m") != 0) {
    GTEST_SKIP() << "needs root to mount a small disk: " << std::strerror(errno);
  }
  {
    TestServer server({}, folder / "disk/store");
    const std::string card = WriteModel(folder, 2'000'000);
    ASSERT_EQ(server.Selvedge({"push", "a/person:1.0", "--card", card}).exit_code, 0);
    folder.Write("model/weights/person.onnx", Noise(kLarge, 9));
    const Ended full = server.Selvedge({"push", "a/person:2.0", "--card", card});
    EXPECT_EQ(full.exit_code, 1);
    EXPECT_THAT(full.output, AllOf(HasSubstr("person.onnx"), HasSubstr("full")));
    // What was there is there, and is served.
    const Ended pulled = server.Selvedge({"pull", "a/person:1.0", "-o", folder / "out"});
    EXPECT_EQ(pulled.exit_code, 0) << pulled.output;
    EXPECT_TRUE(ReadText(folder / "out/weights/person.onnx") == Noise(2'000'000, 1));
    ASSERT_EQ(::mount("none", (folder / "disk").c_str(), nullptr, MS_REMOUNT, "size=80m"), 0);
    const Ended roomy = server.Selvedge({"push", "a/person:2.0", "--card", card});
    EXPECT_EQ(roomy.exit_code, 0) << roomy.output;
  }
  (void)::umount2((folder / "disk").c_str(), MNT_DETACH);
}

TEST(BadDaysTest, AMirrorServesASiteWhoseUplinkIsGone) {
  TestFolder folder;
  TestServer server;
  TestServer mirror({"--mirror", server.url(), "--mirror-ca", server.ca(), "--mirror-token-file",
                     server.token_file()});
  const std::string card = WriteModel(folder, 3'000'000);
  ASSERT_EQ(server.Selvedge({"push", "a/person:1.0", "--card", card}).exit_code, 0);
  const Ended first = mirror.Selvedge({"pull", "a/person:1.0", "-o", folder / "one"});
  ASSERT_EQ(first.exit_code, 0) << first.output;
  server.Kill();
  mirror.Kill();
  mirror.Start();
  const Ended second = mirror.Selvedge({"pull", "a/person:1.0", "-o", folder / "two"});
  ASSERT_EQ(second.exit_code, 0) << second.output;
  EXPECT_TRUE(ReadText(folder / "two/weights/person.onnx") == Noise(3'000'000, 1));
  const Ended absent = mirror.Selvedge({"pull", "a/other:1.0", "-o", folder / "three"});
  EXPECT_EQ(absent.exit_code, 1);
  EXPECT_FALSE(fs::exists(folder / "three.partial"));
  EXPECT_EQ(mirror.Selvedge({"push", "a/person:2.0", "--card", card}).exit_code, 1);
}

}  // namespace
}  // namespace selvedge
