// selvedge get, selvedge devices, selvedge describe

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cmd/fleet/applications.h"
#include "cmd/fleet/table.h"
#include "cmd/fleet/verb.h"
#include "cmd/fleet/verbs.h"

namespace selvedge {
namespace {

using fleet::Text;
using nlohmann::json;

// One word for a person: what is wrong comes before what is well.
std::string Condition(const json& device) {
  const std::string status = Text(device, "status");
  if (status == "online" && device.value("failing", false)) return "failing";
  return status;
}

std::string WhatRuns(const json& device) {
  std::string all;
  for (const json& service : device.value("services", json::array())) {
    if (!all.empty()) all += ", ";
    all += Text(service, "application") + "/" + Text(service, "name");
    if (const std::string state = Text(service, "state"); state != "running") all += " " + state;
  }
  return all.empty() ? "-" : all;
}

std::string DevicesText(const json& devices) {
  Table table({"NAME", "SITE", "STATUS", "SEEN", "HARDWARE", "RUNS"});
  for (const json& device : devices) {
    const bool gateway = Text(device, "role") == "gateway";
    table.Add({Text(device, "name"), Text(device, "site"), Condition(device),
               Ago(device.value("last_seen_ms", std::int64_t{0}), fleet::NowMillis()),
               gateway ? "(gateway)" : Text(device.value("labels", json::object()), "hardware"),
               gateway ? "-" : WhatRuns(device)});
  }
  return table.empty() ? "No device has joined yet; selvedge token create --site NAME begins.\n"
                       : table.ToText(fleet::TableWidth());
}

std::string SitesText(const json& sites) {
  Table table({"NAME", "GATEWAY", "STATUS", "DEVICES", "ONLINE"});
  for (const json& site : sites) {
    const json gateway = site.value("gateway", json());
    table.Add({Text(site, "name"), gateway.is_object() ? Text(gateway, "name") : "-",
               gateway.is_object() ? Condition(gateway) : "-", Text(site, "devices"),
               Text(site, "online")});
  }
  return table.ToText(fleet::TableWidth());
}

std::string PackagesText(const json& packages) {
  Table table({"NAME", "TAG", "SIZE", "VARIANTS", "DIGEST"});
  for (const json& package : packages) {
    for (const json& tag : package.value("tags", json::array())) {
      std::string variants;
      for (const json& variant : tag.value("variants", json::array())) {
        if (variant.is_string())
          variants += (variants.empty() ? "" : ",") + variant.get<std::string>();
      }
      table.Add({Text(package, "name"), Text(tag, "tag"), Bytes(tag.value("size", 0.0)), variants,
                 Text(tag, "digest")});
    }
  }
  return table.ToText(fleet::TableWidth());
}

std::string ApplicationsText(const json& applications) {
  Table table({"NAME", "APPLIED", "MICROSERVICE", "RUNS ON"});
  for (const json& application : applications) {
    for (const json& service : application.value("microservices", json::array())) {
      int fits = 0;
      int running = 0;
      for (const json& placement : service.value("placements", json::array())) {
        fits += placement.value("fits", false) ? 1 : 0;
        running += Text(placement, "state") == "running" ? 1 : 0;
      }
      table.Add({Text(application, "name"),
                 Ago(application.value("applied_ms", std::int64_t{0}), fleet::NowMillis()),
                 Text(service, "name"), fmt::format("{} of {} that fit", running, fits)});
    }
  }
  return table.ToText(fleet::TableWidth());
}

std::string Pairs(const json& object) {
  std::string text;
  for (const auto& item : object.items()) {
    const std::string value =
        item.value().is_string() ? item.value().get<std::string>() : item.value().dump();
    text += (text.empty() ? "" : "  ") + Printable(item.key()) + "=" + Printable(value);
  }
  return text.empty() ? "-" : text;
}

std::string ServiceText(const json& service) {
  const json pipeline = service.value("pipeline", json::object());
  std::string text = fmt::format("  {}/{}  {}", Text(service, "application"), Text(service, "name"),
                                 Text(service, "state"));
  if (const std::string why = Text(service, "message"); !why.empty()) text += ": " + Printable(why);
  text += fmt::format("\n    version    {}  {}\n    restarts   {}\n", Text(service, "version"),
                      Text(service, "digest"), Text(service, "restarts"));
  if (!pipeline.is_object() || pipeline.empty()) return text;
  const json ledger = pipeline.value("ledger", json::object());
  std::uint64_t dropped = 0;
  const json reasons = ledger.value("dropped", json::object());
  for (const json& count : reasons) dropped += count.is_number() ? count.get<std::uint64_t>() : 0;
  text += fmt::format(
      "    model      {}, {} ({}) on {}\n    speed      {:.1f} frames/s, latency p50 {:.1f} ms, "
      "p99 {:.1f} ms\n"
      "    frames     in {} = local {} + cloud {} + stored {} + dropped {}\n",
      Text(pipeline, "model"), Text(pipeline, "variant"), Text(pipeline, "precision"),
      Text(pipeline, "engine"), pipeline.value("fps", 0.0), pipeline.value("p50_ms", 0.0),
      pipeline.value("p99_ms", 0.0), Text(ledger, "in"), Text(ledger, "local"),
      Text(ledger, "cloud"), Text(ledger, "stored"), dropped);
  return text;
}

std::string DeviceText(const json& device) {
  const json generation = device.value("generation", json::object());
  const json outbox = device.value("outbox", json::object());
  std::string text = fmt::format("{} ({} of {})\n", Text(device, "name"), Text(device, "role"),
                                 Text(device, "site"));
  std::string why = Text(device, "status_reason");
  if (why.empty()) why = Text(device, "trouble");
  text += fmt::format("  status     {}{}, seen {}\n", Condition(device),
                      why.empty() ? "" : " (" + Printable(why) + ")",
                      Ago(device.value("last_seen_ms", std::int64_t{0}), fleet::NowMillis()));
  text += fmt::format("  version    {}, agent {:.1f} MiB\n", Text(device, "version"),
                      device.value("agent_rss_mib", 0.0));
  text += "  labels     " + Pairs(device.value("labels", json::object())) + "\n";
  text += "  facts      " + Pairs(device.value("facts", json::object())) + "\n";
  std::string declared;
  for (const json& key : device.value("declared", json::array())) {
    if (key.is_string()) declared += (declared.empty() ? "" : ", ") + key.get<std::string>();
  }
  if (!declared.empty())
    text += "  declared   " + Printable(declared) + " (not found by the device)\n";
  text += fmt::format("  desired    generation {}, observed {}\n", Text(generation, "desired"),
                      Text(generation, "observed"));
  text += fmt::format("  outbox     {} waiting, {} accepted, {} dropped, {}\n",
                      Text(outbox, "waiting"), Text(outbox, "accepted"), Text(outbox, "dropped"),
                      Bytes(outbox.value("bytes", 0.0)));
  for (const json& service : device.value("services", json::array())) text += ServiceText(service);
  return text;
}

int List(const fleet::VerbApp& verb, const char* name, const std::string& what) {
  auto client = verb.Client();
  if (!client) return cli::Fail(name, client.error());
  const auto items = client->GetAll("/" + what);
  if (!items) return cli::Fail(name, items.error());
  if (verb.json) return fleet::PrintJson(*items);
  if (what == "devices") return fleet::Print(DevicesText(*items));
  if (what == "sites") return fleet::Print(SitesText(*items));
  if (what == "packages") return fleet::Print(PackagesText(*items));
  return fleet::Print(ApplicationsText(*items));
}

}  // namespace

int GetMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("get", "Lists what the fleet has.\nExample: selvedge get applications");
  std::string what;
  verb.app.add_option("WHAT", what, "applications, devices, sites or packages")
      ->required()
      ->check(CLI::IsMember({"applications", "devices", "sites", "packages"}));
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  return List(verb, "get", what);
}

int DevicesMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("devices", "The devices of the fleet.\nExample: selvedge devices");
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  return List(verb, "devices", "devices");
}

int DescribeMain(int argc, const char* const* argv) {
  fleet::VerbApp verb("describe",
                      "All about one device or application.\n"
                      "Example: selvedge describe device jetson-1");
  verb.app.require_subcommand(1);
  std::string name;
  CLI::App* device = verb.app.add_subcommand("device", "facts, services, versions, outbox");
  CLI::App* application = verb.app.add_subcommand("application", "where it runs, and why not");
  for (CLI::App* sub : {device, application}) {
    sub->add_option("NAME", name)->required();
    sub->fallthrough();
  }
  if (const int code = cli::Parse(&verb.app, argc, argv); code >= 0) return code;
  auto client = verb.Client();
  if (!client) return cli::Fail("describe", client.error());
  const auto answer =
      client->Get((device->parsed() ? "/devices/" : "/applications/") + PercentEncode(name));
  if (!answer) return cli::Fail("describe", answer.error());
  if (verb.json) return fleet::PrintJson(*answer);
  return fleet::Print(device->parsed() ? DeviceText(*answer)
                                       : PlacementsText(*answer, fleet::TableWidth()));
}

}  // namespace selvedge
