#pragma once

// Packages: what the control plane asks of the fleet's registry. Implemented where the registry is
// wired in (cmd/cloud); any thread.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct PackageTag {
  std::string tag;
  std::string digest;
  std::uint64_t size = 0;             // bytes of everything that it names
  std::vector<std::string> variants;  // "fp32"; empty for an image that is no package of a model
  std::int64_t pushed_ms = 0;
};

struct PackageInfo {
  std::string name;
  std::vector<PackageTag> tags;
};

class Packages {
 public:
  virtual ~Packages() = default;
  // Every repository, by name.
  virtual Result<std::vector<PackageInfo>> List() = 0;
  // How many there are; asked every second, so it may be two seconds old.
  virtual std::size_t Count() = 0;
  // NotFound where there is none.
  virtual Result<PackageInfo> Find(std::string_view name) = 0;
  // The digest of a tag, or of a digest that is there. NotFound where it is not.
  virtual Result<std::string> Resolve(std::string_view name, std::string_view reference) = 0;
  // Bytes that the registry sent and received since it started.
  virtual std::uint64_t Traffic() = 0;
};

}  // namespace selvedge
