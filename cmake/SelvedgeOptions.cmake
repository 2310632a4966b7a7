# Language level, warnings, sanitizers, ccache and output folders: what holds for every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

option(SELVEDGE_BUILD_TESTS "Build unit, contract, scenario, property and integration tests" ON)
option(SELVEDGE_BUILD_FUZZERS "Build libFuzzer targets (needs clang)" OFF)
set(SELVEDGE_SANITIZE "" CACHE STRING "Comma-separated -fsanitize= list, e.g. address,undefined or thread")

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_compile_options(-Wall -Wextra -Werror -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wno-missing-field-initializers -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives from inlined library code at -O2 with these two.
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # libstdc++ 12's own std::stable_sort calls a function that it marks deprecated; GCC sees it as a system header.
  add_compile_options(-Wno-deprecated-declarations)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-ffunction-sections -fdata-sections -fstack-protector-strong)
  add_compile_definitions(_FORTIFY_SOURCE=2)
  add_link_options(-Wl,--gc-sections -Wl,-z,relro,-z,now)
else()
  # Out-of-range subscripts of standard containers end the program instead of reading on.
  add_compile_definitions(_GLIBCXX_ASSERTIONS=1)
endif()
if(SELVEDGE_SANITIZE)
  add_compile_options(-fsanitize=${SELVEDGE_SANITIZE} -fno-sanitize-recover=all -g1)
  add_link_options(-fsanitize=${SELVEDGE_SANITIZE})
  add_compile_definitions(SELVEDGE_SANITIZED=1)
  # Instrumented code makes GCC 12 warn of what is not there (Asio's coroutine frames, for one); warnings
  # are judged by the other builds.
  add_compile_options(-Wno-error)
endif()
