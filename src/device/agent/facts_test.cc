#include "device/agent/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace selvedge {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
namespace fs = std::filesystem;

// A machine made of files.
class FactsTest : public ::testing::Test {
 protected:
  FactsTest() : root_(fs::temp_directory_path() / ("selvedge-facts-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~FactsTest() override { fs::remove_all(root_); }
  void Put(const std::string& path, const std::string& content = "") {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << content;
  }
  const fs::path root_;
};

TEST_F(FactsTest, AnEmptyMachineHasNothing) {
  EXPECT_EQ(CountGpus(root_), 0u);
  EXPECT_EQ(CountTpus(root_), 0u);
  EXPECT_EQ(CountNpus(root_), 0u);
  EXPECT_EQ(HottestCelsius(root_), 0);
  const v1::Facts facts = ReadFacts(root_);
  EXPECT_EQ(facts.memory_bytes(), 0u);
  EXPECT_EQ(facts.os(), "");
  EXPECT_GE(facts.cpu_cores(), 1u);
  EXPECT_NE(facts.arch(), "");
}

TEST_F(FactsTest, NvidiaCardsAreCountedTheirHelpersAreNot) {
  for (const char* name : {"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset"}) {
    Put(std::string("dev/") + name);
  }
  EXPECT_EQ(CountGpus(root_), 2u);
}

TEST_F(FactsTest, AJetsonsOwnIsOne) {
  Put("dev/nvhost-gpu");
  Put("dev/nvhost-ctrl");
  EXPECT_EQ(CountGpus(root_), 1u);
}

TEST_F(FactsTest, CoralOnUsbAndPcie) {
  Put("dev/apex_0");
  Put("sys/bus/usb/devices/1-1/idVendor", "18d1\n");
  Put("sys/bus/usb/devices/1-1/idProduct", "9302\n");
  Put("sys/bus/usb/devices/1-2/idVendor", "1a6e\n");
  Put("sys/bus/usb/devices/1-2/idProduct", "089a\n");
  Put("sys/bus/usb/devices/1-3/idVendor", "18d1\n");
  Put("sys/bus/usb/devices/1-3/idProduct", "4ee7\n");  // a telephone
  EXPECT_EQ(CountTpus(root_), 3u);
}

TEST_F(FactsTest, Accelerators) {
  Put("dev/accel/accel0");
  EXPECT_EQ(CountNpus(root_), 1u);
}

TEST_F(FactsTest, TheHottestZoneThatMakesSense) {
  Put("sys/class/thermal/thermal_zone0/temp", "48500\n");
  Put("sys/class/thermal/thermal_zone1/temp", "61000\n");
  Put("sys/class/thermal/thermal_zone2/temp", "2147483647\n");
  Put("sys/class/thermal/thermal_zone3/temp", "-40000\n");
  Put("sys/class/thermal/thermal_zone4/temp", "nonsense\n");
  Put("sys/class/thermal/cooling_device0/temp", "99000\n");
  EXPECT_DOUBLE_EQ(HottestCelsius(root_), 61.0);
}

TEST_F(FactsTest, TextsOfTheSystem) {
  Put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Intel(R) N100\nflags\t\t: fpu\n");
  Put("proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n");
  Put("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  const v1::Facts facts = ReadFacts(root_);
  EXPECT_EQ(facts.cpu_model(), "Intel(R) N100");
  EXPECT_EQ(facts.memory_bytes(), 16384000ULL * 1024);
  EXPECT_EQ(facts.os(), "Debian GNU/Linux 12 (bookworm)");
}

TEST_F(FactsTest, ABoardThatNamesItself) {
  EXPECT_EQ(CpuModel("processor\t: 0\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n"),
            "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(CpuModel("processor: 0\n"), "");
  EXPECT_EQ(CpuModel(""), "");
}

TEST_F(FactsTest, OddTextsAreSurvived) {
  EXPECT_EQ(MemoryBytes("MemTotal:"), 0u);
  EXPECT_EQ(MemoryBytes("MemTotal: 99999999999999999999999 kB"), 0u);
  EXPECT_EQ(OsName("PRETTY_NAME="), "");
  EXPECT_EQ(OsName(std::string("PRETTY_NAME=a\0b", 15)), "a");
}

TEST_F(FactsTest, EnginesAsTheRunSaysThem) {
  EXPECT_THAT(ParseEngines(R"({"engines":[{"name":"onnxruntime","version":"1.31.1"},
                               {"name":"tflite"}],"version":"0.1.0"})"),
              ElementsAre("onnxruntime 1.31.1", "tflite"));
  for (const char* odd : {"", "[]", "{}", R"({"engines":7})", R"({"engines":[7,{"name":7}]})"}) {
    EXPECT_THAT(ParseEngines(odd), IsEmpty()) << odd;
  }
}

TEST_F(FactsTest, Architectures) {
  EXPECT_EQ(ArchName("x86_64"), "x86");
  EXPECT_EQ(ArchName("aarch64"), "arm64");
  EXPECT_EQ(ArchName("armv7l"), "arm");
  EXPECT_EQ(ArchName("riscv64"), "riscv64");
}

}  // namespace
}  // namespace selvedge
