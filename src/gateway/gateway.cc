#include "gateway/gateway.h"

#include <utility>

#include "gateway/gateway_core.h"

namespace selvedge {

Result<std::unique_ptr<Gateway>> Gateway::Start(GatewayOptions options, MetricsRegistry* registry,
                                                const Clock& clock) {
  auto core = std::make_unique<GatewayCore>(std::move(options), registry, clock);
  SELVEDGE_RETURN_ERR_IF_ERROR(core->Start());
  return std::unique_ptr<Gateway>(new Gateway(std::move(core)));
}

Gateway::Gateway(std::unique_ptr<GatewayCore> core) : core_(std::move(core)) {}
Gateway::~Gateway() = default;

std::vector<int> Gateway::broker_ports() const {
  return core_->broker_ports();
}
std::string Gateway::NotReady() const {
  return core_->NotReady();
}
bool Gateway::cloud_connected() const {
  return core_->cloud_connected();
}
bool Gateway::IsMember(std::string_view device, std::string_view certificate_sha256) const {
  return core_->IsMember(device, certificate_sha256);
}
void Gateway::UpdateMetrics() {
  core_->UpdateMetrics();
}
void Gateway::Stop() {
  core_->Stop();
}

}  // namespace selvedge
