// selvedge-cloud: the control plane.

#include "cmd/cli/cli.h"
#include "cmd/cloud/options.h"
#include "cmd/cloud/process.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  const selvedge::cli::Termination termination;
  selvedge::CloudOptions options;
  if (const int code = selvedge::ParseCloudOptions(argc, argv, &options); code >= 0) return code;
  return selvedge::RunCloud(options, termination);
}
