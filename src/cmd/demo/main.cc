#include "cmd/cli/cli.h"
#include "cmd/demo/demo.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  return selvedge::DemoMain(argc, argv);
}
