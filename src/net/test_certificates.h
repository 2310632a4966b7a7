#pragma once

// A certificate authority for tests: makes P-256 keys and certificates in memory and writes them
// into a temporary folder of its own. Test code only; ends the process where OpenSSL fails.

#include <filesystem>
#include <string>

namespace selvedge {

class TestCa {
 public:
  explicit TestCa(const std::string& name = "test fleet");
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;

  struct Pair {
    std::string certificate_file;
    std::string key_file;
    std::string fingerprint;  // SHA-256 of the DER form, in hexadecimal digits
  };
  struct Wish {
    std::string cn;
    // As in a subjectAltName: "DNS:localhost,IP:127.0.0.1"; empty: none.
    std::string names = "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1";
    long begins_in_s = -3600;
    long ends_in_s = 3600;
  };
  Pair Issue(const Wish& wish);

  std::string ca_file() const { return (folder_ / "ca.pem").string(); }
  std::string ca_pem() const;
  const std::filesystem::path& folder() const { return folder_; }

 private:
  struct Keys;
  std::filesystem::path folder_;
  Keys* keys_;
  int issued_ = 0;
};

}  // namespace selvedge
