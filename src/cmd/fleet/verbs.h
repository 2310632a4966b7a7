#pragma once

// The verbs by which people steer a fleet: clients of the control plane's API
// (docs/formats/api.md). Each takes argv[0] as its own name and returns the exit code: 0, 2 for
// misuse, 1 for any other failure, which stderr explains in one sentence. `--json` prints what the
// API answered.

namespace selvedge {

int TokenMain(int argc, const char* const* argv);  // token create | list | revoke
int ApplyMain(int argc, const char* const* argv);  // apply -f FILE [--dry-run]
int GetMain(int argc, const char* const* argv);    // get applications | devices | sites | packages
int DescribeMain(int argc, const char* const* argv);  // describe device | application NAME
int DeleteMain(int argc, const char* const* argv);    // delete -f FILE | application | device NAME
int DevicesMain(int argc, const char* const* argv);   // get devices
int EventsMain(int argc, const char* const* argv);    // events [--follow]
int LogsMain(int argc, const char* const* argv);      // logs DEVICE [APPLICATION/SERVICE]

}  // namespace selvedge
