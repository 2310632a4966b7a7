#include "recorder.h"

#include <gst/gst.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <sstream>
#include <utility>

namespace selvedge {
namespace {

constexpr auto kPatience = std::chrono::seconds(30);

void Init() {
  static const bool done = [] {
    gst_init(nullptr, nullptr);
    return true;
  }();
  (void)done;
}

}  // namespace

TempFolder::TempFolder() {
  static std::atomic<int> number{0};
  path_ = std::filesystem::temp_directory_path() /
          ("selvedge-capture-" + std::to_string(getpid()) + "-" + std::to_string(number++));
  std::filesystem::create_directories(path_);
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void RunPipeline(const std::string& description) {
  Init();
  GError* error = nullptr;
  GstElement* pipeline = gst_parse_launch(description.c_str(), &error);
  ASSERT_EQ(error, nullptr) << description << ": " << error->message;
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  GstBus* bus = gst_element_get_bus(pipeline);
  GstMessage* message = gst_bus_timed_pop_filtered(
      bus, 60 * GST_SECOND, static_cast<GstMessageType>(GST_MESSAGE_EOS | GST_MESSAGE_ERROR));
  const bool ended = message != nullptr && GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
  if (message != nullptr) gst_message_unref(message);
  gst_object_unref(bus);
  gst_element_set_state(pipeline, GST_STATE_NULL);
  gst_object_unref(pipeline);
  ASSERT_TRUE(ended) << description;
}

bool HasElement(const std::string& name) {
  Init();
  GstElementFactory* factory = gst_element_factory_find(name.c_str());
  if (factory != nullptr) gst_object_unref(factory);
  return factory != nullptr;
}

std::string ReadAll(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteAll(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string DemoVideo() {
  const std::string path = SELVEDGE_SOURCE_DIR "/.deps/video/vtest.avi";
  return std::filesystem::exists(path) ? path : "";
}

std::string TestVideo(int frames, int width, int height, int fps) {
  return "videotestsrc horizontal-speed=3 num-buffers=" + std::to_string(frames) +
         " ! video/x-raw,format=I420,width=" + std::to_string(width) +
         ",height=" + std::to_string(height) + ",framerate=" + std::to_string(fps) + "/1";
}

Source::OnFrame Recorder::OnFrame() {
  return [this](Frame frame) {
    if (inspect) inspect(frame);
    const std::lock_guard lock(mutex_);
    frames_.push_back({frame.sequence, frame.image.width, frame.image.height, frame.image.format,
                       frame.captured, frame.captured_wall, clock_.Monotonic(), frame.scene_time});
    changed_.notify_all();
  };
}

Source::OnEnd Recorder::OnEnd() {
  return [this](Status status) {
    const std::lock_guard lock(mutex_);
    end_ = std::move(status);
    ++ends_;
    changed_.notify_all();
  };
}

bool Recorder::WaitFrames(std::size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [&] { return frames_.size() >= count || end_; });
  return frames_.size() >= count;
}

std::optional<Status> Recorder::WaitEnd() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, kPatience, [&] { return end_.has_value(); });
  return end_;
}

std::vector<SeenFrame> Recorder::Frames() const {
  const std::lock_guard lock(mutex_);
  return frames_;
}

std::size_t Recorder::Count() const {
  const std::lock_guard lock(mutex_);
  return frames_.size();
}

int Recorder::Ends() const {
  const std::lock_guard lock(mutex_);
  return ends_;
}

std::unique_ptr<Source> Made(const SourceOptions& options, const Clock& clock) {
  auto source = MakeSource(options, clock);
  if (!source) {
    ADD_FAILURE() << source.error().ToString();
    return nullptr;
  }
  return *std::move(source);
}

SourceOptions Fast(const std::string& uri) {
  SourceOptions options;
  options.uri = uri;
  options.realtime = false;
  return options;
}

void ExpectNoGaps(const std::vector<SeenFrame>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) ASSERT_EQ(frames[i].sequence, i);
}

}  // namespace selvedge
