#pragma once

// Reconciler: from what is desired and what was observed to what is to be done.
//
// Level-triggered: Step may be called at any time and as often as one likes, and says only what is
// not under way already. A service goes over to a new version when everything of it is on disk and
// verified; until then the old one runs. One that ends unasked is started again, with a wait that
// doubles up to a cap (and some jitter) and is forgotten after a good time. What runs together
// takes no more of an accelerator, of memory or of processors than all that is desired takes, and
// no port twice: a service waits until what it takes the place of has ended.
//
// Pure: no I/O, time comes in, actions go out; the owner carries them out and reports back. Not
// thread-safe. Cannot fail.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "device/agent/service.h"
#include "proto/fleet.pb.h"

namespace selvedge {

struct ReconcileOptions {
  Nanos restart_first = kSecond;  // the wait after the first unasked end
  Nanos restart_max = 60 * kSecond;
  Nanos good_time = 60 * kSecond;  // of running, after which the waits begin anew
  Nanos silence = 15 * kSecond;    // of a pipeline's link, after which it counts as hung
  Nanos fetch_retry_first = 2 * kSecond;
  Nanos fetch_retry_max = 300 * kSecond;
  Nanos defer = kSecond;           // until a start that had to wait is tried again
  std::function<double()> random;  // in [0, 1)
  // Whether the device can run it at all: an error is the reason why not.
  std::function<Status(const v1::ServiceSpec&)> check;
};

struct Action {
  enum class Kind {
    kFetch,   // bring the content of `spec` to disk: Fetching*, then ContentReady or FetchFailed
    kStart,   // then Started, Deferred or StartFailed
    kStop,    // ask the process to end, kill it if it does not: then Ended
    kForget,  // nothing of the service runs and it is not wanted: its files may go
  };
  Kind kind;
  ServiceKey service;
  v1::ServiceSpec spec;  // of kFetch and kStart
};

class Reconciler {
 public:
  explicit Reconciler(ReconcileOptions options);

  // ---- What is desired ----
  void SetDesired(const v1::Desired& desired, Nanos now);
  // The device has changed: whether it can run what is wanted is asked anew.
  void CheckAgain();
  // Asked for by a person. NotFound where there is no such service, FailedPrecondition where it
  // does not run.
  Status Restart(const ServiceKey& key);

  // ---- What was observed ----
  void FetchProgress(const std::string& content, double fraction);
  void ContentReady(const std::string& content);
  void FetchFailed(const std::string& content, const Status& why, Nanos now);
  // It has gone from disk after all.
  void ContentLost(const std::string& content);

  void Started(const ServiceKey& key, Nanos now);
  // A process of an earlier life of the agent that still runs.
  void Adopted(const v1::ServiceSpec& spec, Nanos now);
  // Not now, and nobody's fault (a busy port).
  void Deferred(const ServiceKey& key, const std::string& why, Nanos now);
  // The device cannot run it: nothing to try again before the next change.
  void StartRefused(const ServiceKey& key, const Status& why);
  void StartFailed(const ServiceKey& key, const Status& why, Nanos now);
  void Ended(const ServiceKey& key, const std::string& how, Nanos now);
  // A pipeline said something; `metrics` is null for anything but metrics.
  void Heard(const ServiceKey& key, const v1::PipelineMetrics* metrics, Nanos now);

  // ---- What is to be done ----
  std::vector<Action> Step(Nanos now);
  // When to call Step again although nothing was observed; nothing where it need not be.
  std::optional<Nanos> NextTime() const;

  // ---- What to report ----
  // `wall`: the time to give to states that began since the last call.
  std::vector<v1::ServiceStatus> Report(Nanos wall);
  // Contents that must stay on disk: wanted, running, or waiting to be.
  std::vector<v1::ServiceSpec> Needed() const;
  // Whether anything runs; at shutdown.
  bool AnythingRuns() const;
  // What runs for this service, if anything does.
  const v1::ServiceSpec* Running(const ServiceKey& key) const;
  // What a pipeline last said of itself; null where it does not run or has not said anything.
  const v1::PipelineMetrics* MetricsOf(const ServiceKey& key) const;
  // From here on everything is stopped, nothing is started, and nothing is forgotten: it is wanted
  // again at the next start.
  void ShutDown();

 private:
  enum class Instance { kNone, kStarting, kRunning, kStopping };
  enum class Content { kAbsent, kFetching, kReady, kFailed };

  struct Fetch {
    Content state = Content::kAbsent;
    double progress = 0;
    std::string failure;
    int failures = 0;
    Nanos retry = 0;
  };

  struct Service {
    std::optional<v1::ServiceSpec> wanted;
    std::string wanted_print;
    Status refusal;

    Instance instance = Instance::kNone;
    v1::ServiceSpec running;
    std::string running_print;
    Nanos started = 0;
    Nanos heard = 0;     // a pipeline's last sign of life
    bool told = false;   // it has sent metrics
    bool hung = false;   // it is being stopped for its silence
    bool again = false;  // it is being stopped to be started again
    v1::PipelineMetrics metrics;

    int failures = 0;      // unasked ends in a row
    Nanos not_before = 0;  // of the next start
    std::string failure;   // why it ended or did not start
    std::string waiting;   // what a deferred start waits for
    std::uint32_t restarts = 0;

    v1::ServiceState state = v1::SERVICE_STATE_UNSPECIFIED;  // as last reported
    Nanos since = 0;
  };

  void StepService(const ServiceKey& key, Service* service, Nanos now, std::vector<Action>* out);
  std::string InTheWay(const v1::ServiceSpec& spec) const;
  bool WantFetched(Service* service, Nanos now, std::vector<Action>* out);
  void CheckSilence(Service* service, Nanos now);
  void CountFailure(Service* service, const std::string& why, Nanos now);
  Nanos Wait(int failures, Nanos first, Nanos most) const;
  v1::ServiceStatus Describe(const ServiceKey& key, const Service& service) const;
  void DescribeRunning(const Service& service, v1::ServiceStatus* status) const;
  void DescribeIdle(const Service& service, v1::ServiceStatus* status) const;
  const Fetch* FetchOf(const v1::ServiceSpec& spec) const;
  Service* Find(const ServiceKey& key);

  const ReconcileOptions options_;
  std::map<ServiceKey, Service> services_;
  std::map<std::string, Fetch> fetches_;  // by content key
  bool shut_down_ = false;
};

}  // namespace selvedge
