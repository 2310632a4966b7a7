#pragma once

// Calibration: pictures go through the float graph, and observers keep what its values are like.
//
// The values are outputs of one engine run per picture, in as many slices as the memory budget
// asks for (the pictures are then fed again for each slice). Memory: the engine's, one slice of
// activations, one histogram of 64 KiB per value; none of it grows with the number of pictures.

#include <onnx/onnx-ml.pb.h>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "core/tensor.h"
#include "engine/engine.h"
#include "optimizer/observer.h"

namespace selvedge {

// Where pictures come from; the caller's. The same pictures in the same order after each Rewind.
class CalibrationFeed {
 public:
  virtual ~CalibrationFeed() = default;
  virtual Status Rewind() = 0;
  // Fills the model's inputs with the next picture; false when there is none.
  virtual Result<bool> Next(std::span<const TensorView> inputs) = 0;
};

struct Observation {
  Histogram histogram;
  ChannelMeans means;  // of values with two or more dimensions
};

struct CalibrationOptions {
  std::size_t slice_bytes = std::size_t{64} << 20U;  // of activations at once, at least one value
};

struct Calibration {
  std::map<std::string, Observation, std::less<>> values;
  std::int64_t pictures = 0;
  int slices = 0;
};

// Observes `values` (made by nodes, or inputs of the model; float32). InvalidArgument where the
// feed has no picture or a value is not float32; the engine's and the feed's errors.
Result<Calibration> Calibrate(EngineBackend* backend, onnx::ModelProto* model,
                              const std::vector<std::string>& values, CalibrationFeed* feed,
                              const CalibrationOptions& options = {});

}  // namespace selvedge
