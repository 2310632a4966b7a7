#include "net/mqtt/mqtt_client.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "net/mqtt/mqtt_client_core.h"
#include "net/mqtt/mqtt_uri.h"

namespace selvedge {
namespace {

Status CheckReadable(const std::string& path, std::string_view what) {
  if (path.empty()) return InvalidArgumentError("no file for " + std::string(what) + " was given");
  if (::access(path.c_str(), R_OK) != 0) {
    return ErrnoError(errno, "cannot read " + std::string(what) + ", " + path);
  }
  return OkStatus();
}

Status CheckOptions(const MqttOptions& options, const std::vector<MqttUri>& uris) {
  if (options.client_id.empty() || options.client_id.size() > 128) {
    return InvalidArgumentError("the id of an MQTT client has 1 to 128 bytes");
  }
  bool tls = false;
  for (const MqttUri& uri : uris) tls = tls || uri.tls;
  if (tls) {
    SELVEDGE_RETURN_IF_ERROR(CheckReadable(options.ca_file, "the CA's certificate"));
    if (!options.certificate_file.empty()) {
      SELVEDGE_RETURN_IF_ERROR(CheckReadable(options.certificate_file, "the certificate"));
      SELVEDGE_RETURN_IF_ERROR(CheckReadable(options.key_file, "the private key"));
    }
  }
  if (!options.proxy.empty() && !options.proxy.starts_with("http://")) {
    return InvalidArgumentError("a proxy for MQTT is of the form http://HOST:PORT");
  }
  if (options.will && (options.will->topic.empty() || options.will->payload.size() > 65'535)) {
    return InvalidArgumentError("a Will has a topic and at most 65535 bytes");
  }
  return OkStatus();
}

}  // namespace

Result<std::unique_ptr<MqttClient>> MqttClient::Start(MqttOptions options,
                                                      MqttCallbacks callbacks) {
  std::vector<MqttUri> uris;
  for (const std::string& text : options.uris) {
    SELVEDGE_ASSIGN_OR_RETURN(MqttUri uri, ParseMqttUri(text));
    uris.push_back(std::move(uri));
  }
  if (uris.empty()) return Err(InvalidArgumentError("no address of a broker was given"));
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckOptions(options, uris));
  auto core =
      std::make_unique<MqttClientCore>(std::move(options), std::move(uris), std::move(callbacks));
  core->Start();
  return std::unique_ptr<MqttClient>(new MqttClient(std::move(core)));
}

MqttClient::MqttClient(std::unique_ptr<MqttClientCore> core) : core_(std::move(core)) {}
MqttClient::~MqttClient() = default;

Status MqttClient::Publish(std::string topic, std::string payload, int qos, bool retain) {
  return core_->Publish(std::move(topic), std::move(payload), qos, retain);
}
Status MqttClient::Subscribe(std::string filter, int qos) {
  return core_->Subscribe(std::move(filter), qos);
}
void MqttClient::Unsubscribe(const std::string& filter) {
  core_->Unsubscribe(filter);
}
bool MqttClient::connected() const {
  return core_->connected();
}
std::size_t MqttClient::queued_messages() const {
  return core_->queued_messages();
}
MqttTraffic MqttClient::traffic() const {
  return core_->traffic();
}
void MqttClient::RetryNow() {
  core_->RetryNow();
}
void MqttClient::Stop(StopMode mode) {
  core_->Stop(mode);
}

}  // namespace selvedge
