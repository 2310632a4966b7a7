#pragma once

// The verbs of a model engineer that talk to a registry (docs/formats/package.md), and the one that
// is a registry. Each takes argv[0] as its own name and returns the exit code: 0, 2 for misuse, 1
// for any other failure, which stderr explains in one sentence.

namespace selvedge {

int PushMain(int argc, const char* const* argv);      // push NAME:TAG --card CARD
int PullMain(int argc, const char* const* argv);      // pull NAME:TAG -o FOLDER
int RegistryMain(int argc, const char* const* argv);  // registry, the server

}  // namespace selvedge
