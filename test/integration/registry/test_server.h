#pragma once

// The real selvedge-registry as a process with TLS, and programs that talk to it. For tests.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/child_process.h"
#include "net/test_certificates.h"

namespace selvedge {

// A folder of one test's own.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // Writes a file, with its folders; returns its path.
  std::string Write(const std::string& name, const std::string& content) const;

 private:
  std::string path_;
};

std::string ReadText(const std::string& path);
// Bytes without any order, the same for the same seed.
std::string Noise(std::size_t size, unsigned seed);
// Until it holds, at most half a minute.
bool Await(const std::function<bool()>& holds);

struct Ended {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

// `program` is looked for in PATH where it has no slash.
std::optional<std::string> FindProgram(const std::string& program);
Ended RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment = {}, const std::string& folder = {});

class TestServer {
 public:
  // `data`: the store's folder; empty: one of its own.
  explicit TestServer(std::vector<std::string> arguments = {}, std::string data = {});
  ~TestServer();

  void Start();  // again, on the same port with the same store
  void Kill();   // SIGKILL
  int Stop();    // SIGTERM; its exit code

  std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string url() const { return "https://" + host(); }
  std::string token() const { return token_; }
  std::string ca() const { return ca_.ca_file(); }
  TestCa& authority() { return ca_; }
  std::string token_file() const { return folder_ / "token"; }
  std::string data() const { return data_; }
  std::string log() const;

  // selvedge VERB ..., with this registry and its token.
  Ended Selvedge(std::vector<std::string> arguments) const;
  std::vector<std::string> SelvedgeEnvironment() const;

 private:
  TestFolder folder_;
  TestCa ca_;
  TestCa::Pair certificate_;
  std::vector<std::string> arguments_;
  std::string data_;
  std::string token_;
  int port_ = 0;
  std::optional<ChildProcess> child_;
};

// A model with two variants, its card, labels and pipeline: what `selvedge push --card` takes.
// Returns the card's path.
std::string WriteModel(const TestFolder& folder, std::size_t bytes = 100'000);

}  // namespace selvedge
