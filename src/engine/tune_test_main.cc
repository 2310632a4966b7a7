// The tests of tune start this very executable as their measuring process.

#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "engine/fake/fake_backend.h"
#include "engine/tune_child.h"

namespace {

// What a child may do to its parent besides measuring, by the name of the candidate's variant.
void Misbehave(const char* json) {
  if (std::strstr(json, "\"crash\"") != nullptr) std::raise(SIGSEGV);
  if (std::strstr(json, "\"hang\"") != nullptr) {
    for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  if (std::strstr(json, "\"rubbish\"") != nullptr) {
    std::printf("{\"candidate\": 7}\n");
    std::exit(0);  // NOLINT(concurrency-mt-unsafe): the process has one thread
  }
  if (std::strstr(json, "\"flood\"") != nullptr) {
    for (int i = 0; i < 100'000; ++i) std::printf("many lines that nobody asked for %d\n", i);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (selvedge::IsTuneCandidateCall(argc, argv)) {
    Misbehave(argv[2]);
    auto fake = selvedge::MakeFakeBackend();
    selvedge::EngineBackend* backends[] = {fake.get()};
    return selvedge::ServeTuneCandidate(argv[2], backends);
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
