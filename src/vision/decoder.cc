#include "vision/decoder.h"

#include "vision/centernet.h"
#include "vision/classification.h"
#include "vision/raw.h"
#include "vision/ssd.h"
#include "vision/yolo.h"

namespace selvedge {

Result<std::unique_ptr<Decoder>> MakeDecoder(const ModelCard& card,
                                             std::span<const TensorSpec> outputs) {
  switch (card.decoder.kind) {
    case DecoderKind::kSsd: return MakeSsdDecoder(card, outputs);
    case DecoderKind::kCenterNet: return MakeCenterNetDecoder(card, outputs);
    case DecoderKind::kYoloV5: return MakeYoloV5Decoder(card, outputs);
    case DecoderKind::kYoloV8: return MakeYoloV8Decoder(card, outputs);
    case DecoderKind::kClassification: return MakeClassificationDecoder(card, outputs);
    case DecoderKind::kRaw: return MakeRawDecoder();
  }
  return Err(InternalError("a decoder kind that nobody made"));
}

}  // namespace selvedge
