// Registry clients of others against our registry: what they push comes back the same, also through
// another of them, and who has no token gets nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "registry/manifest.h"
#include "test_server.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

// A folder in the layout of an OCI image with one layer; returns the manifest's digest.
std::string WriteImage(const TestFolder& folder, const std::string& name,
                       const std::string& content) {
  std::string layer = content;
  layer.resize((content.size() + 511) / 512 * 512 + 1024);  // its end is two empty blocks
  const auto put = [&](const std::string& bytes) {
    const std::string digest = *DigestOf(bytes);
    folder.Write(name + "/blobs/sha256/" + digest.substr(7), bytes);
    return digest;
  };
  const std::string layer_digest = put(layer);
  const std::string config = json{{"architecture", "amd64"},
                                  {"os", "linux"},
                                  {"config", json::object()},
                                  {"rootfs", {{"type", "layers"}, {"diff_ids", {layer_digest}}}}}
                                 .dump();
  Manifest manifest;
  manifest.media_type = kManifestType;
  manifest.config = Descriptor{.media_type = "application/vnd.oci.image.config.v1+json",
                               .digest = put(config),
                               .size = config.size()};
  manifest.layers = {Descriptor{.media_type = "application/vnd.oci.image.layer.v1.tar",
                                .digest = layer_digest,
                                .size = layer.size()}};
  const std::string bytes = WriteManifest(manifest);
  Manifest index;
  index.media_type = kIndexType;
  index.is_index = true;
  index.manifests = {Descriptor{
      .media_type = std::string(kManifestType), .digest = put(bytes), .size = bytes.size()}};
  folder.Write(name + "/index.json", WriteManifest(index));
  folder.Write(name + "/oci-layout", R"({"imageLayoutVersion": "1.0.0"})");
  return *DigestOf(bytes);
}

// A tar with one file, as ustar has it.
std::string OneFile(const std::string& name, const std::string& content) {
  std::string header(512, '\0');
  const auto field = [&](std::size_t at, const std::string& text) {
    header.replace(at, text.size(), text);
  };
  std::string size(12, '\0');
  std::snprintf(size.data(), size.size(), "%011zo", content.size());
  field(0, name);
  field(100, "0000644");
  field(108, "0000000");
  field(116, "0000000");
  field(124, size.substr(0, 11));
  field(136, "00000000000");
  field(148, std::string(8, ' '));
  field(156, "0");
  field(257, std::string("ustar\0"
                         "00",
                         8));
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::string check(8, '\0');
  std::snprintf(check.data(), check.size(), "%06o", sum);
  field(148, check.substr(0, 7) + " ");
  return header + content;
}

class ClientsTest : public testing::Test {
 protected:
  // Why the test cannot be run; empty where it can.
  static std::string Lacking(const std::vector<std::string>& programs) {
    for (const std::string& program : programs) {
      if (!FindProgram(program)) return program + " is not installed (tools/setup --test)";
    }
    return "";
  }

  // Each ends with 0 and its output, or the test fails.
  std::string Oras(std::vector<std::string> arguments, const std::string& folder = {}) {
    const bool copies = arguments[0] == "cp";
    const std::vector<std::string> from =
        copies ? std::vector<std::string>{"--from-ca-file",  server_.ca(),
                                          "--from-username", "any",
                                          "--from-password", server_.token(),
                                          "--to-ca-file",    server_.ca(),
                                          "--to-username",   "any",
                                          "--to-password",   server_.token()}
               : std::vector<std::string>{"--ca-file", server_.ca(), "--username",
                                          "any",       "--password", server_.token()};
    arguments.insert(arguments.end(), from.begin(), from.end());
    return Good("oras", arguments, {}, folder);
  }
  std::string Crane(const std::vector<std::string>& arguments) {
    if (!logged_in_) {
      logged_in_ = true;
      Good("crane", {"auth", "login", server_.host(), "-u", "any", "-p", server_.token()},
           CraneEnvironment());
    }
    return Good("crane", arguments, CraneEnvironment());
  }
  std::string Skopeo(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--insecure-policy"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return Good("skopeo", all);
  }
  std::vector<std::string> SkopeoCopy(const std::string& from, const std::string& to,
                                      std::vector<std::string> flags = {}) {
    std::vector<std::string> all = {"copy"};
    for (const char* side : {"src", "dest"}) {
      const std::string& end = side == std::string("src") ? from : to;
      if (!end.starts_with("docker://")) continue;
      all.insert(all.end(), {std::string("--") + side + "-cert-dir", CertificateFolder(),
                             std::string("--") + side + "-creds", "any:" + server_.token()});
    }
    all.insert(all.end(), flags.begin(), flags.end());
    all.insert(all.end(), {from, to});
    return all;
  }
  std::vector<std::string> CraneEnvironment() const {
    return {"SSL_CERT_FILE=" + server_.ca(), "DOCKER_CONFIG=" + (folder_ / "docker")};
  }
  std::string CertificateFolder() {
    folder_.Write("certs/ca.crt", ReadText(server_.ca()));
    return folder_ / "certs";
  }
  static std::string Good(const std::string& program, const std::vector<std::string>& arguments,
                          const std::vector<std::string>& environment = {},
                          const std::string& folder = {}) {
    const Ended ended = RunProgram(program, arguments, environment, folder);
    EXPECT_EQ(ended.exit_code, 0) << program << " " << arguments[0] << ": " << ended.output;
    return ended.output;
  }
  std::string At(const std::string& name) const { return server_.host() + "/" + name; }

  TestFolder folder_;
  TestServer server_;
  bool logged_in_ = false;
};

TEST_F(ClientsTest, OrasPushesAttachesAndPulls) {
  if (const std::string why = Lacking({"oras"}); !why.empty()) GTEST_SKIP() << why;
  const std::string content = Noise(3'000'000, 3);
  folder_.Write("in/weights.bin", content);
  folder_.Write("in/note.txt", "signed by nobody");
  fs::create_directories(folder_ / "out");
  Oras({"push", At("models/one:1"), "--artifact-type", "application/vnd.example.model",
        "weights.bin:application/octet-stream"},
       folder_ / "in");
  Oras({"pull", At("models/one:1"), "-o", folder_ / "out"});
  EXPECT_TRUE(ReadText(folder_ / "out/weights.bin") == content);
  EXPECT_THAT(Oras({"repo", "tags", At("models/one")}), HasSubstr("1"));
  EXPECT_THAT(Oras({"repo", "ls", server_.host()}), HasSubstr("models/one"));
  // What refers to it is found by it.
  Oras({"attach", At("models/one:1"), "--artifact-type", "application/vnd.example.note",
        "note.txt:text/plain"},
       folder_ / "in");
  EXPECT_THAT(Oras({"discover", At("models/one:1")}), HasSubstr("application/vnd.example.note"));
  Oras({"cp", "-r", At("models/one:1"), At("models/two:1")});
  EXPECT_THAT(Oras({"discover", At("models/two:1")}), HasSubstr("application/vnd.example.note"));
  Oras({"manifest", "delete", "--force", At("models/one:1")});
  EXPECT_NE(RunProgram("oras", {"pull", At("models/one:1"), "--ca-file", server_.ca(), "--username",
                                "any", "--password", server_.token(), "-o", folder_ / "gone"})
                .exit_code,
            0);
}

TEST_F(ClientsTest, CranePushesCopiesAndPulls) {
  if (const std::string why = Lacking({"crane"}); !why.empty()) GTEST_SKIP() << why;
  const std::string digest =
      WriteImage(folder_, "image", OneFile("hello.txt", "hello from a layer"));
  Crane({"push", folder_ / "image", At("images/one:1")});
  EXPECT_THAT(Crane({"digest", At("images/one:1")}), HasSubstr(digest));
  EXPECT_THAT(Crane({"ls", At("images/one")}), HasSubstr("1"));
  EXPECT_THAT(Crane({"catalog", server_.host()}), HasSubstr("images/one"));
  Crane({"copy", At("images/one:1"), At("images/two:1")});  // mounts what is there
  Crane({"tag", At("images/two:1"), "2"});
  Crane({"pull", "--format", "oci", At("images/two:2"), folder_ / "pulled"});
  EXPECT_TRUE(fs::exists(folder_ / ("pulled/blobs/sha256/" + digest.substr(7))));
  Crane({"export", At("images/two:2"), folder_ / "files.tar"});
  EXPECT_THAT(ReadText(folder_ / "files.tar"), HasSubstr("hello from a layer"));
  Crane({"delete", At("images/one:1")});
  EXPECT_NE(RunProgram("crane", {"digest", At("images/one:1")}, CraneEnvironment()).exit_code, 0);
  EXPECT_THAT(Crane({"digest", At("images/two:1")}), HasSubstr(digest));
}

TEST_F(ClientsTest, SkopeoCopiesBothWays) {
  if (const std::string why = Lacking({"skopeo"}); !why.empty()) GTEST_SKIP() << why;
  const std::string digest = WriteImage(folder_, "image", OneFile("a", Noise(2'000'000, 4)));
  Skopeo(SkopeoCopy(
      "oci:" + (folder_ / "image"), "docker://" + At("images/one:1"),
      {"--preserve-digests", "--dest-oci-accept-uncompressed-layers", "--dest-compress=false"}));
  const json seen =
      json::parse(Skopeo({"inspect", "--cert-dir", CertificateFolder(), "--creds",
                          "any:" + server_.token(), "docker://" + At("images/one:1")}));
  EXPECT_EQ(seen["Digest"], digest);
  Skopeo(SkopeoCopy("docker://" + At("images/one:1"), "docker://" + At("images/two:1")));
  Skopeo(SkopeoCopy("docker://" + At("images/two:1"), "oci:" + (folder_ / "pulled"),
                    {"--preserve-digests", "--dest-oci-accept-uncompressed-layers"}));
  EXPECT_EQ(ReadText(folder_ / ("pulled/blobs/sha256/" + digest.substr(7))),
            ReadText(folder_ / ("image/blobs/sha256/" + digest.substr(7))));
  Skopeo({"delete", "--cert-dir", CertificateFolder(), "--creds", "any:" + server_.token(),
          "docker://" + At("images/one:1")});
  EXPECT_EQ(RunProgram("skopeo", {"inspect", "--cert-dir", CertificateFolder(), "--creds",
                                  "any:" + server_.token(), "docker://" + At("images/one:1")})
                .exit_code,
            1);
}

// A package of ours is an ordinary index to them: copied, it is the same package.
TEST_F(ClientsTest, EachOfThemCopiesAPackageOfOurs) {
  if (const std::string why = Lacking({"oras", "crane", "skopeo"}); !why.empty()) {
    GTEST_SKIP() << why;
  }
  const std::string card = WriteModel(folder_);
  const Ended pushed = server_.Selvedge({"push", "safety/person:1.0", "--card", card, "--pipeline",
                                         folder_ / "pipeline.yaml", "--json"});
  ASSERT_EQ(pushed.exit_code, 0) << pushed.output;
  const std::string digest = json::parse(pushed.output)["digest"];
  Oras({"cp", "-r", At("safety/person:1.0"), At("by/oras:1.0")});
  Crane({"copy", At("safety/person:1.0"), At("by/crane:1.0")});
  Skopeo(SkopeoCopy("docker://" + At("safety/person:1.0"), "docker://" + At("by/skopeo:1.0"),
                    {"--all"}));
  for (const std::string name : {"by/oras", "by/crane", "by/skopeo"}) {
    SCOPED_TRACE(name);
    const std::string out = folder_ / ("out-" + name.substr(3));
    const Ended pulled = server_.Selvedge({"pull", name + ":1.0", "-o", out, "--json"});
    ASSERT_EQ(pulled.exit_code, 0) << pulled.output;
    // Debian's skopeo writes the index anew, without its artifactType; the variants are the same.
    if (name != "by/skopeo") {
      EXPECT_EQ(json::parse(pulled.output)["digest"], digest);
    }
    EXPECT_TRUE(ReadText(out + "/weights/person.onnx") == Noise(100'000, 1));
    EXPECT_TRUE(ReadText(out + "/card.yaml") == ReadText(card));
  }
  const std::string fetched = Oras({"manifest", "fetch", At("safety/person:1.0")});
  const json index = json::parse(fetched.substr(fetched.find('{')));  // after a warning
  EXPECT_EQ(index["artifactType"], "application/vnd.selvedge.package.v1");
  EXPECT_EQ(index["manifests"].size(), 2U);
}

TEST_F(ClientsTest, WithoutTheTokenNobodyWritesOrReads) {
  if (const std::string why = Lacking({"oras", "crane", "skopeo"}); !why.empty()) {
    GTEST_SKIP() << why;
  }
  WriteImage(folder_, "image", OneFile("a", "b"));
  folder_.Write("in/file", "x");
  const std::string from = "oci:" + (folder_ / "image");
  for (const std::string token : {"", "wrong-token-of-some-length"}) {
    SCOPED_TRACE("token: " + token);
    std::vector<std::string> oras = {"push", At("a/oras:1"), "--ca-file", server_.ca(), "file"};
    std::vector<std::string> skopeo = {"--insecure-policy", "copy", "--dest-cert-dir",
                                       CertificateFolder(), from,   "docker://" + At("a/skopeo:1")};
    if (!token.empty()) {
      oras.insert(oras.end(), {"--username", "any", "--password", token});
      skopeo.insert(skopeo.begin() + 2, {"--dest-creds", "any:" + token});
    }
    EXPECT_NE(
        RunProgram("oras", oras, {"DOCKER_CONFIG=" + (folder_ / "none")}, folder_ / "in").exit_code,
        0);
    EXPECT_NE(
        RunProgram("skopeo", skopeo, {"REGISTRY_AUTH_FILE=" + (folder_ / "none.json")}).exit_code,
        0);
    if (!token.empty()) {
      // It only stores it; the registry is asked when it is used.
      (void)RunProgram("crane", {"auth", "login", server_.host(), "-u", "any", "-p", token},
                       CraneEnvironment());
    }
    EXPECT_NE(RunProgram("crane", {"push", folder_ / "image", At("a/crane:1")}, CraneEnvironment())
                  .exit_code,
              0);
    EXPECT_NE(RunProgram("crane", {"catalog", server_.host()}, CraneEnvironment()).exit_code, 0);
  }
  EXPECT_EQ(Crane({"catalog", server_.host()}), "");
  for (const auto& entry : fs::recursive_directory_iterator(server_.data() + "/blobs")) {
    EXPECT_FALSE(entry.is_regular_file()) << entry.path();
  }
}

// With --anonymous-pull anybody reads, and still nobody writes.
TEST(AnonymousTest, ReadsAndDoesNotWrite) {
  if (!FindProgram("crane")) GTEST_SKIP() << "crane is not installed (tools/setup --test)";
  TestFolder folder;
  TestServer server({"--anonymous-pull"});
  const std::string card = WriteModel(folder);
  ASSERT_EQ(server.Selvedge({"push", "a/b:1", "--card", card}).exit_code, 0);
  const std::vector<std::string> nobody = {"SSL_CERT_FILE=" + server.ca(),
                                           "DOCKER_CONFIG=" + (folder / "none")};
  EXPECT_EQ(RunProgram("crane", {"manifest", server.host() + "/a/b:1"}, nobody).exit_code, 0);
  WriteImage(folder, "image", OneFile("a", "b"));
  const Ended pushed =
      RunProgram("crane", {"push", folder / "image", server.host() + "/a/c:1"}, nobody);
  EXPECT_NE(pushed.exit_code, 0);
  EXPECT_THAT(pushed.output, HasSubstr("UNAUTHORIZED"));
}

}  // namespace
}  // namespace selvedge
