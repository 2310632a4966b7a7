# Debian's libopencv-core-dev and libopencv-imgproc-dev without the 460 MB of libopencv-dev, which is
# where OpenCVConfig.cmake lives. Defines opencv::core and opencv::imgproc.
find_path(OPENCV_INCLUDE_DIR opencv2/core.hpp PATH_SUFFIXES opencv4)
find_library(OPENCV_CORE_LIBRARY opencv_core)
find_library(OPENCV_IMGPROC_LIBRARY opencv_imgproc)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenCVLean REQUIRED_VARS
  OPENCV_INCLUDE_DIR OPENCV_CORE_LIBRARY OPENCV_IMGPROC_LIBRARY)
if(OpenCVLean_FOUND AND NOT TARGET opencv::core)
  add_library(opencv::core UNKNOWN IMPORTED)
  set_target_properties(opencv::core PROPERTIES IMPORTED_LOCATION ${OPENCV_CORE_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${OPENCV_INCLUDE_DIR})
  add_library(opencv::imgproc UNKNOWN IMPORTED)
  set_target_properties(opencv::imgproc PROPERTIES IMPORTED_LOCATION ${OPENCV_IMGPROC_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${OPENCV_INCLUDE_DIR})
endif()
