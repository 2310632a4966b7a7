// selvedge events, selvedge logs

#include <fmt/format.h>

#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

#include "cmd/fleet/table.h"
#include "cmd/fleet/verb.h"
#include "cmd/fleet/verbs.h"

namespace selvedge {
namespace {

using fleet::Text;
using nlohmann::json;

constexpr auto kFollowTick = std::chrono::milliseconds(500);

struct Filter {
  std::string device;
  std::string site;
  std::string application;
  std::string rule;
  std::string label;
  int limit = 20;

  std::string Query() const {
    std::string query = "?order=desc&limit=" + std::to_string(limit);
    const auto add = [&query](const char* key, const std::string& value) {
      if (!value.empty()) query += std::string("&") + key + "=" + PercentEncode(value);
    };
    add("device", device);
    add("site", site);
    add("application", application);
    add("rule", rule);
    add("label", label);
    return query;
  }
  // The same, of what the stream sends unasked.
  bool Passes(const json& event) const {
    const auto is = [&event](const char* key, const std::string& wanted) {
      return wanted.empty() || Text(event, key) == wanted;
    };
    if (!is("device", device) || !is("site", site) || !is("pipeline", application)) return false;
    if (!rule.empty() && Text(event.value("decision", json::object()), "rule") != rule)
      return false;
    if (label.empty()) return true;
    for (const json& detection : event.value("detections", json::array())) {
      if (Text(detection, "label") == label) return true;
    }
    return false;
  }
};

// "14:03:07.123", of the captured picture, in this machine's time zone.
std::string TimeOf(const json& event) {
  const std::string text = Text(event, "captured_unix_ns");
  std::int64_t nanos = 0;
  std::from_chars(text.data(), text.data() + text.size(), nanos);
  const std::time_t seconds = nanos / kSecond;
  std::tm local = {};
  localtime_r(&seconds, &local);
  return fmt::format("{:02}:{:02}:{:02}.{:03}", local.tm_hour, local.tm_min, local.tm_sec,
                     nanos % kSecond / kMillisecond);
}

std::string EventLine(const json& event) {
  const json decision = event.value("decision", json::object());
  std::string what = Text(decision, "rule");
  if (what.empty()) what = "frame " + Text(event, "frame");
  if (const std::string state = Text(decision, "state"); !state.empty()) what += " " + state;
  if (const std::string zone = Text(decision, "zone"); !zone.empty()) what += " in " + zone;
  const std::string value = Text(decision, "value");
  return Printable(fmt::format("{}  {:<12} {:<16} {}{}", TimeOf(event), Text(event, "device"),
                               Text(event, "pipeline"), what,
                               value.empty() ? "" : "  (" + value.substr(0, 6) + ")")) +
         "\n";
}

int Show(const fleet::VerbApp& verb, const json& event) {
  return fleet::Print(verb.json ? event.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"
                                : EventLine(event));
}

int Follow(const fleet::VerbApp& verb, ApiClient* client, const Filter& filter) {
  const cli::Termination termination;
  auto stream = client->Stream();
  if (!stream) return cli::Fail("events", stream.error());
  while (termination.Wait(0) == 0) {
    const auto text = (*stream)->Next(kFollowTick);
    if (!text) return cli::Fail("events", text.error());
    if (!*text) continue;
    const json message = json::parse(**text, nullptr, false);
    if (!message.is_object()) continue;
    const std::string type = message.value("type", "");
    if (type == "gap") {
      (void)std::fputs("selvedge events: some were left out: this terminal is too slow\n", stderr);
    }
    if (type != "event") continue;
    const json event = message.value("event", json::object());
    if (filter.Passes(event) && Show(verb, event) != cli::kExitOk) return cli::kExitFailure;
  }
  return cli::kExitOk;
}

}  // namespace

int EventsMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("events",
                      "What the fleet saw; with --json one object a line (docs/formats/event.md).\n"
                      "Example: selvedge events --follow --device jetson-1");
  Filter filter;
  bool follow = false;
  verb.app.add_flag("--follow", follow, "and what comes, until Ctrl-C");
  verb.app.add_option("--device", filter.device);
  verb.app.add_option("--site", filter.site);
  verb.app.add_option("--application", filter.application);
  verb.app.add_option("--rule", filter.rule);
  verb.app.add_option("--label", filter.label, "a class seen in the picture");
  verb.app.add_option("-n,--limit", filter.limit, "of those that are there already")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  auto client = verb.Client();
  if (!client) return cli::Fail("events", client.error());
  if (filter.limit > 0) {
    const auto answer = client->Get("/events" + filter.Query());
    if (!answer) return cli::Fail("events", answer.error());
    const json items = answer->value("items", json::array());
    for (auto event = items.rbegin(); event != items.rend(); ++event) {
      if (Show(verb, *event) != cli::kExitOk) return cli::kExitFailure;
    }
  }
  return follow ? Follow(verb, &*client, filter) : cli::kExitOk;
}

int LogsMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("logs",
                      "The last lines that a device's agent or one of its services wrote.\n"
                      "Example: selvedge logs jetson-1 safety-monitor/object-detector");
  std::string device;
  std::string service;
  int lines = 200;
  verb.app.add_option("DEVICE", device)->required();
  verb.app.add_option("SERVICE", service, "APPLICATION/NAME; without it, the agent's own");
  verb.app.add_option("-n,--lines", lines)->check(CLI::Range(1, 10'000))->capture_default_str();
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  const std::size_t slash = service.find('/');
  if (!service.empty() && slash == std::string::npos) {
    (void)std::fputs("selvedge logs: error: a service is APPLICATION/NAME; see describe device\n",
                     stderr);
    return cli::kExitMisuse;
  }
  auto client = verb.Client();
  if (!client) return cli::Fail("logs", client.error());
  json body = {{"lines", lines}};
  if (!service.empty()) {
    body["application"] = service.substr(0, slash);
    body["service"] = service.substr(slash + 1);
  }
  const auto answer = client->Post("/devices/" + PercentEncode(device) + "/logs", body.dump());
  if (!answer) return cli::Fail("logs", answer.error());
  if (verb.json) return fleet::PrintJson(*answer);
  return fleet::Print(answer->value("text", ""));
}

}  // namespace selvedge
