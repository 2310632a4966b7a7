#pragma once

// How content is named in a registry: digests, repositories, tags, and references made of them (OCI
// Distribution 1.1, "Pulling manifests"). Pure; thread-safe.

#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

// "sha256:" and 64 digits 0-9a-f; no other algorithm.
bool IsDigest(std::string_view text);
// Segments of a-z 0-9 with single '.', one or two '_' or any '-' between, joined by '/'; at most
// 255.
bool IsRepositoryName(std::string_view text);
// 1 to 128 of A-Z a-z 0-9 '_' '.' '-', not beginning with '.' or '-'.
bool IsTag(std::string_view text);

struct Reference {
  std::string host;        // "registry.example.com:5000"; empty: the fleet's registry
  std::string repository;  // "safety/person-detector"
  std::string tag;         // "1.0"; empty where there is a digest only
  std::string digest;      // "sha256:…"; counts where both are there

  // What a registry is asked for: the digest, else the tag.
  const std::string& target() const { return digest.empty() ? tag : digest; }
  std::string ToString() const;
};

// "PATH:TAG", "PATH@DIGEST", "HOST/PATH:TAG", and so on; the first segment is a host where it has a
// '.' or a ':' or is "localhost", and others follow. InvalidArgument, saying what is wrong, where
// it is none; a tag or a digest must be there.
Result<Reference> ParseReference(std::string_view text);

}  // namespace selvedge
