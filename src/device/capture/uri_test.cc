#include "device/capture/uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using testing::HasSubstr;
using testing::Not;

SourceUri Parsed(std::string_view uri) {
  auto parsed = ParseSourceUri(uri);
  EXPECT_TRUE(parsed.has_value()) << uri << ": " << parsed.error().message();
  return parsed.value_or(SourceUri{});
}

TEST(SourceUri, Kinds) {
  EXPECT_EQ(Parsed("video.avi").kind, SourceKind::kPath);
  EXPECT_EQ(Parsed("/data/pictures").kind, SourceKind::kPath);
  EXPECT_EQ(Parsed("dir/a:b//c.mp4").kind, SourceKind::kPath);
  EXPECT_EQ(Parsed("file:///data/a%20b.mp4").location, "/data/a b.mp4");
  EXPECT_EQ(Parsed("file://localhost/data/a.mp4").location, "/data/a.mp4");
  EXPECT_EQ(Parsed("file:///data/100%.mp4").location, "/data/100%.mp4");
  EXPECT_EQ(Parsed("/dev/video0").kind, SourceKind::kCamera);
  EXPECT_EQ(Parsed("/dev/v4l/by-id/usb-cam").kind, SourceKind::kCamera);
  EXPECT_EQ(Parsed("rtsp://cam/stream").kind, SourceKind::kRtsp);
  EXPECT_EQ(Parsed("RTSPS://cam:322/stream").kind, SourceKind::kRtsp);
  EXPECT_EQ(Parsed("http://cam/mjpg/video.cgi?fps=5").kind, SourceKind::kHttpLive);
  EXPECT_EQ(Parsed("https://store/clips/a.MP4?token=x").kind, SourceKind::kHttpFile);
}

TEST(SourceUri, CredentialsLeaveTheLocationAndTheMessages) {
  const SourceUri uri = Parsed("rtsp://ad%40min:p%3Ass@word@cam:554/a?b=c@d");
  EXPECT_EQ(uri.user, "ad@min");
  EXPECT_EQ(uri.password, "p:ss@word");
  EXPECT_EQ(uri.location, "rtsp://cam:554/a?b=c@d");
  EXPECT_EQ(uri.shown, "rtsp://ad%40min:***@cam:554/a?b=c@d");
  EXPECT_EQ(Parsed("http://only@cam/").user, "only");
  EXPECT_EQ(Parsed("http://only@cam/").shown, "http://only@cam/");
  EXPECT_EQ(Parsed("http://cam/").user, "");
}

TEST(SourceUri, TestPattern) {
  const SourceUri uri = Parsed("test://?width=320&height=240&fps=12.5&frames=7");
  EXPECT_EQ(uri.kind, SourceKind::kTest);
  EXPECT_EQ(uri.test.width, 320);
  EXPECT_EQ(uri.test.height, 240);
  EXPECT_DOUBLE_EQ(uri.test.fps, 12.5);
  EXPECT_EQ(uri.test.frames, 7);
  EXPECT_EQ(Parsed("test://").test.frames, 0);
}

TEST(SourceUri, RefusesWhatItDoesNotKnow) {
  for (const char* bad :
       {"", "ftp://host/a.mp4", "test://wide", "test://?wdth=3", "test://?width=x",
        "test://?width=5", "test://?fps=0", "test://?frames=-1", "rtsp://", "http:///x",
        "rtsp://user:pw@", "file://host/share/a.mp4", "test://?width"}) {
    const auto parsed = ParseSourceUri(bad);
    ASSERT_FALSE(parsed.has_value()) << bad;
    EXPECT_EQ(parsed.error().code(), StatusCode::kInvalidArgument) << bad;
    EXPECT_FALSE(parsed.error().message().empty());
  }
}

TEST(SourceUri, ErrorsHideThePassword) {
  const auto parsed = ParseSourceUri("ftp://user:hunter2@host/a");
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(parsed.error().message(), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace selvedge
