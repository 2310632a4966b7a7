#include "trust/certificate.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "base/file.h"

namespace selvedge {
namespace {

constexpr Nanos kNow = 1'700'000'000 * kSecond;

class CertificateTest : public ::testing::Test {
 protected:
  CertificateTest() {
    std::string pattern = ::testing::TempDir() + "certificate_XXXXXX";
    folder_ = mkdtemp(pattern.data());
  }
  ~CertificateTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& content) const {
    const std::string path = folder_ + "/" + name;
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
    return path;
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string Issue(const CertificateOrder& order) {
    Result<std::string> pem =
        IssueCertificate(authority_, *MakeCertificateRequest(key_, "asked-for"), order, clock_);
    EXPECT_TRUE(pem.has_value()) << pem.error().ToString();
    return pem.value_or("");
  }

  FakeClock clock_{0, kNow};
  CertificateAuthority authority_ = *MakeCertificateAuthority("Selvedge fleet", clock_);
  std::string key_ = *MakePrivateKey();
  std::string folder_;
};

// What the `openssl` command says about it: another reader than ours.
std::string Shell(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return "cannot start";
  std::string output;
  for (int c; (c = fgetc(pipe)) != EOF;) output += static_cast<char>(c);
  const int status = pclose(pipe);
  return output + (status == 0 ? "" : "\n(failed)");
}

bool HasOpensslCommand() {
  return std::system("openssl version > /dev/null 2>&1") == 0;
}

TEST_F(CertificateTest, SaysWhatWasOrderedAndNotWhatWasAskedFor) {
  const std::string pem = Issue({.name = "jetson-1",
                                 .client = true,
                                 .server = true,
                                 .dns_names = {"gateway.example.com", "localhost"},
                                 .addresses = {"192.0.2.7", "2001:db8::1"}});
  const Result<CertificateInfo> info = ReadCertificate(pem);
  ASSERT_TRUE(info.has_value()) << info.error().ToString();
  EXPECT_EQ(info->name, "jetson-1");
  EXPECT_EQ(info->issuer, "Selvedge fleet");
  EXPECT_EQ(info->dns_names, (std::vector<std::string>{"gateway.example.com", "localhost"}));
  EXPECT_EQ(info->addresses, (std::vector<std::string>{"192.0.2.7", "2001:db8::1"}));
  EXPECT_EQ(info->not_before, 0);
  EXPECT_EQ(info->not_after, kNow + kCertificateLifetime);
  EXPECT_FALSE(info->authority);
  EXPECT_TRUE(info->client);
  EXPECT_TRUE(info->server);
  EXPECT_EQ(info->serial.size(), 32U);
  EXPECT_EQ(info->key_sha256,
            ReadCertificateRequest(*MakeCertificateRequest(key_, "x"))->key_sha256);
}

TEST_F(CertificateTest, AUseThatWasNotOrderedIsNotAllowed) {
  const Result<CertificateInfo> client = ReadCertificate(Issue({.name = "a"}));
  EXPECT_TRUE(client->client);
  EXPECT_FALSE(client->server);
  const Result<CertificateInfo> server =
      ReadCertificate(Issue({.name = "a", .client = false, .server = true}));
  EXPECT_FALSE(server->client);
  EXPECT_TRUE(server->server);
  const Result<CertificateInfo> authority = ReadCertificate(authority_.certificate_pem);
  EXPECT_TRUE(authority->authority);
}

TEST_F(CertificateTest, SerialNumbersDiffer) {
  std::set<std::string> serials;
  for (int i = 0; i < 50; ++i) serials.insert(ReadCertificate(Issue({.name = "a"}))->serial);
  EXPECT_EQ(serials.size(), 50U);
}

TEST_F(CertificateTest, KeysAndAuthoritiesAreToldApart) {
  const std::string pem = Issue({.name = "a"});
  EXPECT_EQ(CheckKeyFits(pem, key_), OkStatus());
  EXPECT_EQ(CheckKeyFits(pem, *MakePrivateKey()).code(), StatusCode::kFailedPrecondition);
  EXPECT_EQ(CheckIssuedBy(pem, authority_.certificate_pem), OkStatus());
  // Of the same name, which proves nothing.
  const CertificateAuthority other = *MakeCertificateAuthority("Selvedge fleet", clock_);
  EXPECT_EQ(CheckIssuedBy(pem, other.certificate_pem).code(), StatusCode::kPermissionDenied);
}

TEST_F(CertificateTest, AnAlteredRequestIsRefused) {
  const std::string request = *MakeCertificateRequest(key_, "jetson-1");
  EXPECT_EQ(ReadCertificateRequest(request)->name, "jetson-1");
  int refused = 0;
  int altered_texts = 0;
  // Each character of the text in turn; the end of the signature's own padding may say the same.
  for (std::size_t i = request.find('\n') + 1; i < request.rfind("-----END"); ++i) {
    std::string altered = request;
    if (altered[i] == '\n') continue;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    ++altered_texts;
    const Result<CertificateRequestInfo> info = ReadCertificateRequest(altered);
    if (!info) {
      ++refused;
      EXPECT_EQ(info.error().code(), StatusCode::kInvalidArgument);
      EXPECT_FALSE(IssueCertificate(authority_, altered, {.name = "a"}, clock_).has_value());
    }
  }
  // Left-over bits of the last character say nothing.
  EXPECT_GE(refused, altered_texts - 2);
  EXPECT_GT(altered_texts, 200);
}

TEST_F(CertificateTest, BadOrdersAreRefused) {
  const std::string request = *MakeCertificateRequest(key_, "x");
  const std::vector<CertificateOrder> orders = {
      {.name = ""},
      {.name = std::string(65, 'a')},
      {.name = "a\nb"},
      {.name = "a", .client = false, .server = false},
      {.name = "a", .dns_names = {"a,DNS:evil.example.com"}},
      {.name = "a", .dns_names = {""}},
      {.name = "a", .addresses = {"192.0.2.300"}},
      {.name = "a", .addresses = {"1.2.3.4,DNS:evil"}},
      {.name = "a", .dns_names = std::vector<std::string>(65, "a.example.com")},
  };
  for (const CertificateOrder& order : orders) {
    const Result<std::string> pem = IssueCertificate(authority_, request, order, clock_);
    ASSERT_FALSE(pem.has_value());
    EXPECT_EQ(pem.error().code(), StatusCode::kInvalidArgument);
  }
}

TEST_F(CertificateTest, OtherTextIsOneSentence) {
  for (const std::string& text :
       {std::string(), std::string("hello"), key_, std::string(kMaxPemBytes + 1, 'x'),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}) {
    EXPECT_EQ(ReadCertificate(text).error().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(ReadCertificateRequest(text).error().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(MakeCertificateRequest("no key", "a").has_value());
}

TEST_F(CertificateTest, AKeyIsMadeOnceAndForItsOwnerOnly) {
  const mode_t before = ::umask(0);
  const Result<std::string> made = LoadOrMakePrivateKey(Path("key.pem"));
  ::umask(before);
  ASSERT_TRUE(made.has_value()) << made.error().ToString();
  struct stat info = {};
  ASSERT_EQ(::stat(Path("key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(*LoadOrMakePrivateKey(Path("key.pem")), *made);
}

TEST_F(CertificateTest, AKeyThatOthersMayReadOrThatIsNoneIsRefused) {
  ASSERT_TRUE(LoadOrMakePrivateKey(Path("key.pem")).has_value());
  ASSERT_EQ(::chmod(Path("key.pem").c_str(), 0644), 0);
  EXPECT_EQ(LoadOrMakePrivateKey(Path("key.pem")).error().code(), StatusCode::kPermissionDenied);
  ASSERT_TRUE(WriteSecretFile(Path("other.pem"), "no key").ok());
  EXPECT_EQ(LoadOrMakePrivateKey(Path("other.pem")).error().code(), StatusCode::kInvalidArgument);
}

TEST_F(CertificateTest, TheOpensslCommandAgrees) {
  if (!HasOpensslCommand()) GTEST_SKIP() << "the openssl command is not installed";
  const std::string pem = Issue({.name = "gateway-1",
                                 .client = true,
                                 .server = true,
                                 .dns_names = {"gateway.example.com"},
                                 .addresses = {"127.0.0.1"}});
  const std::string ca = Write("ca.pem", authority_.certificate_pem);
  const std::string leaf = Write("leaf.pem", pem);
  EXPECT_NE(Shell("openssl verify -x509_strict -no-CApath -no-CAstore -purpose sslserver "
                  "-verify_hostname gateway.example.com -CAfile " +
                  ca + " " + leaf)
                .find(": OK"),
            std::string::npos);
  EXPECT_NE(Shell("openssl verify -x509_strict -no-CApath -no-CAstore -purpose sslclient "
                  "-verify_ip 127.0.0.1 -CAfile " +
                  ca + " " + leaf)
                .find(": OK"),
            std::string::npos);
  // A device that boots with no clock connects too.
  EXPECT_NE(Shell("openssl verify -attime 5 -no-CApath -no-CAstore -CAfile " + ca + " " + leaf)
                .find(": OK"),
            std::string::npos);
  EXPECT_NE(Shell("openssl verify -no-CApath -no-CAstore -verify_hostname other.example.com "
                  "-CAfile " +
                  ca + " " + leaf)
                .find("(failed)"),
            std::string::npos);
  std::string digest = Shell("openssl x509 -in " + leaf + " -outform DER | sha256sum");
  EXPECT_EQ(digest.substr(0, 64), ReadCertificate(pem)->sha256);
  const std::string request = Write("request.pem", *MakeCertificateRequest(key_, "jetson-1"));
  const std::string read = Shell("openssl req -in " + request + " -noout -verify -subject");
  EXPECT_NE(read.find("verify OK"), std::string::npos) << read;
  EXPECT_NE(read.find("CN = jetson-1"), std::string::npos) << read;
}

TEST_F(CertificateTest, AKeyOfAnotherKindIsRefused) {
  if (!HasOpensslCommand()) GTEST_SKIP() << "the openssl command is not installed";
  for (const std::string algorithm :
       {"RSA -pkeyopt rsa_keygen_bits:2048", "EC -pkeyopt ec_paramgen_curve:P-384"}) {
    Shell("openssl genpkey -algorithm " + algorithm + " -out " + Path("other.key"));
    Shell("openssl req -new -subj /CN=a -key " + Path("other.key") + " -out " + Path("other.csr"));
    const Result<CertificateRequestInfo> info =
        ReadCertificateRequest(*ReadFile(Path("other.csr"), kMaxPemBytes));
    ASSERT_FALSE(info.has_value()) << algorithm;
    EXPECT_NE(info.error().message().find("P-256"), std::string::npos);
    EXPECT_FALSE(
        MakeCertificateRequest(*ReadFile(Path("other.key"), kMaxPemBytes), "a").has_value());
  }
}

}  // namespace
}  // namespace selvedge
