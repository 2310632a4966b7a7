#pragma once

// Scenarios of rules: text in, decisions out. A *.scenario file has these parts:
//
//   # What it shows. (anywhere: to the end of the line, after a space or at the line's start)
//   picture 100x100                      pixels; this is the default
//   labels person car                    the default
//   --- rules                            zones, lines and rules as in a pipeline file
//   --- frames                           one line for each frame, or for many
//   0.0  #1 20,50  #2 30,60 0.4 car      time in seconds, tracks: id, bottom centre of the box,
//   score (0.9), label (the first) 0.1  #1? 25,50                       ? is a prediction, not
//   matched 0.2  x#1                             the tracker gave it up 0.3 a frame without tracks
//   0.4..2.4/0.1 #1 20,50>60,50          a frame every 0.1 s, the point moves in a straight line
//   picture 200x100                      from here on
//
// What must fire follows `=>` (separated by `;`), each as `rule state #track direction
// value/threshold`; `value/threshold` may be left out, and after a line of many frames each begins
// with its time: `=> @1.4 loitering start #1`. Whatever fires beyond that is a failure.
//
//   --- refused                          instead of frames: words that the error has to contain,
//   one line each
//
// Boxes are 4 pixels wide and 8 high.

#include <string>
#include <vector>

#include "base/status.h"

namespace selvedge::scenario {

struct Outcome {
  bool passed = false;
  std::string report;  // expected and got side by side, with the lines of the file
  int firings = 0;
};

// The files of test/scenario/<folder>, sorted.
std::vector<std::string> List(const std::string& folder);

// InvalidArgument with file and line where the scenario itself cannot be read.
Result<Outcome> RunDecide(const std::string& path);

}  // namespace selvedge::scenario
