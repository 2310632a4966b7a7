#pragma once

// JpegEncoder: I420 pictures to JPEG, straight from the planes.
//
// JFIF means BT.601 at full range. The range is full already; a picture of another matrix is
// converted in place first, or reds and greens would be off. Owned by one thread. Memory is kept
// from picture to picture.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "vision/annotate.h"

namespace selvedge {

// BT.709 becomes BT.601, JFIF's matrix (ITU-T T.871, section 7), in place. Once for each picture
// copied.
void ConvertToJfif(I420Image* picture);

class JpegEncoder {
 public:
  JpegEncoder();
  ~JpegEncoder();
  JpegEncoder(const JpegEncoder&) = delete;
  JpegEncoder& operator=(const JpegEncoder&) = delete;

  // `quality` 1 to 100. Valid until the next call. Converts the picture's colours (ConvertToJfif).
  // Internal where the library refuses.
  Result<std::string_view> Encode(int quality, I420Image* picture);

 private:
  void* handle_;
  std::vector<unsigned char> buffer_;
};

}  // namespace selvedge
