#include "gateway/gateway_metrics.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <charconv>
#include <string>

#include "base/file.h"

namespace selvedge {

GatewayMetrics::GatewayMetrics(MetricsRegistry* registry)
    : batches(registry->AddCounter("selvedge_gateway_batches", "Event batches of devices taken.")),
      events(
          registry->AddCounter("selvedge_gateway_events", "Events of devices taken, each once.")),
      events_doubled(registry->AddCounter("selvedge_gateway_events_doubled",
                                          "Events that came again and were left out.")),
      events_passed_on(registry->AddCounter("selvedge_gateway_events_passed_on",
                                            "Events put into the outbox to the cloud.")),
      batches_refused(registry->AddCounter("selvedge_gateway_batches_refused",
                                           "Batches that were malformed or had no room.")),
      gaps(registry->AddCounter("selvedge_gateway_gaps",
                                "Batches ignored because earlier ones are missing.")),
      aggregates(
          registry->AddCounter("selvedge_gateway_aggregates", "Windows of aggregation closed.")),
      strangers(registry->AddCounter("selvedge_gateway_strangers_messages",
                                     "Messages of names that are no members of the site.")),
      malformed(registry->AddCounter("selvedge_gateway_malformed_messages",
                                     "Messages that could not be read.")),
      acks_sent(registry->AddCounter("selvedge_gateway_acks", "Acknowledgements sent to devices.")),
      forwarded_up(registry->AddCounter("selvedge_gateway_forwarded_up",
                                        "Births, states and results passed up.")),
      forwarded_down(registry->AddCounter("selvedge_gateway_forwarded_down",
                                          "Desired documents and commands passed down.")),
      uplink_payload_sent(registry->AddCounter("selvedge_gateway_uplink_sent_payload_bytes",
                                               "MQTT topics and payloads sent to the cloud.")),
      uplink_payload_received(registry->AddCounter("selvedge_gateway_uplink_received_payload_bytes",
                                                   "The same, received from the cloud.")),
      uplink_ip_sent(registry->AddCounter(
          "selvedge_gateway_uplink_sent_ip_bytes",
          "IP bytes of the connection to the cloud's broker, TLS and headers included, sent.")),
      uplink_ip_received(
          registry->AddCounter("selvedge_gateway_uplink_received_ip_bytes", "The same, received.")),
      cloud_connected(registry->AddGauge("selvedge_gateway_cloud_connected",
                                         "Whether the cloud's broker is reached.")),
      devices_online(registry->AddGauge("selvedge_gateway_devices_online",
                                        "Devices of the site that said they are there.")),
      outbox_waiting(registry->AddGauge("selvedge_gateway_outbox_waiting",
                                        "Records that the cloud has not acknowledged.")),
      outbox_dropped(
          registry->AddGauge("selvedge_gateway_outbox_dropped",
                             "Records dropped over the outbox's cap since it was made.")),
      outbox_bytes(registry->AddGauge("selvedge_gateway_outbox_bytes", "Size of what waits.")),
      broker_restarts(registry->AddGauge("selvedge_gateway_broker_restarts",
                                         "Times that the site's broker ended unasked.")),
      resident_bytes(registry->AddGauge("selvedge_gateway_resident_memory_bytes",
                                        "Memory of this process.")) {}

void GatewayMetrics::Follow(Counter& counter, std::uint64_t value) {
  const std::uint64_t known = counter.value();
  if (value > known) counter.Add(value - known);
}

std::uint64_t ResidentBytes() {
  // proc_pid_statm(5): pages, the second number those that are resident.
  const std::string statm = ReadFile("/proc/self/statm", 1024).value_or("");
  const std::size_t space = statm.find(' ');
  std::uint64_t pages = 0;
  if (space == std::string::npos) return 0;
  std::from_chars(statm.data() + space + 1, statm.data() + statm.size(), pages);
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t FreeBytes(const char* folder) {
  struct statvfs facts = {};
  if (statvfs(folder, &facts) != 0) return 0;
  return static_cast<std::uint64_t>(facts.f_bavail) * facts.f_frsize;
}

}  // namespace selvedge
