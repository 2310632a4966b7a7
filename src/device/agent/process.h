#pragma once

// ServiceProcess: one process of a microservice. It outlives the agent: an agent that was killed
// finds it again by what was written down about it, and never starts it twice.
//
// Owned by the agent's loop; move-only; one thread. The destructor lets the process run on.
// Failure: Start says what could not be started and why, also when it is exec that fails.

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/status.h"
#include "device/agent/launch.h"

namespace selvedge {

// Names a process beyond the reuse of its number: its start since boot, and the boot.
struct ProcessIdentity {
  pid_t pid = -1;
  std::uint64_t start_ticks = 0;
  std::string boot;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

// NotFound where there is no such process (a zombie is none).
Result<ProcessIdentity> IdentifyProcess(pid_t pid);
// The kernel's id of this boot.
std::string BootId();

class ServiceProcess {
 public:
  // stdout and stderr are appended to `log_file`. The process is in a session of its own. `record`
  // is called before the program runs: where it fails, or the agent is killed before it returned,
  // the program never starts.
  static Result<ServiceProcess> Start(const LaunchSpec& launch, const std::string& log_file,
                                      const std::function<Status(const ProcessIdentity&)>& record);
  // One that was started before, by this agent or an earlier one; nothing where it has ended.
  static std::optional<ServiceProcess> Find(const ProcessIdentity& identity);

  ServiceProcess(ServiceProcess&& other) noexcept;
  ServiceProcess& operator=(ServiceProcess&& other) noexcept;
  ~ServiceProcess();

  pid_t pid() const { return identity_.pid; }
  const ProcessIdentity& identity() const { return identity_; }
  // Readable once it has ended (pidfd_open(2)).
  int descriptor() const { return pidfd_; }
  // Whether it has ended; what remains of it in its session is then killed.
  bool Ended();
  // How it ended, for people: "exit code 1", "killed by SIGSEGV"; "ended" where it is not our
  // child, so that nobody told us.
  const std::string& how() const { return how_; }
  // To the process and all of its group.
  void Signal(int number);

 private:
  ServiceProcess(ProcessIdentity identity, int pidfd)
      : identity_(std::move(identity)), pidfd_(pidfd) {}

  ProcessIdentity identity_;
  int pidfd_ = -1;
  bool ended_ = false;
  std::string how_ = "ended";
};

}  // namespace selvedge
