#include "cmd/cli/cli.h"
#include "cmd/selvedge/verbs.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  return selvedge::Dispatch(argc, argv);
}
