#pragma once

// Annotation: boxes, labels, identities, zones and lines drawn onto a copy of a picture, for the
// live view.
//
// Drawn straight into the Y, U and V planes (no conversion to RGB and back). Everything is given in
// source pixels and scaled with the picture. Not thread-safe per picture. OpenCV is linked by this
// library alone (CMake target selvedge_vision_annotate), so that who shows nothing does not carry
// it.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/detection.h"
#include "core/frame.h"

namespace selvedge {

// An owned picture: planes Y, U, V one after the other, U and V at half size. Both sides are even,
// the range is full (0..255, as JPEG has it); the colour matrix is the source's, BT.601 for RGB
// sources.
class I420Image {
 public:
  static constexpr int kSmallestSide = 2;  // pixels

  // Copies `image` (any format), scaled down to `max_width` where it is wider. InvalidArgument
  // where the view cannot be a picture; *this is then as it was.
  Status CopyFrom(const ImageView& image, int max_width);
  ImageView View() const;  // of this object's own pixels; no planes before the first CopyFrom
  int width() const { return width_; }
  int height() const { return height_; }
  // Source pixels times this are pixels of this picture.
  float scale_x() const { return scale_x_; }
  float scale_y() const { return scale_y_; }
  std::uint8_t* plane(int index);
  int stride(int index) const { return index == 0 ? width_ : width_ / 2; }

 private:
  std::vector<std::uint8_t> pixels_;
  int width_ = 0;
  int height_ = 0;
  float scale_x_ = 1;
  float scale_y_ = 1;
  ColorMatrix matrix_ = ColorMatrix::kBt601;
};

struct PointF {
  float x = 0;  // source pixels
  float y = 0;
};

// A named polygon (closed) or line (open, two points or more) of the rules.
struct Overlay {
  std::string name;
  std::vector<PointF> points;
  bool closed = true;
  // Points are fractions 0..1 of the picture rather than source pixels: rules may not know its
  // size.
  bool fraction = false;
  bool active = false;  // a rule on it holds right now: drawn in the alarm colour
};

// Detections are drawn with "label score"; those with a track_id as "label #id score" in the
// track's colour.
void Annotate(std::span<const Detection> detections, std::span<const std::string> labels,
              std::span<const Overlay> overlays, I420Image* picture);
// Tracks that were not matched in this frame are drawn thin.
void Annotate(std::span<const Track> tracks, std::span<const std::string> labels,
              std::span<const Overlay> overlays, I420Image* picture);
// One line of text with a filled background in the picture's top left corner ("12.3 ms  onnxruntime
// int8").
void AnnotateStatus(const std::string& text, I420Image* picture);

}  // namespace selvedge
