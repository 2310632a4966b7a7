#pragma once

// What a gateway counts. Made once; updated by relaxed atomics. Internal to this folder.

#include <cstdint>

#include "base/metrics.h"

namespace selvedge {

struct GatewayMetrics {
  explicit GatewayMetrics(MetricsRegistry* registry);

  Counter& batches;
  Counter& events;
  Counter& events_doubled;
  Counter& events_passed_on;
  Counter& batches_refused;  // malformed, or no room
  Counter& gaps;
  Counter& aggregates;
  Counter& strangers;
  Counter& malformed;
  Counter& acks_sent;
  Counter& forwarded_up;
  Counter& forwarded_down;
  Counter& uplink_payload_sent;
  Counter& uplink_payload_received;
  Counter& uplink_ip_sent;
  Counter& uplink_ip_received;
  Gauge& cloud_connected;
  Gauge& devices_online;
  Gauge& outbox_waiting;
  Gauge& outbox_dropped;
  Gauge& outbox_bytes;
  Gauge& broker_restarts;
  Gauge& resident_bytes;

  // A counter of ours follows one that is kept elsewhere and only rises.
  static void Follow(Counter& counter, std::uint64_t value);
};

// Memory of this process, and room in a folder's file system; 0 where unknown.
std::uint64_t ResidentBytes();
std::uint64_t FreeBytes(const char* folder);

}  // namespace selvedge
