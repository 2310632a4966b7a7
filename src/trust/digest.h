#pragma once

// Digests of content: how models and packages are named, as "sha256:" and 64 hexadecimal digits
// (the form of the OCI image specification, "Digests").
//
// Free functions, thread-safe. Failure: a file that cannot be read is the error of its errno,
// naming it; Internal where the crypto library refuses (out of memory, a broken configuration).

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

Result<std::string> DigestOf(std::span<const std::byte> content);
Result<std::string> DigestOf(std::string_view content);
// Reads in small pieces: a model's size in memory is not needed to name it.
Result<std::string> DigestOfFile(const std::string& path);

// The digest of content that comes in pieces. Not thread-safe.
class Digester {
 public:
  Digester();
  ~Digester();
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;

  void Update(std::string_view content);
  // Once, after the last piece.
  Result<std::string> Finish();

 private:
  class Hash;
  std::unique_ptr<Hash> hash_;
};

}  // namespace selvedge
