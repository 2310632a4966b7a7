#include "device/capture/folder_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "device/capture/picture_decoder.h"

namespace selvedge {
namespace {

bool HasPictureEnding(const std::filesystem::path& path) {
  static constexpr std::array kEndings = {".jpg", ".jpeg", ".png", ".webp"};
  std::string ending = path.extension().string();
  std::ranges::transform(ending, ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::ranges::find(kEndings, ending) != kEndings.end();
}

Result<std::vector<std::string>> ListPictures(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::directory_iterator it(folder, error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    // What is named like a picture counts, readable or not: a broken one is to be told, not passed
    // over.
    std::error_code ignored;
    if (HasPictureEnding(it->path()) && !it->is_directory(ignored))
      files.push_back(it->path().string());
  }
  if (error)
    return Err(ErrnoError(error.value(), "folder of pictures " + folder + " cannot be read"));
  std::ranges::sort(files);
  return files;
}

}  // namespace

FolderSource::FolderSource(SourceOptions options, std::string folder, const Clock& clock)
    : options_(std::move(options)), folder_(std::move(folder)), delivery_(clock) {
  while (folder_.size() > 1 && folder_.back() == '/') folder_.pop_back();
}

FolderSource::~FolderSource() {
  Stop();
  if (thread_.joinable()) thread_.join();
}

Status FolderSource::Start(OnFrame on_frame, OnEnd on_end) {
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable() || delivery_.stopping()) {
    return FailedPreconditionError("a source starts once; make a new one");
  }
  auto files = ListPictures(folder_);
  if (!files) return std::move(files).error();
  files_ = *std::move(files);
  if (files_.empty()) {
    return NotFoundError("folder " + folder_ +
                         " holds no pictures (.jpg, .png, .webp); check source.uri");
  }
  if (!options_.loop) expected_.store(files_.size());
  delivery_.Begin(std::move(on_frame), std::move(on_end));
  Frame frame;
  const std::size_t first = DecodeNext(0, &frame);
  if (delivery_.stopping())
    return CancelledError("source " + folder_ + " was stopped while it started");
  if (first == files_.size()) {
    return DataLossError("none of the " + std::to_string(files_.size()) + " pictures in " +
                         folder_ + " can be decoded; check the files");
  }
  log::Info("capture", "source opened",
            {{"source", folder_}, {"pipeline", Describe()}, {"pictures", files_.size()}});
  thread_ = std::thread(
      [this, first, frame = std::move(frame)]() mutable { Run(first, std::move(frame)); });
  return OkStatus();
}

void FolderSource::Run(std::size_t index, Frame frame) {
  delivery_.AccountThread();
  bool going = true;
  while (going) {
    const std::uint64_t before = shown_;
    while (going && index < files_.size()) {
      going = Show(std::move(frame));
      if (!going) break;
      frame = Frame();
      index = DecodeNext(index + 1, &frame);
    }
    if (!going || !options_.loop) break;
    if (auto files = ListPictures(folder_); files && !files->empty()) files_ = *std::move(files);
    frame = Frame();
    index = DecodeNext(0, &frame);
    if (index == files_.size() && shown_ == before) break;
  }
  delivery_.SettleThread();
  if (going) delivery_.End(OkStatus());
}

bool FolderSource::Show(Frame frame) {
  frame.captured = delivery_.clock().Monotonic();
  frame.scene_time = frame.captured;
  if (options_.fps > 0) {
    frame.scene_time = static_cast<Nanos>(shown_) * static_cast<Nanos>(1e9 / options_.fps);
    if (options_.realtime) {
      frame.captured = pacer_.Due(frame.scene_time, frame.captured);
      if (!delivery_.SleepUntil(frame.captured)) return false;
    }
  }
  ++shown_;
  return delivery_.Deliver(std::move(frame));
}

std::size_t FolderSource::DecodeNext(std::size_t begin, Frame* frame) {
  std::size_t index = begin;
  while (index < files_.size() && !delivery_.stopping() && !DecodeOne(files_[index], frame)) {
    delivery_.CountCorrupt();
    ++index;
  }
  return index;
}

bool FolderSource::DecodeOne(const std::string& path, Frame* frame) {
  std::array<char, 12> head = {};
  std::ifstream file(path, std::ios::binary);
  file.read(head.data(), head.size());
  const std::string_view type = PictureType({head.data(), static_cast<std::size_t>(file.gcount())});
  if (type.empty()) {
    log::Warning("capture", "not a picture; skipped", {{"file", path}});
    return false;
  }
  auto& decoder = decoders_[std::string(type)];
  if (decoder == nullptr) {
    auto made = PictureDecoder::Make(type, std::max(1, options_.decoder_threads));
    if (!made) {
      log::Warning("capture", "picture skipped",
                   {{"file", path}, {"reason", made.error().message()}});
      return false;
    }
    decoder = *std::move(made);
  }
  auto sample = decoder->Decode(path);
  if (!sample) {
    log::Warning("capture", "picture skipped",
                 {{"file", path}, {"reason", sample.error().message()}});
    // After an error an element may be in any state: the next picture gets a new pipeline.
    decoder.reset();
    return false;
  }
  const auto format = ParseRawFormat(gst_sample_get_caps(sample->get()));
  if (!format) return false;
  *frame = pool_.Wrap(gst_sample_get_buffer(sample->get()), *format);
  return frame->HasPixels();
}

void FolderSource::Stop() {
  delivery_.BeginStop();
  delivery_.WaitIdle();
  if (delivery_.IsCallbackThread()) return;
  const std::lock_guard lock(stop_mutex_);
  if (thread_.joinable()) thread_.join();
}

std::string FolderSource::Describe() const {
  return "filesrc location=" + folder_ + "/* ! jpegdec | pngdec | webpdec ! appsink";
}

}  // namespace selvedge
