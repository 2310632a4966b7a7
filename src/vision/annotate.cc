#include "vision/annotate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "vision/preprocess_internal.h"

namespace selvedge {
namespace {

// Full-range BT.601 Y, Cb, Cr.
struct Color {
  std::uint8_t y;
  std::uint8_t u;
  std::uint8_t v;
};

constexpr Color kBlack = {16, 128, 128};
constexpr Color kWhite = {245, 128, 128};
constexpr Color kZone = {190, 100, 90};    // a quiet green
constexpr Color kAlarm = {110, 100, 220};  // red
constexpr double kZoneOpacity = 0.16;
constexpr double kAlarmOpacity = 0.28;

Color FromRgb(double r, double g, double b) {
  const double y = 0.299 * r + 0.587 * g + 0.114 * b;
  const auto byte = [](double v) {
    return static_cast<std::uint8_t>(std::clamp(std::lround(v), 0L, 255L));
  };
  return {byte(y), byte(128 + 0.564 * (b - y)), byte(128 + 0.713 * (r - y))};
}

// Neighbouring numbers get colours far apart: hues advance by the golden ratio.
Color ColorOfIdentity(std::int64_t id) {
  const double hue = std::fmod(static_cast<double>(id % 1000) * 0.61803398875 + 1000.0, 1.0) * 6;
  constexpr double kValue = 250;
  constexpr double kLow = kValue * 0.22;
  const double ramp = kLow + (kValue - kLow) * (1 - std::abs(std::fmod(hue, 2.0) - 1));
  switch (static_cast<int>(hue)) {
    case 0: return FromRgb(kValue, ramp, kLow);
    case 1: return FromRgb(ramp, kValue, kLow);
    case 2: return FromRgb(kLow, kValue, ramp);
    case 3: return FromRgb(kLow, ramp, kValue);
    case 4: return FromRgb(ramp, kLow, kValue);
    default: return FromRgb(kValue, kLow, ramp);
  }
}

// The planes of a picture as OpenCV sees them, and what is drawn on all three at once. U and V are
// drawn at half the coordinates.
class Canvas {
 public:
  explicit Canvas(I420Image* picture)
      : scale_x_(picture->scale_x()),
        scale_y_(picture->scale_y()),
        planes_{cv::Mat(picture->height(), picture->width(), CV_8UC1, picture->plane(0)),
                cv::Mat(picture->height() / 2, picture->width() / 2, CV_8UC1, picture->plane(1)),
                cv::Mat(picture->height() / 2, picture->width() / 2, CV_8UC1, picture->plane(2))},
        font_scale_(std::clamp(picture->width() / 1600.0, 0.38, 0.9)),
        stroke_(std::clamp(picture->width() / 400, 2, 6)) {}

  int stroke() const { return stroke_; }

  float source_width() const { return static_cast<float>(planes_[0].cols) / scale_x_; }
  float source_height() const { return static_cast<float>(planes_[0].rows) / scale_y_; }

  // Source to picture pixels.
  cv::Point Place(float x, float y) const { return Pixel(x * scale_x_, y * scale_y_); }
  void Outline(cv::Point a, cv::Point b, Color color, int thickness) {
    cv::rectangle(planes_[0], a, b, cv::Scalar(color.y), thickness);
    const int half = std::max(1, thickness / 2);
    cv::rectangle(planes_[1], a / 2, b / 2, cv::Scalar(color.u), half);
    cv::rectangle(planes_[2], a / 2, b / 2, cv::Scalar(color.v), half);
  }

  void Fill(cv::Rect area, Color color) {
    area &= cv::Rect(0, 0, planes_[0].cols, planes_[0].rows);
    if (area.empty()) return;
    planes_[0](area).setTo(cv::Scalar(color.y));
    const cv::Rect half(area.x / 2, area.y / 2, (area.width + 1) / 2, (area.height + 1) / 2);
    const cv::Rect inside = half & cv::Rect(0, 0, planes_[1].cols, planes_[1].rows);
    planes_[1](inside).setTo(cv::Scalar(color.u));
    planes_[2](inside).setTo(cv::Scalar(color.v));
  }

  void Path(const std::vector<cv::Point>& points, bool closed, Color color) {
    std::vector<cv::Point> halves;
    halves.reserve(points.size());
    for (const cv::Point& p : points) halves.push_back(p / 2);
    cv::polylines(planes_[0], points, closed, cv::Scalar(color.y), stroke_, cv::LINE_AA);
    const int half = std::max(1, stroke_ / 2);
    cv::polylines(planes_[1], halves, closed, cv::Scalar(color.u), half, cv::LINE_AA);
    cv::polylines(planes_[2], halves, closed, cv::Scalar(color.v), half, cv::LINE_AA);
  }

  // Lets the picture shine through.
  void Tint(const std::vector<cv::Point>& points, Color color, double opacity) {
    const std::array<std::uint8_t, 3> values = {color.y, color.u, color.v};
    for (int i = 0; i < 3; ++i) {
      std::vector<cv::Point> scaled;
      scaled.reserve(points.size());
      for (const cv::Point& p : points) scaled.push_back(i == 0 ? p : p / 2);
      cv::Mat& plane = planes_[i];
      const cv::Rect area = cv::boundingRect(scaled) & cv::Rect(0, 0, plane.cols, plane.rows);
      if (area.empty()) return;
      cv::Mat mask(area.size(), CV_8UC1, cv::Scalar(0));
      cv::fillPoly(mask, scaled, cv::Scalar(255), cv::LINE_8, 0, -area.tl());
      cv::Mat mixed;
      plane(area).convertTo(mixed, CV_8U, 1 - opacity, opacity * values[i]);
      mixed.copyTo(plane(area), mask);
    }
  }

  // Text on a filled tag whose lower left corner is at `corner`, moved to where the picture shows
  // it whole.
  void Tag(const std::string& text, cv::Point corner, Color background) {
    int baseline = 0;
    const cv::Size size =
        cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, font_scale_, 1, &baseline);
    const int margin = 3 + stroke_ / 2;
    cv::Rect tag(corner.x, corner.y - size.height - 2 * margin, size.width + 2 * margin,
                 size.height + 2 * margin);
    tag.x = std::max(0, std::min(tag.x, planes_[0].cols - tag.width));
    tag.y = std::max(0, std::min(tag.y, planes_[0].rows - tag.height));
    Fill(tag, background);
    const Color ink = background.y > 120 ? kBlack : kWhite;
    cv::putText(planes_[0], text, {tag.x + margin, tag.y + tag.height - margin - 1},
                cv::FONT_HERSHEY_SIMPLEX, font_scale_, cv::Scalar(ink.y), 1, cv::LINE_AA);
  }

 private:
  // Kept within what OpenCV's fixed-point drawing takes.
  static cv::Point Pixel(float x, float y) {
    const auto limit = [](float v) {
      return static_cast<int>(std::lround(std::clamp(v, -8192.0F, 24576.0F)));
    };
    return {limit(x), limit(y)};
  }

  float scale_x_;
  float scale_y_;
  std::array<cv::Mat, 3> planes_;
  double font_scale_;
  int stroke_;
};

std::string LabelOf(std::int32_t class_id, std::span<const std::string> labels) {
  if (class_id >= 0 && static_cast<std::size_t>(class_id) < labels.size()) return labels[class_id];
  return "class " + std::to_string(class_id);
}

std::string Percent(float score) {
  char text[16];
  std::snprintf(text, sizeof(text), "%.0f%%",
                static_cast<double>(std::clamp(score, 0.0F, 1.0F)) * 100);
  return text;
}

bool Finite(const Box& b) {
  return std::isfinite(b.x1) && std::isfinite(b.y1) && std::isfinite(b.x2) && std::isfinite(b.y2);
}

// A box to draw: tags come after all outlines, so that no line crosses a word.
struct Mark {
  Box box;
  std::string text;  // may be empty
  Color color;
  bool thin;
};

void DrawMarks(Canvas& canvas, const std::vector<Mark>& marks) {
  for (const Mark& mark : marks) {
    if (!Finite(mark.box)) continue;
    canvas.Outline(canvas.Place(mark.box.x1, mark.box.y1), canvas.Place(mark.box.x2, mark.box.y2),
                   mark.color, mark.thin ? 1 : canvas.stroke());
  }
  for (const Mark& mark : marks) {
    if (!Finite(mark.box) || mark.text.empty()) continue;
    canvas.Tag(mark.text, canvas.Place(mark.box.x1, mark.box.y1), mark.color);
  }
}

void DrawOverlays(Canvas& canvas, std::span<const Overlay> overlays) {
  for (const Overlay& overlay : overlays) {
    const float unit_x = overlay.fraction ? canvas.source_width() : 1;
    const float unit_y = overlay.fraction ? canvas.source_height() : 1;
    std::vector<cv::Point> points;
    for (const PointF& p : overlay.points) {
      if (!std::isfinite(p.x) || !std::isfinite(p.y)) continue;
      points.push_back(canvas.Place(p.x * unit_x, p.y * unit_y));
    }
    if (points.size() < 2) continue;
    const Color color = overlay.active ? kAlarm : kZone;
    const bool area = overlay.closed && points.size() > 2;
    if (area) canvas.Tint(points, color, overlay.active ? kAlarmOpacity : kZoneOpacity);
    canvas.Path(points, area, color);
    if (overlay.name.empty()) continue;
    const cv::Point highest = *std::ranges::min_element(points, {}, &cv::Point::y);
    canvas.Tag(overlay.name, highest, color);
  }
}

// Runs `draw` on the picture. OpenCV reports what it does not like by exceptions; a drawing that
// failed is not worth a frame, and none may leave this folder.
template <typename Draw>
void OnCanvas(I420Image* picture, const Draw& draw) {
  if (picture->width() == 0) return;
  try {
    Canvas canvas(picture);
    draw(canvas);
  } catch (const std::exception&) {
    return;
  }
}

cv::Mat Plane(const ImageView& image, int index, int rows, int columns, int type) {
  // OpenCV only reads through it.
  return {rows, columns, type, const_cast<std::uint8_t*>(image.planes[index]),
          static_cast<std::size_t>(image.strides[index])};
}

// Resizes `from` to `to`'s size and stretches it from limited to full range (or by 1).
void CopyPlane(const cv::Mat& from, cv::Mat to, double stretch, double centre) {
  cv::Mat sized = from;
  if (from.size() != to.size()) cv::resize(from, sized, to.size(), 0, 0, cv::INTER_AREA);
  sized.convertTo(to, CV_8U, stretch, centre);
}

void CopyYuv(const ImageView& image, std::array<cv::Mat, 3> to) {
  const double luma = image.full_range ? 1 : 255.0 / 219;
  const double chroma = image.full_range ? 1 : 255.0 / 224;
  const int rows = (image.height + 1) / 2;
  const int columns = (image.width + 1) / 2;
  CopyPlane(Plane(image, 0, image.height, image.width, CV_8UC1), to[0], luma,
            image.full_range ? 0 : -16 * luma);
  std::array<cv::Mat, 2> colors;
  if (image.format == PixelFormat::kNv12) {
    const cv::Mat pairs = Plane(image, 1, rows, columns, CV_8UC2);
    cv::extractChannel(pairs, colors[0], 0);
    cv::extractChannel(pairs, colors[1], 1);
  } else {
    colors = {Plane(image, 1, rows, columns, CV_8UC1), Plane(image, 2, rows, columns, CV_8UC1)};
  }
  for (int i = 0; i < 2; ++i) CopyPlane(colors[i], to[i + 1], chroma, 128 - 128 * chroma);
}

void CopyRgb(const ImageView& image, std::array<cv::Mat, 3> to) {
  cv::Mat sized = Plane(image, 0, image.height, image.width, CV_8UC3);
  if (sized.size() != to[0].size()) {
    cv::Mat smaller;
    cv::resize(sized, smaller, to[0].size(), 0, 0, cv::INTER_AREA);
    sized = smaller;
  }
  // OpenCV's YCrCb is full-range BT.601.
  cv::Mat ycrcb;
  cv::cvtColor(sized, ycrcb,
               image.format == PixelFormat::kRgb24 ? cv::COLOR_RGB2YCrCb : cv::COLOR_BGR2YCrCb);
  std::array<cv::Mat, 3> channels;
  cv::split(ycrcb, channels.data());
  channels[0].copyTo(to[0]);
  cv::resize(channels[2], to[1], to[1].size(), 0, 0, cv::INTER_AREA);
  cv::resize(channels[1], to[2], to[2].size(), 0, 0, cv::INTER_AREA);
}

}  // namespace

std::uint8_t* I420Image::plane(int index) {
  const std::size_t luma = static_cast<std::size_t>(width_) * height_;
  if (index == 0) return pixels_.data();
  return pixels_.data() + luma + (index == 1 ? 0 : luma / 4);
}

ImageView I420Image::View() const {
  ImageView view;
  view.format = PixelFormat::kI420;
  view.width = width_;
  view.height = height_;
  view.matrix = matrix_;
  view.full_range = true;
  if (width_ == 0) return view;
  const std::size_t luma = static_cast<std::size_t>(width_) * height_;
  view.planes = {pixels_.data(), pixels_.data() + luma, pixels_.data() + luma + luma / 4};
  view.strides = {width_, width_ / 2, width_ / 2};
  return view;
}

Status I420Image::CopyFrom(const ImageView& image, int max_width) {
  SELVEDGE_RETURN_IF_ERROR(CheckImage(image));
  if (image.strides[0] < 0 || image.strides[1] < 0 || image.strides[2] < 0) {
    return InvalidArgumentError("a picture stored upside down cannot be annotated");
  }
  const auto even = [](double side) {
    return std::max(kSmallestSide, static_cast<int>(std::lround(side / 2)) * 2);
  };
  const int width = image.width > max_width ? even(std::max(max_width, 1))
                                            : std::max(kSmallestSide, image.width & ~1);
  const double scale = image.width > max_width ? static_cast<double>(width) / image.width : 1;
  const int height =
      scale == 1 ? std::max(kSmallestSide, image.height & ~1) : even(image.height * scale);
  width_ = width;
  height_ = height;
  scale_x_ = static_cast<float>(width) / static_cast<float>(image.width);
  scale_y_ = static_cast<float>(height) / static_cast<float>(image.height);
  matrix_ = image.matrix;
  try {
    pixels_.resize(static_cast<std::size_t>(width) * height * 3 / 2);
    std::array<cv::Mat, 3> planes = {cv::Mat(height, width, CV_8UC1, plane(0)),
                                     cv::Mat(height / 2, width / 2, CV_8UC1, plane(1)),
                                     cv::Mat(height / 2, width / 2, CV_8UC1, plane(2))};
    switch (image.format) {
      case PixelFormat::kI420:
      case PixelFormat::kNv12: CopyYuv(image, planes); break;
      case PixelFormat::kRgb24:
      case PixelFormat::kBgr24:
        CopyRgb(image, planes);
        matrix_ = ColorMatrix::kBt601;
        break;
      case PixelFormat::kGray8:
        CopyPlane(Plane(image, 0, image.height, image.width, CV_8UC1), planes[0], 1, 0);
        planes[1].setTo(cv::Scalar(128));
        planes[2].setTo(cv::Scalar(128));
        break;
    }
  } catch (const std::exception& error) {
    width_ = height_ = 0;
    return InternalError(std::string("the picture could not be copied for the live view: ") +
                         error.what());
  }
  return OkStatus();
}

void Annotate(std::span<const Detection> detections, std::span<const std::string> labels,
              std::span<const Overlay> overlays, I420Image* picture) {
  OnCanvas(picture, [&](Canvas& canvas) {
    DrawOverlays(canvas, overlays);
    std::vector<Mark> marks;
    for (const Detection& d : detections) {
      const bool tracked = d.track_id >= 0;
      std::string text = LabelOf(d.class_id, labels);
      if (tracked) text += " #" + std::to_string(d.track_id);
      text += " " + Percent(d.score);
      const Color color = ColorOfIdentity(tracked ? d.track_id : d.class_id);
      marks.push_back({d.box, std::move(text), color, false});
    }
    DrawMarks(canvas, marks);
  });
}

void Annotate(std::span<const Track> tracks, std::span<const std::string> labels,
              std::span<const Overlay> overlays, I420Image* picture) {
  OnCanvas(picture, [&](Canvas& canvas) {
    DrawOverlays(canvas, overlays);
    std::vector<Mark> marks;
    // Those only predicted lie below those seen.
    for (const bool matched : {false, true}) {
      for (const Track& t : tracks) {
        if (t.matched != matched) continue;
        std::string text;
        if (matched) {
          text = LabelOf(t.class_id, labels) + " #" + std::to_string(t.id) + " " + Percent(t.score);
        }
        marks.push_back({t.box, std::move(text), ColorOfIdentity(t.id), !matched});
      }
    }
    DrawMarks(canvas, marks);
  });
}

void AnnotateStatus(const std::string& text, I420Image* picture) {
  OnCanvas(picture, [&](Canvas& canvas) { canvas.Tag(text, {0, 0}, kBlack); });
}

}  // namespace selvedge
