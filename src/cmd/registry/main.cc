// selvedge-registry: `selvedge registry`.

#include "cmd/cli/cli.h"
#include "cmd/registry/verbs.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  return selvedge::RegistryMain(argc, argv);
}
