#pragma once

// The deployment that a user writes (docs/formats/application.md), as plain types: what the
// manifest's parser gives and placement takes. Values only; every one that came out of the parser
// is within the format's limits. Thread-compatible.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace selvedge {

inline constexpr std::size_t kMaxDeploymentBytes = std::size_t{1} << 20;
inline constexpr std::size_t kMaxDeploymentDocuments = 64;
inline constexpr std::size_t kMaxMicroservices = 64;  // of one application
inline constexpr std::size_t kMaxPlacements = 64;
inline constexpr std::size_t kMaxConfigBytes = std::size_t{64} * 1024;  // as JSON; env likewise

enum class ImageKind { kPipeline, kContainer };

// `pipeline:PATH:TAG`, `HOST/PATH:TAG`, `PATH:TAG`, or with `@sha256:…` in place of the tag.
struct Image {
  ImageKind kind = ImageKind::kContainer;
  std::string host;        // empty: the fleet's registry
  std::string repository;  // "safety/person-detector"
  std::string tag;         // empty where there is a digest
  std::string digest;      // "sha256:…", or empty
  std::string text;        // as the manifest has it

  // HOST/PATH, or PATH in the fleet's registry.
  std::string QualifiedRepository() const;
  friend bool operator==(const Image&, const Image&) = default;
};

// Nothing and a reason in *why where `text` is none.
bool ParseImage(std::string_view text, Image* image, std::string* why);

struct ServiceResources {
  int gpu = 0;
  int tpu = 0;
  std::int64_t memory_bytes = 0;  // 0: no limit
  double cpus = 0;                // 0: no limit
  friend bool operator==(const ServiceResources&, const ServiceResources&) = default;
};

struct ServicePort {
  int external = 0;
  int internal = 0;
  friend bool operator==(const ServicePort&, const ServicePort&) = default;
};

struct ServiceVolume {
  std::string host;
  std::string container;
  bool read_only = false;
  friend bool operator==(const ServiceVolume&, const ServiceVolume&) = default;
};

// The key of `images` that serves every architecture.
inline constexpr std::string_view kAnyArch = "any";

struct Microservice {
  std::string name;
  std::map<std::string, Image> images;  // by architecture
  std::string config_json = "{}";       // an object, keys in the manifest's order
  std::vector<std::pair<std::string, std::string>> env;
  ServiceResources resources;
  std::vector<ServicePort> ports;
  std::vector<ServiceVolume> volumes;

  // For a device of architecture `arch`; null where there is none.
  const Image* ImageFor(std::string_view arch) const;
  friend bool operator==(const Microservice&, const Microservice&) = default;
};

enum class ConstraintOperator {
  kEqual,
  kNotEqual,
  kIn,
  kNotIn,
  kExists,
  kNotExists,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
};
// "==" and so on, in the enumeration's order.
std::string_view ConstraintOperatorName(ConstraintOperator op);

struct Constraint {
  std::string key;
  ConstraintOperator op = ConstraintOperator::kExists;
  std::vector<std::string> values;  // none, one, or for in and notin at least one
  friend bool operator==(const Constraint&, const Constraint&) = default;
};

struct Application {
  std::string name;
  std::vector<Microservice> microservices;
  std::vector<Constraint> placements;
  friend bool operator==(const Application&, const Application&) = default;
};

}  // namespace selvedge
