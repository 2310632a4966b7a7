#pragma once

// Graph passes: each leaves a graph that computes the same with less.
//
// They work in place on a model that import.h has checked and leave it so. Each returns how much it
// removed; running one twice removes nothing the second time. Equivalence is proved by
// passes_property_test.cc, which runs generated graphs before and after. Not thread-safe on one
// model.

#include <onnx/onnx-ml.pb.h>

#include <optional>

#include "base/status.h"
#include "engine/engine.h"
#include "optimizer/graph.h"

namespace selvedge {

// Nodes and constants that no output depends on. Needs sorted nodes.
int RemoveDeadCode(onnx::ModelProto* model);
// Identity, Dropout (in inference it passes its input on), a Cast to the type that it reads.
int RemoveNoOps(onnx::ModelProto* model);

// A Clip or Relu right after another becomes one Clip. For lo1 <= hi1 and lo2 <= hi2,
//   clip(clip(x; lo1, hi1); lo2, hi2) = clip(x; clip(lo1; lo2, hi2), clip(hi1; lo2, hi2)).
int MergeClips(onnx::ModelProto* model);

// A batch norm right after a convolution that nobody else reads becomes part of its weights:
//   w' = w * s, b' = (b - mean) * s + beta, s = gamma / sqrt(var + epsilon), per output channel
// (Jacob et al. 2018, "Quantization and Training of Neural Networks", section 3.2).
int FoldBatchNorms(onnx::ModelProto* model);

struct SimplifyReport {
  int constants = 0;  // nodes replaced by constants
  int reshapes = 0;
  int no_ops = 0;
  int batch_norms = 0;
  int clips = 0;
  int dead = 0;
};
// All of them, in the order that lets one make room for the next. Recorded shapes of values inside
// the graph (value_info) are dropped: engines infer them, and after a change they may be wrong.
Result<SimplifyReport> Simplify(EngineBackend* backend, onnx::ModelProto* model);

// Bounds of a Clip with constant bounds, or of a Relu; empty for anything else.
struct Bounds {
  float low;
  float high;
};
std::optional<Bounds> BoundsOf(const onnx::NodeProto& node, const GraphIndex& index);

// Makes readers of the node's first output read its first input; the caller removes the node.
// False, and nothing changed, where the output is the model's and the input no node's own.
bool BypassNode(int node, onnx::GraphProto* graph);

}  // namespace selvedge
