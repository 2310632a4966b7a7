#pragma once

// What push and pull share: whom they talk to, the progress line, and Ctrl-C.

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/status.h"
#include "cmd/cli/cli.h"
#include "cmd/cli/context.h"
#include "registry/oci_client.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace selvedge {

// Parsed, of the fleet's registry: one with a host is InvalidArgument, saying to use --registry.
Result<Reference> ParseFleetReference(const std::string& text);

OciClientOptions ClientOptions(const cli::Connection& connection);

// "person.onnx  [########        ]  45 %  12.3 of 27.4 MiB  8.1 MiB/s" on a terminal, at most ten
// times a second; nothing elsewhere.
class TransferLine {
 public:
  OnPackageProgress Callback();
  void Clear() { line_.Clear(); }

 private:
  void Show(const PackageProgress& progress);

  cli::StatusLine line_;
  Nanos begun_ = 0;
  Nanos shown_ = 0;
  std::uint64_t begun_at_ = 0;  // bytes that were done when it began
};

// SIGINT and SIGTERM ask a transfer to stop, which keeps what was transferred. Make it before any
// other thread.
class StopOnSignal {
 public:
  StopOnSignal();
  ~StopOnSignal();
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

  std::stop_token token() const { return source_.get_token(); }

 private:
  cli::Termination termination_;
  std::stop_source source_;
  std::jthread thread_;
};

// "27.4 MiB", "12 KiB", "3 bytes".
std::string HumanBytes(std::uint64_t bytes);

}  // namespace selvedge
