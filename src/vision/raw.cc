#include "vision/raw.h"

namespace selvedge {
namespace {

class RawDecoder : public Decoder {
 public:
  Status Decode(std::span<const TensorView> /*outputs*/, const ImageTransform& /*transform*/,
                Detections* out) override {
    out->clear();
    return OkStatus();
  }
};

}  // namespace

std::unique_ptr<Decoder> MakeRawDecoder() {
  return std::make_unique<RawDecoder>();
}

}  // namespace selvedge
