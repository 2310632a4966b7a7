#pragma once

// How an application's placements are told.

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace selvedge {

// `application` as the API has it; `width` as in Table::ToText.
std::string PlacementsText(const nlohmann::json& application, std::size_t width);

}  // namespace selvedge
