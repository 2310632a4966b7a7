#pragma once

// The verb `selvedge eval`: how right recorded detections are. docs/guide/accuracy.md.

namespace selvedge {

// argv[0] is the verb's own name. Returns the exit code: 0, 2 for misuse, 1 for any other failure,
// which stderr explains in one sentence.
int EvalMain(int argc, const char* const* argv);

}  // namespace selvedge
