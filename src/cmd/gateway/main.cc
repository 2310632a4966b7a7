// selvedge-gateway: a site's gateway.

#include "cmd/cli/cli.h"
#include "cmd/gateway/options.h"
#include "cmd/gateway/serve.h"

int main(int argc, char** argv) {
  selvedge::cli::IgnoreBrokenPipes();
  const selvedge::cli::Termination termination;
  selvedge::GatewayCommand command;
  if (const int code = selvedge::ParseGatewayCommand(argc, argv, &command); code >= 0) return code;
  return selvedge::ServeGateway(command, termination);
}
