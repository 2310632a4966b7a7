// selvedge-run: runs one pipeline. A process of its own, so that nothing else on the device can
// slow it down.

#include "cmd/cli/cli.h"
#include "cmd/run/options.h"
#include "cmd/run/session.h"
#include "engine/backends/backends.h"
#include "engine/tune_child.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  // Tuning measures each candidate in a process of its own: this executable, started again.
  if (selvedge::IsTuneCandidateCall(argc, argv)) {
    return selvedge::ServeTuneCandidate(argv[2], selvedge::AllBackends());
  }
  const selvedge::cli::Termination termination;
  selvedge::RunOptions options;
  if (const int code = selvedge::ParseRunOptions(argc, argv, &options); code >= 0) return code;
  auto config = selvedge::LoadConfig(options);
  if (!config) return selvedge::cli::Fail("run", config.error());
  return selvedge::RunSession(options, *std::move(config), termination);
}
