// selvedge-inspect: shows a model file, a model card with its variants, or a package in the
// registry.

#include "cmd/cli/cli.h"
#include "cmd/inspect/verb.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  return selvedge::InspectMain(argc, argv);
}
