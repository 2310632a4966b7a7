# Turns a file into a C++ constant at build time, so that an executable carries it.
#
#   selvedge_embed(live_page.html HEADER device/publish/live_page.h CONSTANT kLivePage OUT sources)
#
# `sources` then holds the generated .cc, which includes HEADER and defines
# `const std::string_view selvedge::CONSTANT`. Run as a script (cmake -P), it writes that file.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ "${INPUT}" hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  # 32 bytes a line: some compilers are slow with one line of a megabyte.
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," array "${hex}")
  string(REGEX REPLACE "(................................................................................................................................................................)" "\\1\n" array "${array}")
  file(WRITE "${OUTPUT}" "// Made of ${NAME} by cmake/EmbedFile.cmake.
#include \"${HEADER}\"

namespace selvedge {
namespace {
// Bytes above 127 do not fit a signed char.
constexpr unsigned char kBytes[] = {
${array}
};
}  // namespace

const std::string_view ${CONSTANT}(reinterpret_cast<const char*>(kBytes), ${bytes});
}  // namespace selvedge
")
  return()
endif()

set(SELVEDGE_EMBED_SCRIPT "${CMAKE_CURRENT_LIST_FILE}")

function(selvedge_embed input)
  cmake_parse_arguments(ARG "" "HEADER;CONSTANT;OUT" "" ${ARGN})
  set(output "${CMAKE_CURRENT_BINARY_DIR}/${input}.cc")
  add_custom_command(
    OUTPUT "${output}"
    COMMAND ${CMAKE_COMMAND} "-DINPUT=${CMAKE_CURRENT_SOURCE_DIR}/${input}" "-DOUTPUT=${output}"
            "-DNAME=${input}" "-DHEADER=${ARG_HEADER}" "-DCONSTANT=${ARG_CONSTANT}"
            -P "${SELVEDGE_EMBED_SCRIPT}"
    DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${input}" "${SELVEDGE_EMBED_SCRIPT}"
    COMMENT "Embedding ${input}" VERBATIM)
  set(${ARG_OUT} "${output}" PARENT_SCOPE)
endfunction()
