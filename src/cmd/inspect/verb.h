#pragma once

namespace selvedge {

// selvedge inspect MODEL|NAME:TAG. argv[0] is its own name; returns the exit code: 0, 2 for misuse,
// 1 for any other failure, which stderr explains in one sentence, and for a model that cannot be
// used.
int InspectMain(int argc, const char* const* argv);

}  // namespace selvedge
