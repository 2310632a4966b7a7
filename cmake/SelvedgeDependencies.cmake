# Everything we link comes from Debian; engines are loaded at run time (docs/decisions/engines.md).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Protobuf REQUIRED)
find_package(Eigen3 REQUIRED)
find_package(OpenCVLean REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(LibArchive REQUIRED)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
# Paho has a CMake package in newer releases only; the library with TLS, asynchronous (paho-mqtt3as).
find_path(PAHO_MQTT_INCLUDE_DIR MQTTAsync.h REQUIRED)
find_library(PAHO_MQTT_LIBRARY paho-mqtt3as REQUIRED)
add_library(paho_mqtt UNKNOWN IMPORTED)
set_target_properties(paho_mqtt PROPERTIES
  IMPORTED_LOCATION ${PAHO_MQTT_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${PAHO_MQTT_INCLUDE_DIR})
pkg_check_modules(GSTREAMER REQUIRED IMPORTED_TARGET
  gstreamer-1.0 gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-allocators-1.0)
pkg_check_modules(TURBOJPEG REQUIRED IMPORTED_TARGET libturbojpeg)

if(SELVEDGE_BUILD_TESTS)
  find_package(GTest REQUIRED)
  pkg_check_modules(GST_RTSP_SERVER REQUIRED IMPORTED_TARGET gstreamer-rtsp-server-1.0)
endif()

# Headers of the engines, unpacked by tools/setup (which see). At run time the libraries are found by
# engine/library.h: SELVEDGE_ENGINE_PATH, beside the executable, then this folder.
set(SELVEDGE_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps" CACHE PATH "Where tools/setup unpacked the engines")
