#include "cmd/demo/measure.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <sstream>

namespace selvedge::demo {
namespace {

using nlohmann::json;

constexpr int kPage = 1000;
constexpr int kMaxPages = 1000;

std::int64_t UnixMillisOf(const json& event, const char* key) {
  const auto found = event.find(key);
  if (found == event.end()) return 0;
  if (found->is_number()) return found->get<std::int64_t>() / 1'000'000;
  std::int64_t value = 0;
  const auto* text = found->get_ptr<const std::string*>();
  if (text != nullptr) std::from_chars(text->data(), text->data() + text->size(), value);
  return value / 1'000'000;
}

void CountOne(const json& event, const Outage& outage, std::set<std::string>* ids,
              EventCount* count) {
  ++count->rows;
  ids->insert(event.value("id", ""));
  const std::string device = event.value("device", "");
  ++count->by_device[device];
  const std::int64_t captured = UnixMillisOf(event, "captured_unix_ns");
  const std::int64_t received = event.value("received_ms", std::int64_t{0});
  const bool held_up = device == outage.device && captured < outage.until_unix_ms &&
                       received >= outage.until_unix_ms;
  if (held_up && captured >= outage.from_unix_ms) ++count->caught_up;
  if (!held_up) count->delays_ms.push_back(static_cast<double>(received - captured));
}

}  // namespace

double MetricSum(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  double sum = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name)) continue;
    const char next = line.size() > name.size() ? line[name.size()] : '\0';
    if (next != ' ' && next != '{') continue;
    std::size_t at = name.size();
    if (next == '{') at = line.find('}') == std::string::npos ? line.size() : line.find('}') + 1;
    while (at < line.size() && line[at] == ' ') ++at;
    double value = 0;
    if (std::from_chars(line.data() + at, line.data() + line.size(), value).ec == std::errc()) {
      sum += value;
    }
  }
  return sum;
}

Uplink UplinkOf(const std::string& gateway_metrics) {
  return {static_cast<std::uint64_t>(
              MetricSum(gateway_metrics, "selvedge_gateway_uplink_sent_ip_bytes_total")),
          static_cast<std::uint64_t>(
              MetricSum(gateway_metrics, "selvedge_gateway_uplink_received_ip_bytes_total"))};
}

Result<EventCount> CountEvents(Fleet* fleet, const Outage& outage) {
  EventCount count;
  std::set<std::string> ids;
  std::string after;
  for (int page = 0; page < kMaxPages; ++page) {
    std::string path = "/events?order=asc&limit=" + std::to_string(kPage);
    if (!after.empty()) path += "&after=" + PercentEncode(after);
    SELVEDGE_ASSIGN_OR_RETURN(const json answer, fleet->Get(path));
    const json items = answer.value("items", json::array());
    for (const json& event : items) CountOne(event, outage, &ids, &count);
    after = answer.value("next", "");
    if (after.empty() || items.empty()) break;
  }
  count.distinct = ids.size();
  return count;
}

double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

Result<std::vector<DeviceResult>> ReadDevices(Fleet* fleet) {
  SELVEDGE_ASSIGN_OR_RETURN(const json answer, fleet->Get("/devices?limit=1000"));
  std::vector<DeviceResult> devices;
  for (const json& item : answer.value("items", json::array())) {
    if (item.value("role", "") != "device") continue;
    DeviceResult device;
    device.name = item.value("name", "");
    device.hardware = item.value("labels", json::object()).value("hardware", "");
    const json outbox = item.value("outbox", json::object());
    device.accepted = outbox.value("accepted", std::uint64_t{0});
    device.dropped = outbox.value("dropped", std::uint64_t{0});
    device.waiting = outbox.value("waiting", std::uint64_t{0});
    device.services = item.value("services", json::array());
    devices.push_back(std::move(device));
  }
  std::ranges::sort(devices, {}, &DeviceResult::name);
  return devices;
}

}  // namespace selvedge::demo
