// selvedge-agent: a device's agent.

#include "cmd/agent/serve.h"
#include "cmd/cli/cli.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  const selvedge::cli::Termination termination;
  return selvedge::AgentMain(argc, argv, termination);
}
