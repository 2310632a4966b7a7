// live_view_demo PORT [running|reconnecting|ended|failed] [SECONDS]: the live view of a made-up
// scene. With SECONDS it shows pictures for so long before it goes into that state.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "synthetic_view.h"

int main(int argc, char** argv) {
  using selvedge::PipelineStatus;
  const std::string state = argc > 2 ? argv[2] : "running";
  selvedge::SyntheticView view(argc > 1 ? std::stoi(argv[1]) : 8099);
  std::printf("%s\n", view.server().url().c_str());
  std::fflush(stdout);
  std::this_thread::sleep_for(std::chrono::seconds(argc > 3 ? std::stoi(argv[3]) : 0));
  if (state == "reconnecting") {
    view.SetSource(PipelineStatus::Source::kReconnecting,
                   "rtsp://camera-3/stream1 does not answer; next try in 4 s");
  } else if (state == "ended") {
    view.SetSource(PipelineStatus::Source::kEnded, "");
  } else if (state == "failed") {
    view.SetSource(PipelineStatus::Source::kFailed,
                   "rtsp://camera-3/stream1 wants another password");
  }
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}
