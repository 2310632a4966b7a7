#pragma once

// What fuzzers say when something that must hold does not: unlike assert, in every build.

#include <cstdio>
#include <cstdlib>

#define SELVEDGE_FUZZ_CHECK(condition)                                                    \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                       \
    }                                                                                     \
  } while (false)
