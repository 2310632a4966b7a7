#pragma once

// Cameras (Video4Linux): what the device offers and which of it we ask for.
//
// QueryCamera asks the driver; ChooseCameraMode is pure and unit-tested. Compressed pictures are
// cheap on the USB wire and dear to decode, so raw wins wherever the camera reaches the asked rate
// with it.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace selvedge {

enum class CameraFormat { kNv12, kI420, kGray8, kRgb, kBgr, kYuyv, kUyvy, kJpeg, kH264 };

struct CameraMode {
  CameraFormat format = CameraFormat::kYuyv;
  int width = 0;   // pixels
  int height = 0;  // pixels
  double fps = 0;  // the highest the camera offers at this size; 0 unknown
  // Every rate it offers, as frames/seconds; empty where it lists none (any rate up to `fps`, or
  // unknown).
  std::vector<std::pair<int, int>> rates;
  bool operator==(const CameraMode&) const = default;
};

struct CameraFacts {
  std::string name;  // the driver's, "HD Webcam C920"
  std::vector<CameraMode>
      modes;              // discrete sizes, and the asked and current one of those in ranges
  int current_width = 0;  // what the driver is set to
  int current_height = 0;
};

// NotFound, PermissionDenied, Unavailable (busy) or InvalidArgument (no capture device), as a
// sentence. `width`, `height`: what will be asked, for drivers that offer ranges rather than sizes;
// 0 none.
Result<CameraFacts> QueryCamera(const std::string& device, int width, int height);

// The mode to ask for: exactly the asked size (0: the driver's current one), else InvalidArgument
// naming what there is; among formats, one that reaches `fps` (0: 25), cheapest to decode first;
// where none does, the fastest.
Result<CameraMode> ChooseCameraMode(const CameraFacts& facts, const std::string& device, int width,
                                    int height, double fps);

// Caps that v4l2src is asked for, "image/jpeg, width=(int)1280, …". The slowest rate that still
// reaches `fps`: what a camera need not send, nobody need decode. 0, or more than it can, leaves
// the rate to the camera.
std::string CameraCaps(const CameraMode& mode, double fps);

}  // namespace selvedge
