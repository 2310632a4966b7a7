# The container half of the agent: images, runtime configuration, runc. Included by ../CMakeLists.txt.
selvedge_library(device_agent_containers
  SOURCES
    agent/container.cc
    agent/layer_stream.cc
    agent/oci_image.cc
    agent/oci_layers.cc
    agent/root_folder.cc
    agent/runtime_spec.cc
  DEPS base core trust registry
  PRIVATE_DEPS LibArchive::LibArchive nlohmann_json::nlohmann_json)

# Layers and images made in memory, for tests here and elsewhere.
add_library(selvedge_test_image STATIC EXCLUDE_FROM_ALL agent/test_image.cc)
target_link_libraries(selvedge_test_image
  PUBLIC selvedge_device_agent_containers
  PRIVATE LibArchive::LibArchive nlohmann_json::nlohmann_json)

selvedge_test(device_agent_containers_test LABEL unit
  SOURCES
    agent/container_test.cc
    agent/oci_image_test.cc
    agent/oci_layers_test.cc
    agent/runtime_spec_test.cc
  DEPS selvedge_test_image base trust nlohmann_json::nlohmann_json)
