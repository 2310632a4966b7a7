#pragma once

#include <string_view>

namespace selvedge {

// live_page.html, embedded when building.
extern const std::string_view kLivePage;

}  // namespace selvedge
