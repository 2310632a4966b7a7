#pragma once

// For tests of the fleet: nodes, what they say, and manifests.

#include <string>
#include <utility>
#include <vector>

#include "cloud/fleet/fleet.h"
#include "orchestrate/iofog.h"

namespace selvedge {

inline NodeRecord ANode(const std::string& name, const std::string& site = "plant-1",
                        v1::Role role = v1::DEVICE) {
  NodeRecord record;
  record.name = name;
  record.site = site;
  record.role = role;
  record.key_sha256 = "key-of-" + name;
  record.certificate_sha256 = "certificate-of-" + name;
  record.joined_ms = 1;
  return record;
}

inline v1::Birth ABirth(const std::string& name,
                        const std::vector<std::pair<std::string, std::string>>& labels = {},
                        const std::string& boot = "boot-1") {
  v1::Birth birth;
  birth.set_device(name);
  birth.set_boot_id(boot);
  birth.set_online(true);
  birth.set_version("0.1.0");
  birth.mutable_facts()->set_arch("x86");
  birth.mutable_facts()->set_cpu_cores(4);
  birth.mutable_facts()->set_memory_bytes(std::uint64_t{8} << 30);
  birth.mutable_facts()->set_containers(true);
  for (const auto& [key, value] : labels) (*birth.mutable_labels())[key] = value;
  return birth;
}

inline v1::Birth AWill(const std::string& name, const std::string& boot = "boot-1") {
  v1::Birth birth;
  birth.set_device(name);
  birth.set_boot_id(boot);
  return birth;
}

inline v1::State AState(const std::string& name, std::uint64_t sequence, std::uint64_t generation,
                        Nanos wall, const std::string& boot = "boot-1") {
  v1::State state;
  state.set_device(name);
  state.set_boot_id(boot);
  state.set_sequence(sequence);
  state.set_generation(generation);
  state.set_time_unix_ns(wall);
  return state;
}

inline void AddService(v1::State* state, const std::string& application, const std::string& name,
                       v1::ServiceState what, const std::string& message = {}) {
  v1::ServiceStatus* service = state->add_services();
  service->set_application(application);
  service->set_name(name);
  service->set_state(what);
  service->set_message(message);
  service->set_kind(v1::PIPELINE);
}

// One microservice "detector"; `placements` are lines of the manifest.
inline std::string AManifest(const std::string& name, const std::string& placements = {},
                             const std::string& image = "pipeline:a/b:1",
                             const std::string& more = {}) {
  return "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: " + name +
         "}\nspec:\n  microservices:\n  - name: detector\n    images: {any: '" + image + "'}\n" +
         more + (placements.empty() ? "" : "  placements:\n" + placements);
}

inline ApplicationRecord AnApplication(const std::string& manifest, std::int64_t created_ms = 1,
                                       const std::string& digest = "sha256:one") {
  auto documents = ParseDeployment(manifest, "m.yaml");
  ApplicationRecord record;
  if (!documents) return record;
  record.application = documents->front().application;
  record.manifest = documents->front().text;
  record.created_ms = created_ms;
  record.applied_ms = created_ms;
  for (const Microservice& service : record.application.microservices) {
    for (const auto& [arch, image] : service.images)
      record.images[image.text] = {digest, image.tag};
  }
  return record;
}

inline const std::string kOnJetson =
    "  - {type: constraint, key: hardware, operator: ==, value: jetson}\n";

}  // namespace selvedge
