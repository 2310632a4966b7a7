#pragma once

// What the .proto files say, as lines that can be kept and compared. Pure; thread-safe.

#include <google/protobuf/descriptor.h>

#include <set>
#include <span>
#include <string>
#include <vector>

namespace selvedge {

// One line for each field and each value of an enumeration in these files, for instance
// "selvedge.v1.Facts 8 gpus: uint32": whatever decides which bytes are written and how JSON calls
// them.
std::set<std::string> SchemaLines(std::span<const google::protobuf::FileDescriptor* const> files);

// What an old peer would misunderstand: lines of `before` that `now` lacks.
std::vector<std::string> Broken(const std::set<std::string>& before,
                                const std::set<std::string>& now);

}  // namespace selvedge
