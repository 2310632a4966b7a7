#pragma once

// A live view with nothing behind it: a made-up scene with people walking, its tracks, events and
// figures, served over HTTP as a pipeline serves them. For tests with real clients and for work on
// the page.

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/metrics.h"
#include "device/publish/device_status.h"
#include "device/publish/live_view.h"
#include "net/http_server.h"

namespace selvedge {

class SyntheticView {
 public:
  // `port` 0 for any. Aborts where it cannot start: there is no test without it.
  explicit SyntheticView(int port = 0);
  ~SyntheticView();

  int port() const { return server_.port(); }
  HttpServer& server() { return server_; }
  LiveView& view() { return *view_; }
  // What /api/status says from now on; pictures only come while running.
  void SetSource(PipelineStatus::Source state, std::string detail);

 private:
  PipelineStatus Status() const;
  void Run();
  void Step(int n);

  MetricsRegistry metrics_;
  HttpServer server_;
  std::unique_ptr<LiveView> view_;
  mutable std::mutex mutex_;
  PipelineStatus status_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace selvedge
