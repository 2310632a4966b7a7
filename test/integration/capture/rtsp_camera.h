#pragma once

// RtspCamera: a real RTSP server (GStreamer's own) that plays a camera, started and killed by
// tests.

#include <memory>
#include <string>

namespace selvedge {

class RtspCamera {
 public:
  struct Options {
    std::string user;  // empty: nobody is asked
    std::string password;
    bool sound = false;  // a second, audio stream
    bool h264 = false;   // else JPEG
    int port = 0;        // 0: any
    int frames = 0;      // 0: endless
  };
  explicit RtspCamera(const Options& options);
  ~RtspCamera();  // cuts every client off
  RtspCamera(const RtspCamera&) = delete;
  RtspCamera& operator=(const RtspCamera&) = delete;

  int port() const;
  std::string Uri() const;  // rtsp://127.0.0.1:port/camera
  // Streams that clients have set up so far.
  int StreamsSetUp() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace selvedge
