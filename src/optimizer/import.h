#pragma once

// Import: an ONNX file becomes a checked model, or one sentence that says what is wrong with it.
//
// What holds afterwards: the protobuf is whole and within limits, opset 9 to 26; every value is
// made exactly once and before it is read (nodes are sorted where they were not; ties keep the
// file's order); every output can be computed and depends on an input; constants have as much data
// as their dimensions say, all of it inside the file, and no weight is NaN or infinite; every input
// has fixed sizes. Nothing is run: whether an engine knows the operators is for the engine to say.
//
// Pure; thread-safe. Trusts nothing: fuzzed (test/fuzz/onnx_fuzz.cc).

#include <onnx/onnx-ml.pb.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace selvedge {

struct ImportOptions {
  // Sizes for inputs, by name; replaces what the file says where that is not fixed.
  std::map<std::string, std::vector<std::int64_t>> input_shapes;
  std::size_t max_bytes = (std::size_t{1} << 31U) - 1;  // what protobuf can hold at all
  int max_nodes = 100'000;
};

// Puts every node after those that it reads from: Kahn's algorithm (Kahn 1962, "Topological sorting
// of large networks"), the earliest ready node first, so that a sorted graph stays as it is.
// InvalidArgument, naming a node, where the graph has a cycle.
Status SortNodes(onnx::GraphProto* graph);

// InvalidArgument (corrupt, contradictory), Unimplemented (external data, opsets, control flow that
// has no place here) or ResourceExhausted (too large).
Result<onnx::ModelProto> ImportOnnx(std::span<const std::byte> bytes,
                                    const ImportOptions& options = {});
// The same from a file; messages begin with its path. NotFound and so on where it cannot be read.
Result<onnx::ModelProto> LoadOnnx(const std::string& path, const ImportOptions& options = {});

}  // namespace selvedge
