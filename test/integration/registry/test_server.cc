#include "test_server.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <thread>

#include "net/free_port.h"
#include "net/http_client.h"

namespace selvedge {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

constexpr Nanos kPatience = 120 * kSecond;

constexpr const char* kCard = R"(name: person
version: 1.0.0
task: detection
license: MIT
accuracy_metric: ap50
variants:
  - {name: fp32, path: weights/person.onnx, precision: fp32, accuracy: 0.5}
  - {name: int8, path: person-int8.onnx, precision: int8, accuracy: 0.49}
input: {layout: nhwc, width: 300, height: 300}
decoder: {kind: centernet, boxes: out}
labels: labels.txt
)";

}  // namespace

TestFolder::TestFolder() {
  std::string pattern = (fs::temp_directory_path() / "selvedge-registry-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
}

TestFolder::~TestFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TestFolder::Write(const std::string& name, const std::string& content) const {
  const std::string path = path_ + "/" + name;
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  return path;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

bool Await(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + 30s;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

std::optional<std::string> FindProgram(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  std::string rest = ::getenv("PATH") == nullptr ? "" : ::getenv("PATH");
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string path = rest.substr(0, end) + "/" + program;
    if (::access(path.c_str(), X_OK) == 0) return path;
    rest.erase(0, end + 1);
  }
  return std::nullopt;
}

Ended RunProgram(const std::string& program, const std::vector<std::string>& arguments,
                 const std::vector<std::string>& environment, const std::string& folder) {
  const TestFolder scratch;
  Ended ended;
  const auto path = FindProgram(program);
  auto child = ChildProcess::Start({.program = path.value_or(program),
                                    .arguments = arguments,
                                    .environment = environment,
                                    .folder = folder,
                                    .output_file = scratch / "output"});
  if (!child) {
    ended.output = child.error().ToString();
    return ended;
  }
  ended.exit_code = child->Wait(kPatience).value_or(-1);
  ended.output = ReadText(scratch / "output");
  return ended;
}

TestServer::TestServer(std::vector<std::string> arguments, std::string data)
    : certificate_(ca_.Issue({.cn = "registry"})),
      arguments_(std::move(arguments)),
      data_(data.empty() ? folder_ / "store" : std::move(data)),
      token_("a-token-of-sixteen-or-more") {
  folder_.Write("token", token_ + "\n");
  const auto port = FindFreePort("127.0.0.1");
  EXPECT_TRUE(port.has_value());
  port_ = port.value_or(0);
  Start();
}

TestServer::~TestServer() {
  if (child_) child_->Stop(5 * kSecond);
  if (testing::Test::HasFailure()) {
    std::fprintf(stderr, "---- the registry said\n%s\n", log().c_str());
  }
}

std::string TestServer::log() const {
  return ReadText(folder_ / "log");
}

void TestServer::Start() {
  ChildOptions options{.program = SELVEDGE_REGISTRY_SERVER, .output_file = folder_ / "log"};
  options.arguments = {"--listen",
                       host(),
                       "--data",
                       data_,
                       "--tls-certificate",
                       certificate_.certificate_file,
                       "--tls-key",
                       certificate_.key_file,
                       "--token-file",
                       token_file()};
  options.arguments.insert(options.arguments.end(), arguments_.begin(), arguments_.end());
  auto child = ChildProcess::Start(options);
  ASSERT_TRUE(child.has_value()) << child.error().ToString();
  child_.emplace(*std::move(child));
  HttpClientOptions trusting;
  trusting.tls.ca_file = ca();
  HttpClient client(trusting);
  HttpCall healthy;
  healthy.url = url() + "/healthz";
  ASSERT_TRUE(Await([&] {
    const auto answer = client.Call(healthy);
    return answer && answer->status == 200;
  })) << log();
}

void TestServer::Kill() {
  child_->Signal(SIGKILL);
  child_->Wait(10 * kSecond);
}

int TestServer::Stop() {
  return child_->Stop(10 * kSecond);
}

std::vector<std::string> TestServer::SelvedgeEnvironment() const {
  return {"SELVEDGE_REGISTRY=" + url(), "SELVEDGE_TOKEN=" + token_, "SELVEDGE_CA=" + ca(),
          "SELVEDGE_STATE=" + (folder_ / "state")};
}

Ended TestServer::Selvedge(std::vector<std::string> arguments) const {
  return RunProgram(SELVEDGE, arguments, SelvedgeEnvironment());
}

std::string WriteModel(const TestFolder& folder, std::size_t bytes) {
  folder.Write("model/weights/person.onnx", Noise(bytes, 1));
  folder.Write("model/person-int8.onnx", Noise(bytes / 4, 2));
  folder.Write("model/labels.txt", "person\n");
  folder.Write("model/LICENSE", "do as you like\n");
  folder.Write("pipeline.yaml", "model: {card: model/person.card.yaml}\n");
  return folder.Write("model/person.card.yaml", kCard);
}

}  // namespace selvedge
