// Large and slow transfers, TLS and WebSockets of an HttpServer, with clients that others wrote.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <string>

#include "net/http_client.h"
#include "net/http_server.h"
#include "net/http_test_client.h"
#include "net/test_certificates.h"
#include "process.h"

namespace selvedge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr std::uint64_t kLarge = 300 * kMiB;
// What a transfer may cost this process, whatever its size: buffers of the kernel are not counted,
// buffers of TLS, of the server and of the allocator are.
constexpr long kMaxGrowthKib = 8 * 1024;

// The highest resident size since BeginPeak, in KiB.
void BeginPeak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}
long PeakKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  }
  return 0;
}

class FileSink : public HttpBodySink {
 public:
  explicit FileSink(const std::string& path)
      : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {}
  ~FileSink() override { close(fd_); }
  Status Write(std::string_view bytes) override {
    return write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size())
               ? OkStatus()
               : ErrnoError(errno, "write");
  }
  void Finish(const Status& status, HttpReply reply) override {
    HttpResponse response;
    response.status = status.ok() ? 201 : 500;
    reply(response);
  }
  void Abort() override {}

 private:
  const int fd_;
};

class TransferTest : public ::testing::Test {
 protected:
  TransferTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("selvedge-transfer-" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~TransferTest() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }
  void SetUp() override {
    if (!HasProgram("curl")) GTEST_SKIP() << "curl is not installed";
  }
  void Serve(HttpServerOptions options = {}) {
    options.port = 0;
    options.worker_threads = 1;
    server_ = std::make_unique<HttpServer>(std::move(options));
    server_->Handle("GET", "/hello", [](const HttpRequest&) {
      HttpResponse response;
      response.body = "hello";
      return response;
    });
    server_->HandleUpload("PUT", "/up/", [this](const HttpRequest& request) -> HttpUpload {
      if (request.path == "/up/refused") return HttpJsonError(UnauthenticatedError("who are you?"));
      return std::make_unique<FileSink>(Path(request.path.substr(4)));
    });
    server_->HandlePrefix("GET", "/file/", [this](const HttpRequest& request, HttpReply reply) {
      const auto file = HttpFile::Open(Path(request.path.substr(6)));
      reply(file ? AnswerWithFile(request, *file, "application/octet-stream", "\"1\"")
                 : HttpJsonError(file.error()));
    });
    const Status status = server_->Start();
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  std::string Path(const std::string& name) const { return (folder_ / name).string(); }
  // Sparse: no time is lost making it. The beginning and the end can be told from the rest.
  void MakeLarge(const std::string& name) {
    std::ofstream file(Path(name), std::ios::binary);
    file << "begin";
    file.seekp(static_cast<std::streamoff>(kLarge - 3));
    file << "end";
  }
  void ServeTls(HttpTls::Client client = HttpTls::Client::kNone) {
    const auto pair = ca_.Issue({.cn = "server"});
    HttpServerOptions options;
    options.tls.emplace(pair.certificate_file, pair.key_file);
    options.tls->client = client;
    options.tls->client_ca_file = ca_.ca_file();
    Serve(std::move(options));
  }
  std::string Url(const std::string& path) const {
    return server_->url().substr(0, server_->url().size() - 1) + path;
  }
  ProcessResult Curl(const std::string& arguments) {
    return RunShell("curl --silent --show-error --max-time 250 --cacert " + ca_.ca_file() + " " +
                    arguments + " 2>&1");
  }
  ProcessResult Same(const std::string& one, const std::string& other) {
    return RunShell("cmp " + Path(one) + " " + Path(other) + " 2>&1");
  }
  // The large file up and down again by curl.
  void RoundTrip(const std::string& upload_arguments) {
    MakeLarge("source");
    EXPECT_EQ(Curl(Url("/hello")).output, "hello");
    BeginPeak();
    const long before = PeakKib();
    EXPECT_EQ(Curl(upload_arguments + " --write-out '%{http_code}' " + Url("/up/copy")).output,
              "201");
    EXPECT_EQ(Same("source", "copy").exit_code, 0);
    EXPECT_LT(PeakKib() - before, kMaxGrowthKib) << "upload";
    EXPECT_EQ(Curl("--fail --output " + Path("back") + " " + Url("/file/copy")).exit_code, 0);
    EXPECT_EQ(Same("source", "back").exit_code, 0);
    EXPECT_LT(PeakKib() - before, kMaxGrowthKib) << "upload and download";
    std::printf("peak memory grew by %ld KiB\n", PeakKib() - before);
    RecordProperty("peak_growth_kib", static_cast<int>(PeakKib() - before));
  }

  const std::filesystem::path folder_;
  TestCa ca_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(TransferTest, ThreeHundredMegabytesUpAndDownInBoundedMemory) {
  Serve();
  RoundTrip("--upload-file " + Path("source"));
}

TEST_F(TransferTest, ChunkedThreeHundredMegabytesToo) {
  Serve();
  RoundTrip("--request PUT --header 'Transfer-Encoding: chunked' --upload-file " + Path("source"));
}

TEST_F(TransferTest, OverTlsToo) {
  ServeTls();
  RoundTrip("--upload-file " + Path("source"));
}

TEST_F(TransferTest, OurClientMovesThemInBoundedMemoryToo) {
  ServeTls();
  MakeLarge("source");
  HttpClient client({.tls = {.ca_file = ca_.ca_file()}});
  HttpCall warm_up;
  warm_up.url = Url("/hello");
  ASSERT_TRUE(client.CallOk(warm_up).has_value());
  BeginPeak();
  const long before = PeakKib();
  HttpCall up;
  up.method = "PUT";
  up.url = Url("/up/copy");
  up.upload_fd = open(Path("source").c_str(), O_RDONLY | O_CLOEXEC);
  up.upload_length = kLarge;
  const auto sent = client.CallOk(up);
  ASSERT_TRUE(sent.has_value()) << sent.error().ToString();
  close(up.upload_fd);
  HttpCall down;
  down.url = Url("/file/copy");
  down.output_fd = open(Path("back").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto received = client.CallOk(down);
  ASSERT_TRUE(received.has_value()) << received.error().ToString();
  close(down.output_fd);
  EXPECT_EQ(received->output, kLarge);
  EXPECT_EQ(Same("source", "back").exit_code, 0);
  EXPECT_LT(PeakKib() - before, kMaxGrowthKib);
}

TEST_F(TransferTest, CurlResumesWhatWasCutOff) {
  Serve();
  MakeLarge("source");
  EXPECT_EQ(RunShell("head -c 100000000 " + Path("source") + " > " + Path("back")).exit_code, 0);
  const ProcessResult rest =
      Curl("--fail --continue-at - --output " + Path("back") +
           " --write-out '%{http_code} %{size_download}' " + Url("/file/source"));
  EXPECT_EQ(rest.output, "206 " + std::to_string(kLarge - 100'000'000));
  EXPECT_EQ(Same("source", "back").exit_code, 0);
  EXPECT_EQ(Curl("--range 0-4 " + Url("/file/source")).output, "begin");
  EXPECT_EQ(Curl("--range -3 " + Url("/file/source")).output, "end");
}

TEST_F(TransferTest, ARefusedUploadIsNotSentAndTheReasonArrives) {
  Serve();
  MakeLarge("source");
  const ProcessResult refused =
      Curl("--upload-file " + Path("source") + " --write-out ' %{http_code} %{size_upload}' " +
           Url("/up/refused"));
  EXPECT_THAT(refused.output, HasSubstr("who are you?"));
  EXPECT_THAT(refused.output, HasSubstr(" 401 0"));
}

TEST_F(TransferTest, SlowClientsInBothDirectionsStallNobody) {
  Serve();
  MakeLarge("source");
  // Both would take hours; one worker serves all.
  std::atomic<bool> ended{false};
  const std::future<void> slow_up = std::async(std::launch::async, [&] {
    Curl("--limit-rate 20k --upload-file " + Path("source") + " " + Url("/up/slow"));
    ended = true;
  });
  const std::future<void> slow_down = std::async(std::launch::async, [&] {
    Curl("--limit-rate 20k --output /dev/null " + Url("/file/source"));
    ended = true;
  });
  ASSERT_TRUE(slow_up.valid() && slow_down.valid());
  while (server_->connections() < 2 && !ended) std::this_thread::yield();
  for (int i = 0; i < 200; ++i) {
    TestClient client(server_->port());
    client.Get("/hello");
    ASSERT_THAT(client.ReadResponse(), HasSubstr("hello"));
    client.Get("/file/source", "Range: bytes=0-4\r\n");
    ASSERT_THAT(client.ReadResponse(), HasSubstr("begin"));
  }
  EXPECT_FALSE(ended) << "the slow ones were not slow enough to prove anything";
  server_->Stop();  // ends them
}

TEST_F(TransferTest, ADeadUploadLeavesNothingOpen) {
  Serve();
  MakeLarge("source");
  for (int i = 0; i < 5; ++i) {
    Curl("--max-time 0.3 --limit-rate 20k --upload-file " + Path("source") + " " + Url("/up/dead"));
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (server_->connections() > 0 && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(server_->connections(), 0);
}

class TlsClientsTest : public TransferTest {
 protected:
  // One GET by openssl s_client.
  ProcessResult Openssl(const std::string& arguments) {
    return RunShell(
        "printf 'GET /hello HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' | "
        "timeout 20 openssl s_client -quiet -verify_return_error -CAfile " +
        ca_.ca_file() + " -connect localhost:" + std::to_string(server_->port()) + " " + arguments +
        " 2>&1");
  }
  void SetUp() override {
    TransferTest::SetUp();
    if (!HasProgram("openssl")) GTEST_SKIP() << "openssl is not installed";
  }
};

TEST_F(TlsClientsTest, SpeakTls12AndNewerOnly) {
  ServeTls();
  EXPECT_THAT(Openssl("-tls1_3 -ign_eof").output, HasSubstr("hello"));
  EXPECT_THAT(Openssl("-tls1_2 -ign_eof").output, HasSubstr("hello"));
  // SECLEVEL=0, or the client itself would refuse to try.
  EXPECT_THAT(Openssl("-tls1_1 -cipher ALL:@SECLEVEL=0 -ign_eof").output, Not(HasSubstr("hello")));
  EXPECT_THAT(Curl("--tls-max 1.2 " + Url("/hello")).output, HasSubstr("hello"));
}

TEST_F(TlsClientsTest, NeedACertificateOfThisFleet) {
  ServeTls(HttpTls::Client::kRequired);
  TestCa another("another fleet");
  const auto with = [&](const TestCa::Pair& pair) {
    return Openssl("-ign_eof -cert " + pair.certificate_file + " -key " + pair.key_file).output;
  };
  EXPECT_THAT(with(ca_.Issue({.cn = "jetson-1"})), HasSubstr("hello"));
  EXPECT_THAT(with(another.Issue({.cn = "jetson-1"})), HasSubstr("alert unknown ca"));
  EXPECT_THAT(with(ca_.Issue({.cn = "old", .begins_in_s = -9, .ends_in_s = -5})),
              HasSubstr("alert certificate expired"));
  EXPECT_THAT(Openssl("-ign_eof").output, HasSubstr("alert certificate required"));
  // The server says whose certificates it wants, for clients that have several.
  const ProcessResult wanted =
      RunShell("timeout 20 openssl s_client -connect localhost:" + std::to_string(server_->port()) +
               " </dev/null 2>&1");
  EXPECT_THAT(wanted.output, HasSubstr("CN = test fleet"));
}

TEST_F(TlsClientsTest, AHundredHalfHandshakesLockOutNobodyForLong) {
  HttpServerOptions options;
  const auto pair = ca_.Issue({.cn = "server"});
  options.tls.emplace(pair.certificate_file, pair.key_file);
  options.header_timeout = std::chrono::milliseconds(300);
  Serve(std::move(options));
  std::vector<TestClient> silent;
  for (int i = 0; i < 100; ++i) {
    silent.emplace_back(server_->port());
    silent.back().Send("\x16\x03\x01");
  }
  EXPECT_EQ(Curl("--retry 20 --retry-all-errors --retry-delay 1 --fail " + Url("/hello")).exit_code,
            0);
}

class BrowserWebSocketTest : public TransferTest {
 protected:
  void SetUp() override {
    if (!HasProgram("chromium")) GTEST_SKIP() << "chromium is not installed";
  }
};

TEST_F(BrowserWebSocketTest, ARealBrowserTalksWithItsTokenInTheSubprotocol) {
  HttpServerOptions options;
  options.port = 0;
  server_ = std::make_unique<HttpServer>(options);
  server_->Handle("GET", "/", [](const HttpRequest&) {
    HttpResponse response;
    response.content_type = "text/html";
    response.body =
        "<p id=said></p><script>"
        "const ws = new WebSocket(`ws://${location.host}/ws`, ['selvedge.v1', 'bearer.abc']);"
        "ws.onopen = () => ws.send('from the page, ' + ws.protocol);"
        "ws.onmessage = (m) => { said.textContent = m.data; ws.close(4000, 'done'); };"
        "ws.onclose = (e) => { document.title = 'closed ' + e.code; };"
        "</script>";
    return response;
  });
  std::shared_ptr<WebSocket> socket;
  server_->HandleWebSocket("/ws", [&socket](const HttpRequest& request) -> HttpWebSocket {
    const auto offered = WebSocketProtocols(request.Header("Sec-WebSocket-Protocol"));
    if (offered.size() != 2 || offered[1] != "bearer.abc") {
      return HttpJsonError(UnauthenticatedError("no token"));
    }
    WebSocketAccepted accepted;
    accepted.subprotocol = offered[0];
    accepted.on_open = [&socket](std::shared_ptr<WebSocket> opened) { socket = std::move(opened); };
    accepted.on_message = [&socket](std::string_view text) {
      socket->Send("heard: " + std::string(text));
    };
    return accepted;
  });
  ASSERT_TRUE(server_->Start().ok());
  ProcessResult page;
  for (const int millis : {3'000, 8'000, 25'000}) {
    page = RunShell("timeout 60 chromium --headless --no-sandbox --disable-gpu --user-data-dir=" +
                    Path("profile") + " --virtual-time-budget=" + std::to_string(millis) +
                    " --dump-dom " + server_->url() + " 2>/dev/null");
    if (page.output.find("closed 4000") != std::string::npos) break;
  }
  EXPECT_THAT(page.output, HasSubstr("heard: from the page, selvedge.v1"));
  EXPECT_THAT(page.output, HasSubstr("closed 4000"));
  server_->Stop();
}

}  // namespace
}  // namespace selvedge
