#pragma once

// Source: where frames come from.
//
// A source runs threads of its own. OnFrame is called on one of them, one frame at a time, in
// order, with sequence numbers from 0 without gaps; it must not block for long where the source is
// live. OnEnd is called once, after the last OnFrame, and never after Stop has returned: OK at the
// end of a file, an error when the source cannot go on. A live source that dies does not end: it
// comes back by itself, with capped, jittered backoff, and its sequence numbers go on.
// `Frame::captured` is when the picture was taken: a live source's own capture time where it tells,
// else arrival; for a file paced in real time, when the frame was due; as fast as possible, when it
// was decoded. `Frame::scene_time` of a file or folder is its own timeline, the same however fast
// it is read.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "core/frame.h"

namespace selvedge {

struct SourceOptions {
  // A path, file://, rtsp://, rtsps://, http(s):// (MJPEG or a file), /dev/videoN, a folder of
  // pictures, or test:// (a moving pattern; test://?width=640&height=480&fps=30&frames=300).
  std::string uri;
  bool realtime = true;  // files and folders: paced by their timestamps; false: as fast as they go
  double speed = 1;      // files in real time: 3 plays three times as fast as recorded
  bool loop = false;     // files and folders: begin again at the end
  double fps =
      0;  // at most so many frames a second (live: newest kept); folders: the pace; 0 as they come
  int width = 0;  // asked of a camera; 0 leaves it to the camera
  int height = 0;
  std::string user;               // RTSP and HTTP; better than in the URI
  std::string password_file;      // first line
  std::string transport = "tcp";  // RTSP: "tcp" or "udp"
  int latency_ms = 100;           // RTSP jitter buffer
  Nanos timeout = 5 * kSecond;    // without a frame, a live source counts as dead
  Nanos backoff_first = 500 * kMillisecond;
  Nanos backoff_max = 30 * kSecond;
  int decoder_threads = 1;  // software decoders
  bool hardware = true;     // use the device's decoders where it has them
  bool fail_fast = false;   // live: an error at the first connection ends the source
};

struct SourceStats {
  std::uint64_t frames = 0;
  std::uint64_t corrupt = 0;  // decoder errors survived
  std::uint64_t reconnects = 0;
  Nanos decode_cpu = 0;  // CPU time of the capture threads, where known
};

class Source {
 public:
  using OnFrame = std::function<void(Frame)>;
  using OnEnd = std::function<void(Status)>;

  virtual ~Source() = default;
  // Returns once the source runs (files: opened and found to be video), or the reason why it
  // cannot.
  virtual Status Start(OnFrame on_frame, OnEnd on_end) = 0;
  // Idempotent; returns when no callback runs or will run.
  virtual void Stop() = 0;
  virtual SourceStats Stats() const = 0;
  // The composed pipeline, for people: "filesrc ! avidemux ! avdec_msmpeg4 ! appsink". Secrets
  // masked.
  virtual std::string Describe() const = 0;
  virtual bool IsLive() const = 0;
  // Total frames where a file says so, else 0: for progress displays.
  virtual std::uint64_t ExpectedFrames() const = 0;
};

// InvalidArgument for a URI of no known kind.
// Loads the software decoders where the source will need them, a peak of some 55 MiB that is given
// back: make the source before an engine loads its model. `clock` outlives the source.
Result<std::unique_ptr<Source>> MakeSource(const SourceOptions& options, const Clock& clock);

// Hardware decoders and converters of this machine's GStreamer, by element name: for reports and
// facts.
std::vector<std::string> ListHardwareElements();

}  // namespace selvedge
