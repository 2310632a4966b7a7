#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>
#include <numeric>

#include "base/cpu.h"
#include "cmd/demo/measure.h"

namespace selvedge::demo {
namespace {

using nlohmann::json;

struct Totals {
  std::uint64_t in = 0;
  std::uint64_t local = 0;
  std::uint64_t dropped = 0;
  double frames_per_second = 0;
  double worst_p50_ms = 0;
  double worst_p99_ms = 0;
};

Totals TotalsOf(const std::vector<DeviceResult>& devices) {
  Totals totals;
  for (const DeviceResult& device : devices) {
    for (const json& service : device.services) {
      const json pipeline = service.value("pipeline", json::object());
      const json ledger = pipeline.value("ledger", json::object());
      totals.in += ledger.value("in", std::uint64_t{0});
      totals.local += ledger.value("local", std::uint64_t{0});
      const json dropped = ledger.value("dropped", json::object());
      for (const json& count : dropped) {
        totals.dropped += count.is_number() ? count.get<std::uint64_t>() : 0;
      }
      totals.frames_per_second += pipeline.value("fps", 0.0);
      totals.worst_p50_ms = std::max(totals.worst_p50_ms, pipeline.value("p50_ms", 0.0));
      totals.worst_p99_ms = std::max(totals.worst_p99_ms, pipeline.value("p99_ms", 0.0));
    }
  }
  return totals;
}

std::uint64_t Accepted(const Measured& measured) {
  return std::accumulate(
      measured.drained.begin(), measured.drained.end(), std::uint64_t{0},
      [](std::uint64_t sum, const DeviceResult& device) { return sum + device.accepted; });
}

std::uint64_t Lost(const Measured& measured) {
  const std::uint64_t accepted = Accepted(measured);
  return accepted - std::min(accepted, measured.events.distinct);
}

double UplinkRate(const Measured& measured) {
  return measured.watched_seconds > 0
             ? static_cast<double>(measured.uplink.sent + measured.uplink.received) /
                   measured.watched_seconds
             : 0;
}

// Share of the H.264 streams' bytes that was not sent, percent.
double Reduction(const Measured& measured) {
  const double streams = measured.h264_bytes_per_second * measured.cameras;
  return streams > 0 ? 100 * (1 - UplinkRate(measured) / streams) : 0;
}

bool UplinkIsKnown(const Measured& measured) {
  return measured.uplink.sent > 0;
}

std::string DeviceLines(const Measured& measured) {
  std::string text;
  for (const DeviceResult& device : measured.devices) {
    for (const json& service : device.services) {
      const json pipeline = service.value("pipeline", json::object());
      text += fmt::format(
          "  {:<10} {:<13} {:<15} {:>5.1f} frames/s  p50 {:>5.1f} ms  p99 {:>5.1f} ms  {}\n",
          device.name, device.hardware, service.value("application", ""),
          pipeline.value("fps", 0.0), pipeline.value("p50_ms", 0.0), pipeline.value("p99_ms", 0.0),
          pipeline.value("engine", ""));
    }
  }
  return text;
}

}  // namespace

json ReportJson(const Measured& measured) {
  const Totals totals = TotalsOf(measured.devices);
  json metrics;
  const auto add = [&metrics](const char* name, double value, const char* unit) {
    metrics[name] = {{"value", value}, {"unit", unit}};
  };
  add("devices", static_cast<double>(measured.devices.size()), "1");
  add("events", static_cast<double>(measured.events.distinct), "1");
  add("events_lost", static_cast<double>(Lost(measured)), "1");
  add("events_doubled", static_cast<double>(measured.events.rows - measured.events.distinct), "1");
  add("events_caught_up", static_cast<double>(measured.events.caught_up), "1");
  add("seconds_to_up", measured.up_seconds, "s");
  add("seconds_to_first_detection", measured.first_detection_seconds, "s");
  add("frames_in", static_cast<double>(totals.in), "1");
  add("frames_local", static_cast<double>(totals.local), "1");
  add("frames_dropped", static_cast<double>(totals.dropped), "1");
  add("frames_per_second", totals.frames_per_second, "1/s");
  add("latency_p50_ms", totals.worst_p50_ms, "ms");
  add("latency_p99_ms", totals.worst_p99_ms, "ms");
  add("event_p50_ms", Quantile(measured.events.delays_ms, 0.5), "ms");
  add("event_p99_ms", Quantile(measured.events.delays_ms, 0.99), "ms");
  if (UplinkIsKnown(measured)) {
    add("uplink_bytes_per_second", UplinkRate(measured), "B/s");
    if (measured.h264_bytes_per_second > 0) {
      metrics["data_reduction_vs_h264"] = {
          {"value", Reduction(measured)},
          {"unit", "%"},
          {"baseline", measured.h264_bytes_per_second * measured.cameras}};
    }
  }
  utsname system = {};
  uname(&system);
  return {{"bench", "demo"},
          {"machine", {{"arch", system.machine}, {"processors", UsableCpus()}}},
          {"metrics", metrics}};
}

std::string ReportText(const Measured& measured, const std::string& url) {
  const Totals totals = TotalsOf(measured.devices);
  std::string text = "\nWhat you saw\n" + DeviceLines(measured);
  text += fmt::format(
      "  frames     in {} = local {} + dropped {} (and those under way)\n"
      "  events     {} in the cloud, {} lost, {} doubled; capture to cloud, while connected, p50 "
      "{:.0f} ms, p99 {:.0f} ms\n"
      "  offline    {} was cut off for {:.0f} s: {} events of that time arrived afterwards\n",
      totals.in, totals.local, totals.dropped, measured.events.distinct, Lost(measured),
      measured.events.rows - measured.events.distinct, Quantile(measured.events.delays_ms, 0.5),
      Quantile(measured.events.delays_ms, 0.99), measured.outage.device,
      static_cast<double>(measured.outage.until_unix_ms - measured.outage.from_unix_ms) / 1000,
      measured.events.caught_up);
  if (UplinkIsKnown(measured)) {
    text +=
        fmt::format("  data       {:.0f} bytes/s over the site's uplink, headers and TLS included",
                    UplinkRate(measured));
    if (measured.h264_bytes_per_second > 0) {
      text += fmt::format("; {} H.264 streams would be {:.0f}: {:.1f} % less", measured.cameras,
                          measured.h264_bytes_per_second * measured.cameras, Reduction(measured));
    }
    text += "\n";
  }
  text += fmt::format(
      "  start      control plane after {:.1f} s, first detection in the cloud after {:.1f} s\n",
      measured.up_seconds, measured.first_detection_seconds);
  text +=
      "\nWhat was simulated\n"
      "  The hardware: \"jetson\", \"raspberry-pi\", the TPU and the GPU are labels; every "
      "pipeline ran on this machine's processor.\n"
      "  The network: everything went over this machine's loopback; the cut was made by a relay in "
      "front of one device.\n"
      "  Everything else is what you would run in production: the same executables, certificates, "
      "brokers and databases.\n";
  text += "\nselvedge demo --keep stays up, with its dashboard at " + url + "\n";
  return text;
}

}  // namespace selvedge::demo
