# One library per folder, one test executable per folder and label.
#
#   selvedge_library(vision SOURCES nms.cc DEPS core PRIVATE_DEPS opencv_imgproc)
#   selvedge_test(vision_test LABEL unit SOURCES nms_test.cc DEPS vision)
#   selvedge_fuzzer(config_fuzz SOURCES config_fuzz.cc DEPS base CORPUS corpus/config)
#
#   selvedge_script_test(tools.layers LABEL lint COMMAND tools/check-layers)
#
# Library `vision` is the target `selvedge_vision`; names in DEPS that match one of our folders
# are mapped the same way, everything else is passed to target_link_libraries as it is.

function(_selvedge_map_deps out)
  set(mapped)
  foreach(dep IN LISTS ARGN)
    if(dep MATCHES "^[a-z_]+$" AND dep IN_LIST SELVEDGE_FOLDERS)
      list(APPEND mapped selvedge_${dep})
    else()
      list(APPEND mapped ${dep})
    endif()
  endforeach()
  set(${out} ${mapped} PARENT_SCOPE)
endfunction()

# Target `suite` builds every executable of a kind: tests-unit, tests-sanitized, fuzzers, ...
set(SELVEDGE_SANITIZED_LABELS unit scenario sim)  # what the asan and tsan presets build and run
function(_selvedge_join_suite name suite)
  if(NOT TARGET ${suite})
    add_custom_target(${suite})
  endif()
  add_dependencies(${suite} ${name})
endfunction()

# Names that DEPS understands: last component(s) of each folder, joined by '_'.
set(SELVEDGE_FOLDERS
    base allocation_counter proto core trust net net_mqtt store
    engine engine_onnxruntime engine_openvino engine_tflite engine_fake engine_backends vision
    registry orchestrate optimizer
    device_capture device_pipeline device_decide device_publish device_agent
    gateway cloud_fleet cloud_events cloud_api sim
    cmd_cli cmd_eval cmd_tune cmd_run cmd_inspect cmd_registry cmd_fleet cmd_agent cmd_gateway cmd_cloud
    cmd_demo cmd_bench cmd_selvedge)

function(selvedge_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(selvedge_${name} STATIC ${ARG_SOURCES})
  target_include_directories(selvedge_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  _selvedge_map_deps(deps ${ARG_DEPS})
  _selvedge_map_deps(private_deps ${ARG_PRIVATE_DEPS})
  target_link_libraries(selvedge_${name} PUBLIC ${deps} PRIVATE ${private_deps})
endfunction()

function(selvedge_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  _selvedge_map_deps(deps ${ARG_DEPS})
  target_link_libraries(${name} PRIVATE ${deps})
  install(TARGETS ${name} RUNTIME)
endfunction()

function(selvedge_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT;WORKING_DIRECTORY" "SOURCES;DEPS;ENVIRONMENT" ${ARGN})
  if(NOT SELVEDGE_BUILD_TESTS)
    return()
  endif()
  if(NOT ARG_LABEL)
    message(FATAL_ERROR "selvedge_test(${name}): LABEL is required")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  _selvedge_join_suite(${name} tests-${ARG_LABEL})
  if(ARG_LABEL IN_LIST SELVEDGE_SANITIZED_LABELS)
    _selvedge_join_suite(${name} tests-sanitized)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_definitions(${name} PRIVATE
    SELVEDGE_SOURCE_DIR="${PROJECT_SOURCE_DIR}" SELVEDGE_BINARY_DIR="${CMAKE_BINARY_DIR}")
  _selvedge_map_deps(deps ${ARG_DEPS})
  target_link_libraries(${name} PRIVATE ${deps} GTest::gmock GTest::gtest GTest::gtest_main)
  include(GoogleTest)
  # An empty value would be lost on the way, and take the next property's name as its value.
  set(environment)
  if(ARG_ENVIRONMENT)
    set(environment ENVIRONMENT "${ARG_ENVIRONMENT}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST
    PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT} ${environment}
      ENVIRONMENT_MODIFICATION "PATH=path_list_prepend:${SELVEDGE_DEPS_DIR}/bin"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
endfunction()

# A test that is a script. It says why it skips, and exits 77.
function(selvedge_script_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "COMMAND;ENVIRONMENT" ${ARGN})
  if(NOT SELVEDGE_BUILD_TESTS)
    return()
  endif()
  if(NOT ARG_LABEL OR NOT ARG_COMMAND)
    message(FATAL_ERROR "selvedge_script_test(${name}): LABEL and COMMAND are required")
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${ARG_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT}
    SKIP_RETURN_CODE 77 ENVIRONMENT
    "SELVEDGE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY};PYTHONDONTWRITEBYTECODE=1;${ARG_ENVIRONMENT}"
    ENVIRONMENT_MODIFICATION
    "PATH=path_list_prepend:${SELVEDGE_DEPS_DIR}/bin;PYTHONPATH=path_list_prepend:${SELVEDGE_DEPS_DIR}/python")
endfunction()

function(selvedge_fuzzer name)
  cmake_parse_arguments(ARG "" "CORPUS" "SOURCES;DEPS" ${ARGN})
  if(NOT SELVEDGE_BUILD_FUZZERS)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  _selvedge_join_suite(${name} fuzzers)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(${name} PRIVATE -fsanitize=fuzzer)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  _selvedge_map_deps(deps ${ARG_DEPS})
  target_link_libraries(${name} PRIVATE ${deps})
  # The corpus is copied so that a run never writes into the source tree.
  add_test(NAME fuzz.${name}
    COMMAND ${PROJECT_SOURCE_DIR}/tools/run-fuzzer $<TARGET_FILE:${name}>
            ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_CORPUS})
  set_tests_properties(fuzz.${name} PROPERTIES LABELS fuzz TIMEOUT 300)
endfunction()
