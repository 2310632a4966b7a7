#include "device/capture/camera.h"

#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <optional>

namespace selvedge {
namespace {

// Ordered by what a picture costs until it is raw and in a format of ours.
struct FormatFact {
  CameraFormat format;
  std::uint32_t fourcc;
  int cost;
  const char* caps;
};
constexpr std::array kFormats = {
    FormatFact{CameraFormat::kNv12, V4L2_PIX_FMT_NV12, 0, "video/x-raw, format=(string)NV12"},
    FormatFact{CameraFormat::kI420, V4L2_PIX_FMT_YUV420, 0, "video/x-raw, format=(string)I420"},
    FormatFact{CameraFormat::kBgr, V4L2_PIX_FMT_BGR24, 1, "video/x-raw, format=(string)BGR"},
    FormatFact{CameraFormat::kRgb, V4L2_PIX_FMT_RGB24, 1, "video/x-raw, format=(string)RGB"},
    FormatFact{CameraFormat::kYuyv, V4L2_PIX_FMT_YUYV, 2, "video/x-raw, format=(string)YUY2"},
    FormatFact{CameraFormat::kUyvy, V4L2_PIX_FMT_UYVY, 2, "video/x-raw, format=(string)UYVY"},
    FormatFact{CameraFormat::kJpeg, V4L2_PIX_FMT_MJPEG, 3, "image/jpeg"},
    FormatFact{CameraFormat::kJpeg, V4L2_PIX_FMT_JPEG, 3, "image/jpeg"},
    FormatFact{CameraFormat::kGray8, V4L2_PIX_FMT_GREY, 4, "video/x-raw, format=(string)GRAY8"},
    FormatFact{CameraFormat::kH264, V4L2_PIX_FMT_H264, 5, "video/x-h264"},
};

const FormatFact& FactOf(CameraFormat format) {
  return *std::ranges::find(kFormats, format, &FormatFact::format);
}

class Device {
 public:
  explicit Device(const std::string& path)
      : fd_(open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC)) {}
  ~Device() {
    if (fd_ >= 0) close(fd_);
  }
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  bool ok() const { return fd_ >= 0; }
  template <typename T>
  bool Ask(unsigned long request, T* argument) const {
    int result = 0;
    do {
      result = ioctl(fd_, request, argument);
    } while (result < 0 && errno == EINTR);
    return result == 0;
  }

 private:
  int fd_;
};

Status OpenError(const std::string& device, int error) {
  const std::string what = "camera " + device;
  switch (error) {
    case ENOENT:
    case ENXIO:
    case ENODEV:
      return NotFoundError(what +
                           " does not exist; check that it is plugged in, and its number with "
                           "ls /dev/video*");
    case EACCES:
    case EPERM:
      return PermissionDeniedError(what +
                                   " may not be opened by this user; add the user to the group "
                                   "\"video\" and log in again");
    case EBUSY: return UnavailableError(what + " is in use by another program; close that program");
    default: return ErrnoError(error, what + " cannot be opened");
  }
}

void AddRates(const Device& device, std::uint32_t fourcc, CameraMode* mode) {
  for (std::uint32_t i = 0; i < 256; ++i) {
    v4l2_frmivalenum interval = {};
    interval.index = i;
    interval.pixel_format = fourcc;
    interval.width = static_cast<std::uint32_t>(mode->width);
    interval.height = static_cast<std::uint32_t>(mode->height);
    if (!device.Ask(VIDIOC_ENUM_FRAMEINTERVALS, &interval)) return;
    const bool discrete = interval.type == V4L2_FRMIVAL_TYPE_DISCRETE;
    const v4l2_fract& seconds = discrete ? interval.discrete : interval.stepwise.min;
    if (seconds.numerator > 0) {
      mode->fps = std::max(mode->fps, static_cast<double>(seconds.denominator) / seconds.numerator);
      if (discrete) {
        mode->rates.emplace_back(static_cast<int>(seconds.denominator),
                                 static_cast<int>(seconds.numerator));
      }
    }
    if (!discrete) return;
  }
}

void AddModes(const Device& device, const FormatFact& fact, int width, int height,
              CameraFacts* facts) {
  const auto add = [&](int w, int h) {
    CameraMode mode{fact.format, w, h};
    AddRates(device, fact.fourcc, &mode);
    if (std::ranges::find(facts->modes, mode) == facts->modes.end())
      facts->modes.push_back(std::move(mode));
  };
  for (std::uint32_t i = 0; i < 256; ++i) {
    v4l2_frmsizeenum size = {};
    size.index = i;
    size.pixel_format = fact.fourcc;
    if (!device.Ask(VIDIOC_ENUM_FRAMESIZES, &size)) {
      // Drivers of plain capture cards list no sizes; the current one works.
      if (i == 0 && facts->current_width > 0) add(facts->current_width, facts->current_height);
      return;
    }
    if (size.type == V4L2_FRMSIZE_TYPE_DISCRETE) {
      add(static_cast<int>(size.discrete.width), static_cast<int>(size.discrete.height));
      continue;
    }
    const auto fits = [&](int w, int h) {
      return w >= static_cast<int>(size.stepwise.min_width) &&
             w <= static_cast<int>(size.stepwise.max_width) &&
             h >= static_cast<int>(size.stepwise.min_height) &&
             h <= static_cast<int>(size.stepwise.max_height);
    };
    if (width > 0 && height > 0 && fits(width, height)) add(width, height);
    if (fits(facts->current_width, facts->current_height)) {
      add(facts->current_width, facts->current_height);
    }
    return;
  }
}

std::string ListSizes(const CameraFacts& facts) {
  std::vector<std::pair<int, int>> sizes;
  for (const CameraMode& mode : facts.modes) sizes.emplace_back(mode.width, mode.height);
  std::ranges::sort(sizes);
  const auto duplicates = std::ranges::unique(sizes);
  sizes.erase(duplicates.begin(), duplicates.end());
  std::string list;
  for (const auto& [w, h] : sizes) {
    list += (list.empty() ? "" : ", ") + std::to_string(w) + "x" + std::to_string(h);
  }
  return list;
}

}  // namespace

Result<CameraFacts> QueryCamera(const std::string& path, int width, int height) {
  const Device device(path);
  if (!device.ok()) return Err(OpenError(path, errno));
  v4l2_capability capability = {};
  const bool answers = device.Ask(VIDIOC_QUERYCAP, &capability);
  const std::uint32_t abilities = (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0
                                      ? capability.device_caps
                                      : capability.capabilities;
  const bool single = (abilities & V4L2_CAP_VIDEO_CAPTURE) != 0;
  const bool planar = (abilities & V4L2_CAP_VIDEO_CAPTURE_MPLANE) != 0;
  if (!answers || (!single && !planar)) {
    return Err(InvalidArgumentError(path +
                                    " is not a camera; give a device that captures video, such as "
                                    "/dev/video0"));
  }
  CameraFacts facts;
  facts.name = reinterpret_cast<const char*>(capability.card);
  const std::uint32_t type =
      single ? V4L2_BUF_TYPE_VIDEO_CAPTURE : V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
  v4l2_format current = {};
  current.type = type;
  if (device.Ask(VIDIOC_G_FMT, &current)) {
    facts.current_width =
        static_cast<int>(single ? current.fmt.pix.width : current.fmt.pix_mp.width);
    facts.current_height =
        static_cast<int>(single ? current.fmt.pix.height : current.fmt.pix_mp.height);
  }
  for (std::uint32_t i = 0; i < 256; ++i) {
    v4l2_fmtdesc description = {};
    description.index = i;
    description.type = type;
    if (!device.Ask(VIDIOC_ENUM_FMT, &description)) break;
    for (const FormatFact& fact : kFormats) {
      if (fact.fourcc == description.pixelformat) AddModes(device, fact, width, height, &facts);
    }
  }
  if (facts.modes.empty()) {
    return Err(
        UnimplementedError("camera " + path +
                           " offers no picture format that we know; it needs YUYV, NV12, MJPEG "
                           "or H.264"));
  }
  return facts;
}

Result<CameraMode> ChooseCameraMode(const CameraFacts& facts, const std::string& device, int width,
                                    int height, double fps) {
  if (width <= 0) width = facts.current_width;
  if (height <= 0) height = facts.current_height;
  std::vector<CameraMode> fitting;
  for (const CameraMode& mode : facts.modes) {
    // Without a wish and without a current size, whatever comes first.
    if (width <= 0 || height <= 0) {
      width = mode.width;
      height = mode.height;
    }
    if (mode.width == width && mode.height == height) fitting.push_back(mode);
  }
  if (fitting.empty()) {
    return Err(InvalidArgumentError("camera " + device + " does not offer " +
                                    std::to_string(width) + "x" + std::to_string(height) +
                                    "; set source.width and source.height to one of " +
                                    ListSizes(facts)));
  }
  const double wanted = (fps > 0 ? fps : 25) * 0.99;
  // Unknown rates count as fast enough: the driver will tell.
  const auto reaches = [&](const CameraMode& mode) { return mode.fps == 0 || mode.fps >= wanted; };
  return *std::ranges::min_element(fitting, [&](const CameraMode& a, const CameraMode& b) {
    if (reaches(a) != reaches(b)) return reaches(a);
    if (!reaches(a) && a.fps != b.fps) return a.fps > b.fps;
    return FactOf(a.format).cost < FactOf(b.format).cost;
  });
}

std::string CameraCaps(const CameraMode& mode, double fps) {
  std::string caps = FactOf(mode.format).caps;
  caps +=
      ", width=(int)" + std::to_string(mode.width) + ", height=(int)" + std::to_string(mode.height);
  const auto rate_of = [](const std::pair<int, int>& r) {
    return static_cast<double>(r.first) / r.second;
  };
  std::optional<std::pair<int, int>> rate;
  if (fps > 0 && !mode.rates.empty()) {
    for (const auto& offered : mode.rates) {
      if (rate_of(offered) < fps * 0.99) continue;
      if (!rate || rate_of(offered) < rate_of(*rate)) rate = offered;
    }
  } else if (fps > 0 && mode.fps > 0 && fps <= mode.fps) {
    rate = {static_cast<int>(std::lround(fps * 1000)), 1000};
  }
  if (rate) {
    caps +=
        ", framerate=(fraction)" + std::to_string(rate->first) + "/" + std::to_string(rate->second);
  }
  return caps;
}

}  // namespace selvedge
