#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string_view>

namespace selvedge {
namespace {

TEST(Utf8, TakesWhatIsWellFormed) {
  for (std::string_view text :
       {"a", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xEF\xBF\xBF",
        "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"}) {
    EXPECT_EQ(Utf8SequenceLength(text, 0), text.size()) << text;
    EXPECT_EQ(FindInvalidUtf8(text), std::string_view::npos) << text;
  }
}

// RFC 3629, sections 3 and 4.
TEST(Utf8, RefusesWhatIsNot) {
  for (std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC2", "\xC2\x41", "\xE0\x80\x80", "\xE0\x9F\xBF",
        "\xE0\xA0", "\xED\xA0\x80", "\xED\xBF\xBF", "\xE1\x80\x41", "\xF0\x80\x80\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF0\x90\x80", "\xFE",
        "\xFF"}) {
    EXPECT_EQ(Utf8SequenceLength(text, 0), 0U) << testing::PrintToString(text);
    EXPECT_EQ(FindInvalidUtf8(text), 0U) << testing::PrintToString(text);
  }
}

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(FindInvalidUtf8("größe\xff z"), 7U);
  EXPECT_EQ(FindInvalidUtf8(""), std::string_view::npos);
  // A sequence cut off by the end of the view, not of the memory behind it.
  EXPECT_EQ(FindInvalidUtf8(std::string_view("aß", 2)), 1U);
}

TEST(Utf8, WhatIsNotWellFormedIsReplaced) {
  EXPECT_EQ(ValidUtf8("plain \u00e4"), "plain \u00e4");
  EXPECT_EQ(ValidUtf8("a\xff"
                      "b\xc3"),
            "a\uFFFDb\uFFFD");
  EXPECT_EQ(ValidUtf8(""), "");
}

}  // namespace
}  // namespace selvedge
