#include "orchestrate/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "proto/fleet.pb.h"

// What runs where is proved by the scenarios of test/scenario/placement; here is what they cannot
// say.

namespace selvedge {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(FactValues, AreThoseThatTheFormatNames) {
  v1::Facts facts;
  facts.set_arch("arm64");
  facts.set_cpu_model("Cortex");
  facts.set_cpu_cores(6);
  facts.set_memory_bytes(std::uint64_t{8} << 30);
  facts.set_os("Debian");
  facts.set_kernel("6.1");
  facts.set_gpus(1);
  facts.add_engines("onnxruntime 1.31.1");
  facts.add_cameras("yard");
  facts.set_containers(true);
  const KeyValues values = FactValues(facts, "plant-1", "jetson-1");
  EXPECT_THAT(values,
              testing::UnorderedElementsAre(
                  Pair("arch", "arm64"), Pair("cpu", "Cortex"), Pair("cores", "6"),
                  Pair("memory_mb", "8192"), Pair("os", "Debian"), Pair("kernel", "6.1"),
                  Pair("gpu", "1"), Pair("tpu", "0"), Pair("npu", "0"),
                  Pair("engine.onnxruntime", "1.31.1"), Pair("camera.yard", "true"),
                  Pair("containers", "true"), Pair("site", "plant-1"), Pair("name", "jetson-1")));
}

TEST(FactValues, WhatAnOlderDeviceDidNotReportIsNotThere) {
  const KeyValues values = FactValues({}, "s", "n");
  EXPECT_EQ(values.find("arch"), values.end());
  EXPECT_EQ(values.find("cores"), values.end());
  EXPECT_THAT(values, Contains(Pair("gpu", "0")));
}

TEST(AcceleratorCount, ANumberOrOneForAnotherText) {
  const auto count = [](std::string text) { return AcceleratorCount(&text); };
  EXPECT_EQ(AcceleratorCount(nullptr), 0);
  EXPECT_EQ(count("2"), 2);
  EXPECT_EQ(count("coral"), 1);
  EXPECT_EQ(count("true"), 1);
  EXPECT_EQ(count("false"), 0);
  EXPECT_EQ(count("0"), 0);
  EXPECT_EQ(count("-3"), 0);
}

TEST(Place, EveryApplicationAndDeviceGetsOneVerdictByName) {
  const Application b{.name = "b"};
  const Application a{.name = "a"};
  const std::vector<PlacementDevice> devices = {{.name = "z", .known = true}, {.name = "y"}};
  const auto placements = Place({{&b, 1}, {&a, 2}}, devices);
  ASSERT_EQ(placements.size(), 2U);
  EXPECT_EQ(placements[0].application, "a");
  ASSERT_EQ(placements[1].devices.size(), 2U);
  EXPECT_EQ(placements[1].devices[0].device, "y");
  EXPECT_THAT(placements[1].devices[0].reasons, ElementsAre("it has not reported yet what it is"));
  EXPECT_TRUE(placements[1].devices[1].fits);
  EXPECT_THAT(placements[1].devices[1].reasons, IsEmpty());
  EXPECT_TRUE(Place({}, devices).empty());
}

}  // namespace
}  // namespace selvedge
