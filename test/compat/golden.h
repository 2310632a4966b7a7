#pragma once

// The golden files of version 1, for tests.

#include <google/protobuf/message.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "proto/fleet.pb.h"
#include "proto/run_link.pb.h"

namespace selvedge {

// Field 2000, "new": of a peer that knows more than we do.
inline constexpr std::string_view kNewField = "\x82\x7d\x03new";

inline std::string GoldenPath(const std::string& name) {
  return std::string(SELVEDGE_SOURCE_DIR) + "/test/compat/v1/" + name;
}

// Empty where there is none.
inline std::string ReadGolden(const std::string& name) {
  std::ifstream file(GoldenPath(name), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenPath(""))) {
    if (entry.path().extension() == ".txtpb") names.push_back(entry.path().stem().string());
  }
  std::ranges::sort(names);
  return names;
}

// By the first line of a .txtpb; null where that names no message.
inline std::unique_ptr<google::protobuf::Message> EmptyMessageOf(const std::string& text) {
  constexpr std::string_view kHead = "# proto-message: ";
  if (!text.starts_with(kHead)) return nullptr;
  const std::string name = text.substr(kHead.size(), text.find('\n') - kHead.size());
  (void)v1::Desired::descriptor();  // both files are linked in
  (void)v1::FromRun::descriptor();
  const auto* type =
      google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  return std::unique_ptr<google::protobuf::Message>(
      google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

}  // namespace selvedge
