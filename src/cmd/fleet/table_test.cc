#include "cmd/fleet/table.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

TEST(TableTest, AlignsAndCutsTheLastColumn) {
  Table table({"NAME", "STATUS", "MESSAGE"});
  EXPECT_TRUE(table.empty());
  table.Add({"jetson-1", "online", "all is well"});
  table.Add({"pi", "off\x1b[31mline", ""});
  EXPECT_FALSE(table.empty());
  EXPECT_EQ(table.ToText(),
            "NAME      STATUS        MESSAGE\n"
            "jetson-1  online        all is well\n"
            "pi        off?[31mline\n");
  EXPECT_EQ(table.ToText(33),
            "NAME      STATUS        MESSAGE\n"
            "jetson-1  online        all is w\u2026\n"
            "pi        off?[31mline\n");
}

TEST(TableTest, TimesAndSizesForPeople) {
  EXPECT_EQ(Ago(0, 1'000'000), "never");
  EXPECT_EQ(Ago(990'000, 1'000'000), "10 s ago");
  EXPECT_EQ(Ago(1'100'000, 1'000'000), "0 s ago");  // its clock is ahead
  EXPECT_EQ(Ago(1, 600'001), "10 min ago");
  EXPECT_EQ(Ago(1, 8LL * 3'600'000 + 1), "8 h ago");
  EXPECT_EQ(Ago(1, 5LL * 86'400'000 + 1), "5 d ago");
  EXPECT_EQ(Bytes(999), "999 B");
  EXPECT_EQ(Bytes(4'321'000), "4.3 MB");
}

}  // namespace
}  // namespace selvedge
