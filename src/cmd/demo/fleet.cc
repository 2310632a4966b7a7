#include "cmd/demo/fleet.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <ranges>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "cmd/cli/context.h"

namespace selvedge::demo {
namespace {

using nlohmann::json;

constexpr Nanos kPatience = 60 * kSecond;
constexpr auto kPollInterval = std::chrono::milliseconds(50);
constexpr std::size_t kMaxSmallFile = 64 * 1024;

// A port of 127.0.0.1 that nobody has at this moment.
Result<int> FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  const bool found = descriptor >= 0 && bind(descriptor, any, size) == 0 &&
                     getsockname(descriptor, any, &size) == 0;
  const int error = errno;
  if (descriptor >= 0) close(descriptor);
  if (!found) return Err(ErrnoError(error, "no free port on 127.0.0.1"));
  return static_cast<int>(ntohs(address.sin_port));
}

std::string FirstLine(const std::string& path) {
  const std::string content = ReadFile(path, kMaxSmallFile).value_or("");
  return content.substr(0, content.find('\n'));
}

}  // namespace

Fleet::Fleet(FleetOptions options) : options_(std::move(options)) {}

Fleet::~Fleet() {
  Stop();
}

Status Fleet::Launch(const std::string& name, const std::string& executable,
                     std::vector<std::string> arguments) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string folder, ExecutableFolder());
  ChildOptions child;
  child.program = folder + "/" + executable;
  child.arguments = std::move(arguments);
  child.environment = {"SELVEDGE_STATE=" + options_.state};
  child.output_file = Folder(name + ".log");
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(ChildProcess process, ChildProcess::Start(child));
  children_.emplace_back(name, std::move(process));
  return OkStatus();
}

std::string Fleet::LastWords(const std::string& name) const {
  const std::string log = ReadFile(Folder(name + ".log"), 16 * 1024 * 1024).value_or("");
  const std::size_t end = log.find_last_not_of('\n');
  if (end == std::string::npos) return "it said nothing";
  const std::size_t begin = log.rfind('\n', end);
  return "its last words in " + Folder(name + ".log") + ": " +
         log.substr(begin == std::string::npos ? 0 : begin + 1,
                    end - (begin == std::string::npos ? 0 : begin));
}

std::optional<std::string> Fleet::Casualty() {
  for (auto& [name, child] : children_) {
    if (const std::optional<int> code = child.Wait(0)) {
      return name + " ended with " + std::to_string(*code) + "; " + LastWords(name);
    }
  }
  return std::nullopt;
}

template <typename Ready>
Status Fleet::Await(const std::string& name, Ready ready) {
  const Nanos begin = Clock::System().Monotonic();
  while (!ready()) {
    if (const std::optional<std::string> casualty = Casualty()) {
      return UnavailableError(*casualty);
    }
    if (Clock::System().Monotonic() - begin > kPatience) {
      return DeadlineExceededError(name + " was not ready within a minute; " + LastWords(name));
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  return OkStatus();
}

Result<json> Fleet::Call(HttpCall call) {
  call.url = url_ + "/api/v1" + call.url;
  call.bearer = token_;
  SELVEDGE_ASSIGN_OR_RETURN(const HttpAnswer answer, client_.CallOk(call));
  if (answer.body.empty()) return json::object();
  json parsed = json::parse(answer.body, nullptr, false);
  if (parsed.is_discarded()) {
    return Err(DataLossError("the control plane's answer to " + call.url + " is no JSON"));
  }
  return parsed;
}

Result<json> Fleet::Get(const std::string& path) {
  HttpCall call;
  call.url = path;
  return Call(std::move(call));
}

Status Fleet::StartCloud() {
  SELVEDGE_RETURN_IF_ERROR(
      Launch("cloud", "selvedge-cloud",
             {"--state", Folder("cloud"), "--http", options_.http, "--https", "127.0.0.1:0",
              "--mqtt-port", "0", "--registry-port", "0", "--advertise", "127.0.0.1"}));
  const std::string folder = Folder("cloud") + "/";
  return Await("the control plane", [&] {
    url_ = FirstLine(folder + std::string(cli::kApiUrlFile));
    token_ = FirstLine(folder + std::string(cli::kAdminTokenFile));
    if (url_.empty() || token_.empty()) return false;
    HttpCall call;
    call.url = url_ + "/readyz";
    return client_.CallOk(call).has_value();
  });
}

Result<std::string> Fleet::JoinToken(const std::string& role) {
  HttpCall call;
  call.method = "POST";
  call.url = "/tokens";
  call.headers = {{"Content-Type", "application/json"}};
  call.body = json{{"kind", "join"}, {"site", options_.site}, {"role", role}}.dump();
  SELVEDGE_ASSIGN_OR_RETURN(const json answer, Call(std::move(call)));
  return answer.value("token", "");
}

// In a file that only its owner reads, for a process that joins: everybody sees command lines.
Result<std::string> Fleet::JoinTokenFile(const std::string& name, const std::string& role) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::string token, JoinToken(role));
  const std::string path = Folder(name + ".join");
  SELVEDGE_RETURN_ERR_IF_ERROR(WriteSecretFile(path, token));
  return "@" + path;
}

Status Fleet::StartGateway() {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(broker_port_, FreePort());
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(metrics_port_, FreePort());
  const std::string name = options_.site + "-gateway";
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string token, JoinTokenFile(name, "gateway"));
  SELVEDGE_RETURN_IF_ERROR(
      Launch(name, "selvedge-gateway",
             {"--join", token, "--name", name, "--state", Folder(name), "--listen", "127.0.0.1",
              "--advertise", "127.0.0.1", "--mqtt-port", std::to_string(broker_port_),
              "--https-port", "0", "--metrics-port", std::to_string(metrics_port_)}));
  return Await("the gateway", [&] {
    const auto device = Get("/devices/" + name);
    return device && device->value("status", "") == "online";
  });
}

Status Fleet::LaunchDevice(const DeviceSpec& device) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string token, JoinTokenFile(device.name, "device"));
  std::vector<std::string> arguments = {"--join",    token,     "--name",
                                        device.name, "--state", Folder(device.name)};
  if (!options_.source.empty()) {
    arguments.insert(arguments.end(), {"--camera", "yard=" + options_.source});
  }
  for (const std::string& label : device.labels) {
    arguments.insert(arguments.end(), {"--label", label});
  }
  if (device.relayed) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(relays_[device.name], Relay::Start(broker_port_));
    arguments.insert(
        arguments.end(),
        {"--broker", "mqtts://127.0.0.1:" + std::to_string(relays_[device.name]->port())});
  }
  return Launch(device.name, "selvedge-agent", std::move(arguments));
}

Status Fleet::StartDevice(const DeviceSpec& device) {
  SELVEDGE_RETURN_IF_ERROR(LaunchDevice(device));
  return Await(device.name, [&] {
    const auto answer = Get("/devices/" + device.name);
    return answer && answer->value("status", "") == "online";
  });
}

Status Fleet::AwaitOnline(int devices) {
  return Await("the fleet", [&] {
    const auto answer = Get("/overview");
    return answer && answer->value("devices", json::object()).value("online", 0) >= devices;
  });
}

Status Fleet::Push(const std::string& reference, const std::string& card,
                   const std::string& pipeline) {
  const std::string name = "push";
  SELVEDGE_RETURN_IF_ERROR(
      Launch(name, "selvedge", {"push", reference, "--card", card, "--pipeline", pipeline}));
  ChildProcess push = std::move(children_.back().second);
  children_.pop_back();
  const std::optional<int> code = push.Wait(kPatience);
  if (code == 0) return OkStatus();
  return UnavailableError("the package could not be pushed; " + LastWords(name));
}

Result<json> Fleet::Apply(const std::string& yaml) {
  HttpCall call;
  call.method = "POST";
  call.url = "/applications";
  call.headers = {{"Content-Type", "application/yaml"}};
  call.body = yaml;
  return Call(std::move(call));
}

pid_t Fleet::PidOf(const std::string& name) const {
  for (const auto& [other, child] : children_) {
    if (other == name) return child.pid();
  }
  return -1;
}

Status Fleet::Delete(const std::string& application) {
  HttpCall call;
  call.method = "DELETE";
  call.url = "/applications/" + application;
  SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const json answer, Call(std::move(call)));
  return OkStatus();
}

Status Fleet::CutLink(const std::string& device) {
  const auto found = relays_.find(device);
  if (found == relays_.end()) return NotFoundError("no link to cut: " + device);
  found->second->Cut();
  return OkStatus();
}

Status Fleet::RestoreLink(const std::string& device) {
  const auto found = relays_.find(device);
  if (found == relays_.end()) return NotFoundError("no link to restore: " + device);
  found->second->Restore();
  return OkStatus();
}

std::string Fleet::GatewayMetrics() {
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(metrics_port_) + "/metrics";
  const auto answer = client_.CallOk(call);
  return answer ? answer->body : "";
}

void Fleet::Stop() {
  for (auto& [name, child] : children_ | std::views::reverse) child.Signal(SIGTERM);
  while (!children_.empty()) {
    children_.back().second.Stop(10 * kSecond);
    children_.pop_back();
  }
  relays_.clear();
}

}  // namespace selvedge::demo
