#pragma once

// RawPicture: a plain copy of a picture's planes, in its own format and size.
//
// What the decision thread pays for the live view is this copy and nothing more: scaling and
// colours are left to the view's own thread. Not thread-safe. Memory is kept and grows to the
// largest picture seen.

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "core/frame.h"

namespace selvedge {

class RawPicture {
 public:
  // InvalidArgument where the view cannot be a picture: no pixels, no size, rows that overlap.
  Status CopyFrom(const ImageView& image);
  // Of this object's own pixels, rows without gaps.
  const ImageView& view() const { return view_; }

 private:
  std::vector<std::uint8_t> pixels_;
  ImageView view_;
};

}  // namespace selvedge
