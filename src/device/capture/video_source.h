#pragma once

// VideoSource: files, streams, cameras and the test pattern, each a GStreamer pipeline under a
// supervisor.
//
// Threads: a supervisor (asleep but for start, end, errors and the watchdog) opens, watches, closes
// and reopens Sessions; GStreamer's streaming thread demuxes, decodes, waits until a paced frame is
// due and calls OnFrame, all in one, so that a frame crosses no queue here. While a frame waits for
// its time it is decoded already: its cost is no part of the latency, and one frame is decoded
// ahead. The state that both threads use is shared, so that a thread stuck in a driver can be left
// behind at Stop. Start and Stop may be called by any thread, also at the same time.

#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "device/capture/catalog.h"
#include "device/capture/source.h"
#include "device/capture/uri.h"

namespace selvedge {

class VideoSource final : public Source {
 public:
  // `clock` and `catalog` outlive the source.
  VideoSource(SourceOptions options, SourceUri uri, const Clock& clock,
              const ElementCatalog& catalog);
  ~VideoSource() override;

  Status Start(OnFrame on_frame, OnEnd on_end) override;
  void Stop() override;
  SourceStats Stats() const override;
  std::string Describe() const override;
  bool IsLive() const override;
  std::uint64_t ExpectedFrames() const override;

 private:
  class Core;

  std::shared_ptr<Core> core_;
  std::mutex stop_mutex_;
  std::thread supervisor_;
};

}  // namespace selvedge
