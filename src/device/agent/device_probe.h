#pragma once

// DeviceProbe: what takes a moment to find out, found out in the background: which engines
// selvedge-run has, and whether an OCI runtime works.
//
// Owned by the agent; one thread of its own that ends with the finding. What was found is kept in
// the cache folder, shared by the agents of one machine: the engines until selvedge-run changes or
// for a day, the runtime until the next boot. Take is for the agent's loop, which `wake` wakes.
// Failure: what cannot be found out is not there; `why_no_runtime` says why.

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "device/agent/container.h"

namespace selvedge {

struct ProbeResult {
  std::vector<std::string> engines;  // "onnxruntime 1.31.1"
  std::optional<ContainerRuntime> runtime;
  std::string why_no_runtime;
};

class DeviceProbe {
 public:
  // `state` is the agent's folder.
  DeviceProbe(std::string run_program, std::string state, std::function<void()> wake);
  // Waits for the thread, which leaves off soon after.
  ~DeviceProbe() = default;
  DeviceProbe(const DeviceProbe&) = delete;
  DeviceProbe& operator=(const DeviceProbe&) = delete;

  // Once, when it is there.
  std::optional<ProbeResult> Take();

 private:
  void Run(const std::stop_token& stop);
  std::vector<std::string> FindEngines(const std::stop_token& stop) const;
  void FindRuntime(ProbeResult* result) const;

  const std::string run_program_;
  const std::string state_;
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::optional<ProbeResult> result_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace selvedge
