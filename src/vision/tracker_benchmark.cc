// What tracking a frame costs, by the number of objects. Part of vision_benchmark; not a test.

#include <benchmark/benchmark.h>

#include <random>
#include <vector>

#include "vision/tracker.h"

namespace selvedge {
namespace {

// Walkers on a plane of people-sized boxes, most seen in every frame, some crossing.
void BM_TrackerUpdate(benchmark::State& state) {
  const auto objects = static_cast<int>(state.range(0));
  constexpr int kFrames = 100;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> unit(0, 1);
  std::vector<Detections> scene(kFrames);
  for (int w = 0; w < objects; ++w) {
    const float x = 1920 * unit(random);
    const float y = 1080 * unit(random);
    const float vx = 12 * unit(random) - 6;
    const float vy = 6 * unit(random) - 3;
    for (int i = 0; i < kFrames; ++i) {
      if (unit(random) < 0.15F) continue;
      const auto t = static_cast<float>(i);
      const float left = x + vx * t + 4 * unit(random);
      const float top = y + vy * t + 4 * unit(random);
      scene[static_cast<std::size_t>(i)].push_back(
          {.box = {left, top, left + 40, top + 100}, .score = 0.1F + 0.9F * unit(random)});
    }
  }
  Tracker tracker(TrackerOptions{});
  Nanos now = 0;
  std::size_t frame = 0;
  for ([[maybe_unused]] auto _ : state) {
    tracker.Update(now += 100 * kMillisecond, scene[frame]);
    frame = (frame + 1) % kFrames;
  }
}
BENCHMARK(BM_TrackerUpdate)
    ->Arg(1)
    ->Arg(10)
    ->Arg(50)
    ->Arg(200)
    ->Arg(500)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace selvedge
