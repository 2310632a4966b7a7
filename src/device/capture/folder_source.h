#pragma once

// FolderSource: the pictures of a folder (JPEG, PNG, WebP; by content, not by ending), sorted by
// name.
//
// One thread reads, decodes and delivers. Sizes may be mixed. A file that is no picture, is damaged
// or does not decode within ten seconds is counted corrupt, told once, and skipped. `fps` paces
// (with `realtime`); without it the pictures come as fast as they decode. Files that appear later
// are seen by the next loop.

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device/capture/delivery.h"
#include "device/capture/frame_pool.h"
#include "device/capture/pacer.h"
#include "device/capture/source.h"

namespace selvedge {

class PictureDecoder;

class FolderSource final : public Source {
 public:
  // `clock` outlives the source.
  FolderSource(SourceOptions options, std::string folder, const Clock& clock);
  ~FolderSource() override;

  // NotFound without pictures.
  Status Start(OnFrame on_frame, OnEnd on_end) override;
  void Stop() override;
  SourceStats Stats() const override { return delivery_.Stats(); }
  std::string Describe() const override;
  bool IsLive() const override { return false; }
  std::uint64_t ExpectedFrames() const override { return expected_.load(); }

 private:
  // Decodes from `begin` on until a picture is good; its index, or the size of files_ at the end.
  std::size_t DecodeNext(std::size_t begin, Frame* frame);
  bool DecodeOne(const std::string& path, Frame* frame);
  void Run(std::size_t first, Frame frame);
  bool Show(Frame frame);

  const SourceOptions options_;
  std::string folder_;
  Delivery delivery_;
  FramePool pool_;
  Pacer pacer_{1};
  std::map<std::string, std::unique_ptr<PictureDecoder>> decoders_;  // by element
  std::vector<std::string> files_;
  std::uint64_t shown_ = 0;
  std::atomic<std::uint64_t> expected_{0};
  std::mutex stop_mutex_;
  std::thread thread_;
};

}  // namespace selvedge
