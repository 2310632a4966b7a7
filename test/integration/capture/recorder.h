#pragma once

// What the capture tests share: makers of real video files, and a listener that writes down what a
// Source says.

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/frame.h"
#include "device/capture/source.h"

namespace selvedge {

// A folder of its own for each test, removed at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  std::string Path(const std::string& name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

// Runs a pipeline in gst-launch's notation to its end. A test failure where it does not run.
void RunPipeline(const std::string& description);
bool HasElement(const std::string& name);
std::string ReadAll(const std::string& path);
void WriteAll(const std::string& path, const std::string& content);
// The demo video of 795 frames; empty where it is not set up here.
std::string DemoVideo();

// "videotestsrc … ! video/x-raw,…": `frames` moving pictures.
std::string TestVideo(int frames, int width = 320, int height = 240, int fps = 25);

struct SeenFrame {
  std::uint64_t sequence = 0;
  int width = 0;
  int height = 0;
  PixelFormat format = PixelFormat::kI420;
  Nanos captured = 0;
  Nanos captured_wall = 0;
  Nanos arrived = 0;
  Nanos scene_time = 0;
};

// Thread-safe. Waits end after 30 s, and with that the test.
class Recorder {
 public:
  explicit Recorder(const Clock& clock = Clock::System()) : clock_(clock) {}

  Source::OnFrame OnFrame();
  Source::OnEnd OnEnd();
  // Called with each frame on the source's thread; it may keep it. Set before Start.
  std::function<void(Frame&)> inspect;

  bool WaitFrames(std::size_t count);
  // The status that OnEnd brought.
  std::optional<Status> WaitEnd();
  std::vector<SeenFrame> Frames() const;
  std::size_t Count() const;
  int Ends() const;

 private:
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<SeenFrame> frames_;
  std::optional<Status> end_;
  int ends_ = 0;
};

// MakeSource, which must succeed.
std::unique_ptr<Source> Made(const SourceOptions& options, const Clock& clock = Clock::System());
// Options for `uri` as fast as possible.
SourceOptions Fast(const std::string& uri);
// Sequence numbers from 0 without gaps.
void ExpectNoGaps(const std::vector<SeenFrame>& frames);

}  // namespace selvedge
