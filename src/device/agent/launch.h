#pragma once

// From a spec and what is on disk to the command line and environment of a process. Pure;
// thread-safe.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "proto/fleet.pb.h"

namespace selvedge {

struct LaunchSpec {
  std::vector<std::string> arguments;    // the program first
  std::vector<std::string> environment;  // "NAME=value", all of it
  std::string folder;                    // to work in
};

// What the device adds.
struct LaunchContext {
  std::string device;       // its name
  std::string run_program;  // selvedge-run
  std::string agent_socket;
  std::string config_file;                     // where the manifest's config lies
  std::string cache_folder;                    // for what tune measured
  std::string package_folder;                  // unpacked
  std::map<std::string, std::string> cameras;  // names to URIs
  std::string default_camera;
  std::vector<std::string> environment;  // the agent's own
};

// A pipeline run natively. FailedPrecondition where the package lacks what a pipeline needs:
// `has_pipeline` and `has_card` say what is in it.
Result<LaunchSpec> LaunchPipeline(const v1::ServiceSpec& spec, const LaunchContext& context,
                                  bool has_pipeline, bool has_card);

// The variables that every kind gets: `env`, the scalars of `config` in capitals, volumes, names.
// `config` never takes the place of `env`. `container` tells paths as the container sees them.
std::map<std::string, std::string> ServiceVariables(const v1::ServiceSpec& spec, bool container);

// "confidence_threshold" becomes "CONFIDENCE_THRESHOLD"; what is no letter or digit becomes '_'.
std::string VariableName(std::string_view key);

}  // namespace selvedge
