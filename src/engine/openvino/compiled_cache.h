#pragma once

// CompiledCache: models as OpenVINO compiled them, kept in a folder, so that the next start needs
// neither the model's parser nor a second copy of its weights in memory (a third of the peak) and
// is ready four times as fast.
//
// A file is `<key>-<sha256 of its content>.blob`: the key is the digest of everything that the
// result depends on (model, library version, device, options, processor); the content's digest is
// checked before OpenVINO sees a byte of it, so that a file damaged by a power cut is compiled
// anew. Written beside and renamed; readable by its owner only, since it holds the weights. At most
// `kMaxBytes` together: the oldest go first. Thread-compatible; several processes may share a
// folder. Failure: nothing here is needed; what cannot be read or written is logged once and done
// without.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/status.h"

namespace selvedge {

class CompiledCache {
 public:
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{512} << 20;

  // `facts`: everything that the compiled model depends on, in any fixed form.
  CompiledCache(std::string folder, std::string_view facts);

  // Calls `use` with a compiled model that was kept; the file is `use`'s to hold, for OpenVINO
  // reads weights where they lie. False where there is none, or `use` fails (then it is removed).
  bool Load(const std::function<Status(MappedFile file)>& use) const;
  // Calls `write` with a path to write to, and keeps what it wrote.
  void Store(const std::function<Status(const std::string& path)>& write) const;

 private:
  std::string FindFile() const;  // empty where there is none
  void Prune() const;

  std::string folder_;
  std::string key_;  // 64 hexadecimal digits; empty where no digest could be made
};

}  // namespace selvedge
