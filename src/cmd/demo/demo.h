#pragma once

namespace selvedge {

// `selvedge demo`: the whole fleet on one machine, on a real video. Returns the exit code.
int DemoMain(int argc, const char* const* argv);

}  // namespace selvedge
