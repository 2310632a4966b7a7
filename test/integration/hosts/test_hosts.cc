#include "test_hosts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "net/http_client.h"

namespace selvedge {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr Nanos kPatience = 120 * kSecond;
constexpr std::size_t kMaxFile = std::size_t{16} << 20;
constexpr const char* kUrl = "http://localhost:8080";
constexpr const char* kPackage = "test/boxes:1";
constexpr const char* kApplication = "watch";

// A model that needs no engine library, and a picture that needs no camera.
constexpr const char* kModel =
    "selvedge-fake-model 1\n"
    "input image uint8 [1,32,32,3]\n"
    "output boxes float32 [1,10,6] rows\n"
    "rows 0 boxes 4 4 16 28 0.9 0\n"
    "repeat\n";
constexpr const char* kCard =
    "name: boxes\n"
    "version: \"1\"\n"
    "task: detection\n"
    "variants: [{name: fp32, path: boxes.fake, precision: fp32}]\n"
    "input: {layout: nhwc, color: rgb, width: 32, height: 32, resize: squash}\n"
    "decoder: {kind: centernet, boxes: boxes, score_threshold: 0.3, nms_iou: 0.5}\n"
    "labels: [person]\n";
constexpr const char* kPipeline =
    "pipeline: boxes\n"
    "source: {uri: \"test://?width=64&height=48&fps=4\"}\n"
    "model: {card: boxes.card.yaml, engine: fake, threads: 1, workers: 1}\n"
    "zones: {all: {points: [[0, 0], [1, 0], [1, 1], [0, 1]]}}\n"
    "rules: [{name: there, kind: dwell, zone: all, longer_than: 500ms, repeat: 500ms}]\n";

std::string FirstLine(const std::string& path) {
  const std::string content = ReadFile(path, kMaxFile).value_or("");
  return content.substr(0, content.find('\n'));
}

std::string Program(const std::string& name) {
  return std::string(SELVEDGE_BINARY_DIR) + "/bin/" + name;
}

// Children of `parent` that are called so.
std::vector<pid_t> ChildrenOf(pid_t parent, const std::string& name) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string stat = ReadFile(entry.path().string() + "/stat", 4096).value_or("");
    const std::size_t end = stat.rfind(')');
    const std::size_t begin = stat.find('(');
    if (begin == std::string::npos || end == std::string::npos) continue;
    int its_parent = 0;
    if (std::sscanf(stat.c_str() + end + 1, " %*c %d", &its_parent) != 1) continue;
    if (its_parent == parent && stat.substr(begin + 1, end - begin - 1) == name) {
      found.push_back(std::stoi(entry.path().filename().string()));
    }
  }
  return found;
}

}  // namespace

bool Await(const std::function<bool()>& holds) {
  const Nanos begin = Clock::System().Monotonic();
  while (!holds()) {
    if (Clock::System().Monotonic() - begin > kPatience) return false;
    std::this_thread::sleep_for(100ms);
  }
  return true;
}

TestHosts::TestHosts() {
  std::string pattern = (std::filesystem::temp_directory_path() / "selvedge-hosts-XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data()) == nullptr ? "" : pattern;
}

TestHosts::~TestHosts() {
  for (Node* node : {&devices_[0], &devices_[1], &gateway_, &cloud_}) {
    if (node->child) node->child->Stop(5 * kSecond);
    node->child.reset();
  }
  network_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Status TestHosts::SetUp() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(cloud_.host, Host::Create("10.77.0.1"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(gateway_.host, Host::Create("10.77.0.2"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(devices_[0].host, Host::Create("10.77.0.3"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(devices_[1].host, Host::Create("10.77.0.4"));
  network_ =
      std::make_unique<Network>(std::vector<Host*>{cloud_.host.get(), gateway_.host.get(),
                                                   devices_[0].host.get(), devices_[1].host.get()},
                                1);
  SetNetwork({}, {});
  return OkStatus();
}

void TestHosts::SetNetwork(const Way& uplink, const Way& site) {
  network_->Set(*cloud_.host, *gateway_.host, uplink);
  for (const Node& device : devices_) network_->Set(*gateway_.host, *device.host, site);
}

void TestHosts::CutSite(bool cut) {
  for (const Node& device : devices_) network_->Cut(*gateway_.host, *device.host, cut);
}

// ---- processes ---------------------------------------------------------------------------------

Status TestHosts::Start(Node* node) {
  ChildOptions child;
  child.program = Program(node->program);
  child.arguments = node->arguments;
  child.environment = node->environment;
  child.output_file = File(node->name + ".log");
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(node->child, node->host->StartChild(child));
  return OkStatus();
}

Status TestHosts::Restart(Node* node) {
  node->child->Signal(SIGKILL);
  node->child->Wait(10 * kSecond);
  return Start(node);
}

Status TestHosts::KillSiteBroker() {
  const std::vector<pid_t> brokers = ChildrenOf(gateway_.child->pid(), "mosquitto");
  if (brokers.size() != 1) return NotFoundError("the gateway has no broker");
  if (kill(brokers.front(), SIGKILL) != 0) return ErrnoError(errno, "the broker was not killed");
  return OkStatus();
}

Status TestHosts::StartCloud() {
  cloud_.name = "cloud";
  cloud_.program = "selvedge-cloud";
  cloud_.arguments = {"--state",
                      File("cloud"),
                      "--http",
                      "localhost:8080",
                      "--https",
                      "10.77.0.1:8443",
                      "--mqtt-port",
                      "8883",
                      "--registry-port",
                      "5443",
                      "--advertise",
                      "10.77.0.1",
                      "--aggregate-window",
                      "5"};
  SELVEDGE_RETURN_IF_ERROR(Start(&cloud_));
  const bool ready = Await([&] {
    token_ = FirstLine(File("cloud/admin.token"));
    return !token_.empty() && Get("/overview").is_object();
  });
  return ready ? OkStatus() : DeadlineExceededError("the control plane is not ready");
}

Status TestHosts::StartAll(std::vector<std::string> environment) {
  SELVEDGE_RETURN_IF_ERROR(StartCloud());
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string token, JoinToken("gateway"));
  gateway_.name = kGatewayName;
  gateway_.program = "selvedge-gateway";
  gateway_.arguments = {"--join",       token,         "--name",
                        kGatewayName,   "--state",     File(gateway_.name),
                        "--listen",     "10.77.0.2",   "--advertise",
                        "10.77.0.2",    "--mqtt-port", "8883",
                        "--https-port", "8443",        "--metrics-port",
                        "9100"};
  SELVEDGE_RETURN_IF_ERROR(Start(&gateway_));
  const auto online = [&](const std::string& name) {
    return Await([&] {
      const json device = Device(name);
      return device.is_object() && device.value("status", "") == "online";
    });
  };
  if (!online(kGatewayName)) return DeadlineExceededError("the gateway is not online");
  for (int i = 0; i < 2; ++i) {
    Node& device = devices_[i];
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string join, JoinToken("device"));
    device.name = kDeviceNames[i];
    device.program = "selvedge-agent";
    device.arguments = {"--join", join, "--name", device.name, "--state", File(device.name)};
    if (i == 1) device.environment = environment;
    SELVEDGE_RETURN_IF_ERROR(Start(&device));
  }
  for (const Node& device : devices_) {
    if (!online(device.name)) return DeadlineExceededError(device.name + " is not online");
  }
  return Push();
}

Status TestHosts::Push() {
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(File("boxes.fake"), kModel));
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(File("boxes.card.yaml"), kCard));
  SELVEDGE_RETURN_IF_ERROR(WriteFileAtomically(File("pipeline.yaml"), kPipeline));
  ChildOptions child;
  child.program = Program("selvedge");
  child.arguments = {
      "push", kPackage, "--card", File("boxes.card.yaml"), "--pipeline", File("pipeline.yaml")};
  child.environment = {"SELVEDGE_STATE=" + folder_};
  child.output_file = File("push.log");
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(ChildProcess push, cloud_.host->StartChild(child));
  return push.Wait(kPatience) == 0 ? OkStatus() : UnavailableError("the package was not pushed");
}

std::string TestHosts::Logs() const {
  std::string text;
  for (const Node* node : {&cloud_, &gateway_, &devices_[0], &devices_[1]}) {
    const std::string log = ReadFile(File(node->name + ".log"), kMaxFile).value_or("");
    text += "---- " + node->name + "\n" +
            log.substr(log.size() - std::min<std::size_t>(log.size(), 4000));
  }
  return text + "---- push\n" + ReadFile(File("push.log"), kMaxFile).value_or("");
}

// ---- the API -----------------------------------------------------------------------------------

Result<json> TestHosts::Call(const std::string& method, const std::string& path,
                             const std::string& body) {
  HttpCall call;
  call.method = method;
  call.url = std::string(kUrl) + "/api/v1" + path;
  call.bearer = token_;
  call.body = body;
  if (!body.empty()) {
    call.headers = {{"Content-Type", body[0] == '{' ? "application/json" : "application/yaml"}};
  }
  std::optional<Result<HttpAnswer>> answer;
  cloud_.host->Do([&] { answer.emplace(HttpClient().CallOk(call)); });
  if (!*answer) return Err((*answer).error());
  return json::parse((*answer)->body, nullptr, false);
}

json TestHosts::Get(const std::string& path) {
  auto answer = Call("GET", path);
  return answer ? *std::move(answer) : json();
}

Result<std::string> TestHosts::JoinToken(const std::string& role) {
  json order = {{"kind", "join"}, {"site", "plant-1"}, {"role", role}};
  if (role == "device") order["via"] = "https://10.77.0.2:8443";
  SELVEDGE_ASSIGN_OR_RETURN(const json answer, Call("POST", "/tokens", order.dump()));
  return answer.value("token", "");
}

Status TestHosts::Apply(int change) {
  const std::string manifest =
      std::string("apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: ") + kApplication +
      "}\nspec:\n  microservices:\n  - name: boxes\n    images: {any: \"pipeline:" + kPackage +
      "\"}\n    config: {change: " + std::to_string(change) + "}\n";
  const auto answer = Call("POST", "/applications", manifest);
  return answer ? OkStatus() : answer.error();
}

Status TestHosts::DeleteApplication() {
  const auto answer = Call("DELETE", std::string("/applications/") + kApplication);
  return answer ? OkStatus() : answer.error();
}

std::vector<json> TestHosts::Events(const std::string& device) {
  std::vector<json> events;
  std::string after = "0";
  while (!after.empty()) {
    const json page = Get("/events?limit=500&device=" + device + "&after=" + after);
    if (!page.is_object()) return events;
    for (const json& event : page.value("items", json::array())) events.push_back(event);
    after = page.value("next", "");
  }
  return events;
}

double TestHosts::WaitingInTheGateway() {
  constexpr std::string_view kName = "\nselvedge_gateway_outbox_waiting ";
  std::string metrics;
  gateway_.host->Do([&] {
    const auto answer = HttpClient().CallOk({.url = "http://localhost:9100/metrics"});
    if (answer) metrics = answer->body;
  });
  const std::size_t found = metrics.find(kName);
  return found == std::string::npos ? -1
                                    : std::strtod(metrics.c_str() + found + kName.size(), nullptr);
}

std::uint64_t TestHosts::Counted(const std::string& device) {
  std::uint64_t events = 0;
  const json page = Get("/aggregates?limit=1000&device=" + device);
  if (!page.is_object()) return 0;
  for (const json& item : page.value("items", json::array())) {
    const json& count = item.at("events");  // a 64-bit number: text in JSON of protobuf
    events +=
        count.is_string() ? std::stoull(count.get<std::string>()) : count.get<std::uint64_t>();
  }
  return events;
}

}  // namespace selvedge
