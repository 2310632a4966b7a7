#pragma once

// FakeBackend: an engine without a library, for tests of everything around engines (".fake" files).
//
// Its models are text, one statement a line, `#` starts a comment:
//
//   selvedge-fake-model 1                        first line, always
//   input NAME TYPE SHAPE [quantised SCALE ZERO] SHAPE as [1,300,300,3], `?` for a dimension that
//   is not fixed output NAME TYPE SHAPE FUNCTION              FUNCTION is one of:
//     fill VALUE                                   every element
//     copy INPUT                                   same type and shape as the input (`?` follow it)
//     add INPUT INPUT                              float32, the same shapes
//     sum INPUT...                                 all elements of the inputs, into every element
//     rows                                         float32; what the script says, the rest 0
//   rows KEY OUTPUT VALUE...                     script: elements of OUTPUT from its start when the
//   key is KEY key calls                                    the key is the number of Runs so far,
//   from 0, over all
//                                                Executions (the default)
//   key INPUT                                    the key is the first element of INPUT, rounded:
//   then the
//                                                answer depends on the picture alone, not on who
//                                                came first
//   repeat                                       after the last KEY the script starts again (else
//   rows are 0) fail KEY TEXT                                a Run with this key fails with
//   Internal and TEXT sleep MILLISECONDS                           each Run takes so long without
//   using the processor busy MILLISECONDS                            each Run uses the processor
//   for so long
//
// So a detector for pipeline tests is `output boxes float32 [1,100,6] rows` and `rows 0 boxes 10 20
// 30 40 0.9 0` read by the CenterNet decoder. Threads, memory and failure are those of engine.h; a
// statement it does not know is InvalidArgument, a FUNCTION it does not know is Unimplemented, both
// naming the line.

#include <memory>

#include "engine/engine.h"

namespace selvedge {

std::unique_ptr<EngineBackend> MakeFakeBackend();

}  // namespace selvedge
