#pragma once

// The one command people type. As with git, a verb is built in or is an executable `selvedge-VERB`
// beside this one.

#include <span>
#include <string>
#include <string_view>

namespace selvedge {

struct Verb {
  std::string_view name;
  std::string_view summary;
  // Null for a verb that is an executable of its own.
  int (*main)(int argc, const char* const* argv);
};

std::span<const Verb> Verbs();

// argv[1] is the verb; returns the exit code, or does not return where the verb is another
// executable.
int Dispatch(int argc, char** argv);

}  // namespace selvedge
