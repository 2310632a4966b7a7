#include "sim/cloud.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "trust/digest.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

constexpr Nanos kTick = kSecond;
constexpr const char* kRegistryUrl = "https://registry.example:5000";

}  // namespace

// ---- SimRegistry -------------------------------------------------------------------------------

Result<PackageInfo> SimRegistry::Find(std::string_view name) {
  return Err(NotFoundError(fmt::format("{} is not looked at here", name)));
}

Result<std::string> SimRegistry::Resolve(std::string_view name, std::string_view reference) {
  if (reference == "missing") return Err(NotFoundError(fmt::format("{}:{}", name, reference)));
  if (reference.starts_with("sha256:")) return std::string(reference);
  const std::uint64_t revision = reference == "latest" ? revision_ : 0;
  return DigestOf(fmt::format("{}:{}@{}", name, reference, revision));
}

// ---- SimCloud ----------------------------------------------------------------------------------

SimCloud::SimCloud(SimLoop* loop, std::string folder, SimViolation violation)
    : loop_(*loop),
      folder_(std::move(folder)),
      violation_(std::move(violation)),
      broker_(loop, "the cloud's broker") {
  auto authority = MakeCertificateAuthority("simulated fleet", loop_.clock());
  Check(authority ? OkStatus() : authority.error(), "its authority");
  if (authority) authority_ = *std::move(authority);
}

void SimCloud::Check(const Status& status, std::string_view what) {
  if (!status.ok()) violation_("cloud", fmt::format("{}: {}", what, status.message()));
}

void SimCloud::Start() {
  if (running()) return;
  ++life_;
  loop_.Note("cloud", "starts");
  ControlPlaneOptions options{.folder = folder_ + "/cloud",
                              .authority = authority_,
                              .own_hosts = {},
                              .events = {},
                              .fleet = {.registry_url = kRegistryUrl},
                              .version = "sim"};
  options.fleet.gateway_policy.set_raw(v1::GatewayPolicy::RULES);
  options.fleet.gateway_policy.set_window_seconds(30);
  auto plane = ControlPlane::Open(std::move(options), &registry_, loop_.clock());
  if (!plane) return Check(plane.error(), "it does not open");
  plane_ = *std::move(plane);
  plane_->SetAddresses(
      {"https://cloud.example:8443", {"mqtts://cloud.example:8883"}, kRegistryUrl});
  plane_->SetOutputs({.publish = [this](const std::string& topic, std::string payload, int qos,
                                        bool retain) -> Status {
                        if (troubled_ && loop_.random().Chance(0.01)) {
                          return ResourceExhaustedError("the queue is full");
                        }
                        const std::optional<Topic> parsed = ParseTopic(topic);
                        if (!parsed) violation_("cloud", "it publishes under " + topic);
                        if (parsed) broker_.Publish({*parsed, std::move(payload), qos, retain});
                        return OkStatus();
                      },
                      .members_changed = [](const auto&) {},
                      .traffic = [] { return std::pair<std::uint64_t, std::uint64_t>(); }});
  broker_.Start([this](const SimMessage& message, bool retained) {
    if (!plane_) return;
    plane_->OnMessage(TopicName(message.topic.site, message.topic.node, message.topic.kind),
                      message.payload, retained);
  });
  plane_->OnConnected();
  Tick();
}

void SimCloud::Tick() {
  plane_->Tick();
  loop_.After(kTick, [this, life = life_] {
    if (running() && life == life_) Tick();
  });
}

// What the dying process would still write is undone.
void SimCloud::Kill() {
  if (!running()) return;
  loop_.Note("cloud", "is killed");
  CopyDisk("cloud", "killed");
  broker_.Stop();
  plane_.reset();
  CopyDisk("killed", "cloud");
}

void SimCloud::Backup() {
  if (!running()) return;
  loop_.Note("cloud", "is backed up");
  CopyDisk("cloud", "backup");
}

void SimCloud::RestoreBackup() {
  loop_.Note("cloud", "is restored from its backup");
  CopyDisk("backup", "cloud");
}

void SimCloud::CopyDisk(const std::string& from, const std::string& to) {
  const fs::path source = fs::path(folder_) / from;
  const fs::path target = fs::path(folder_) / to;
  std::error_code error;
  fs::create_directories(target, error);
  for (const char* file : {"fleet.db", "events.db"}) {
    for (const char* suffix : {"", "-wal", "-shm"}) {
      const std::string name = std::string(file) + suffix;
      fs::remove(target / name, error);
      if (std::string_view(suffix) == "-shm" || !fs::exists(source / name)) continue;
      if (!fs::copy_file(source / name, target / name, error)) {
        violation_("cloud", "its disk cannot be copied: " + error.message());
      }
    }
  }
}

Status SimCloud::Join(const std::string& key, const std::string& name, const std::string& site,
                      const std::string& role) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const Joining::MadeToken token,
      plane_->joining().MakeToken({.join = true, .role = role, .site = site}));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(std::string request, MakeCertificateRequest(key, name));
  const auto answer = plane_->Join({.token_id = token.record.id,
                                    .secret = token.secret,
                                    .name = name,
                                    .role = role,
                                    .csr = std::move(request)});
  return answer ? OkStatus() : answer.error();
}

std::vector<std::string> SimCloud::EventIds() {
  std::vector<std::string> ids;
  EventFilter filter{.limit = 1000};
  for (;;) {
    const auto events = plane_->events().Query(filter);
    if (!events) {
      Check(events.error(), "its events");
      return ids;
    }
    if (events->empty()) return ids;
    for (const StoredEvent& stored : *events) ids.push_back(stored.event.id());
    filter.after = events->back().cursor;
  }
}

std::map<std::string, std::uint64_t> SimCloud::AggregatedEvents() {
  std::map<std::string, std::uint64_t> counts;
  AggregateFilter filter{.limit = 1000};
  for (;;) {
    const auto aggregates = plane_->events().QueryAggregates(filter);
    if (!aggregates) {
      Check(aggregates.error(), "its aggregates");
      return counts;
    }
    if (aggregates->empty()) return counts;
    for (const StoredAggregate& stored : *aggregates) {
      counts[stored.aggregate.device()] += stored.aggregate.events();
    }
    filter.after = aggregates->back().cursor;
  }
}

}  // namespace selvedge
