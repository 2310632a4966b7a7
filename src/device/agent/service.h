#pragma once

// Names of microservices and what identifies one version of them. Pure; thread-safe.

#include <compare>
#include <string>

#include "proto/fleet.pb.h"

namespace selvedge {

struct ServiceKey {
  std::string application;
  std::string name;

  std::string ToString() const { return application + "/" + name; }  // for people and events
  std::string FileName() const { return application + "." + name; }  // names hold no dot
  auto operator<=>(const ServiceKey&) const = default;
};

ServiceKey KeyOf(const v1::ServiceSpec& spec);

// The same for two specs exactly if they are to run the same way: whatever changes it means
// another process.
std::string FingerprintOf(const v1::ServiceSpec& spec);

// What has to be on disk for the spec: a pipeline's package is shared by all that run it, a
// container's root folder is its own.
std::string ContentKeyOf(const v1::ServiceSpec& spec);

}  // namespace selvedge
