#include "device/capture/gst_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/capture/gst_util.h"

namespace selvedge {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Status Mapped(GQuark domain, int code, const std::string& uri, const char* debug = nullptr,
              bool began = false) {
  EXPECT_TRUE(InitGst().ok());
  const GstOwn<GError> error(g_error_new(domain, code, "%s", "Plain text."));
  return StatusFromGst(*error, debug, *ParseSourceUri(uri), began);
}

TEST(GstStatus, CodesByCause) {
  struct Case {
    GQuark domain;
    int code;
    const char* uri;
    StatusCode status;
    const char* says;
  };
  for (const Case& c : {
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_AUTHORIZED, "rtsp://c/s",
                StatusCode::kUnauthenticated, "source.password_file"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "http://c/s",
                StatusCode::kNotFound, "was not found"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "/dev/video0",
                StatusCode::kNotFound, "plugged in"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_BUSY, "/dev/video0",
                StatusCode::kUnavailable, "another program"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ_WRITE, "rtsp://c/s",
                StatusCode::kUnavailable, "cannot be reached"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_OPEN_READ, "/a.mp4",
                StatusCode::kPermissionDenied, "permissions"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "/a.mp4", StatusCode::kDataLoss,
                "disk"},
           Case{GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "/dev/video0",
                StatusCode::kUnavailable, "broke off"},
           Case{GST_STREAM_ERROR, GST_STREAM_ERROR_TYPE_NOT_FOUND, "/a.mp4",
                StatusCode::kInvalidArgument, "not video"},
           Case{GST_STREAM_ERROR, GST_STREAM_ERROR_CODEC_NOT_FOUND, "/a.mp4",
                StatusCode::kUnimplemented, "install"},
           Case{GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "/a.mp4", StatusCode::kDataLoss,
                "damaged"},
           Case{GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "http://c/s", StatusCode::kUnavailable,
                "cannot be reached"},
           Case{GST_CORE_ERROR, GST_CORE_ERROR_MISSING_PLUGIN, "/a.mp4", StatusCode::kUnimplemented,
                "plugin"},
       }) {
    const Status status = Mapped(c.domain, c.code, c.uri);
    EXPECT_EQ(status.code(), c.status) << status.ToString();
    EXPECT_THAT(status.message(), AllOf(HasSubstr(c.uri), HasSubstr(c.says), HasSubstr("; ")));
  }
}

TEST(GstStatus, AStreamThatHadBegunBrokeOff) {
  EXPECT_THAT(
      Mapped(GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "http://c/s", nullptr, true).message(),
      HasSubstr("broke off"));
}

TEST(GstStatus, OnlyTheLastLineOfTheDetailAndNoSecrets) {
  const Status status =
      Mapped(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "rtsp://me:hunter2@c/s",
             "gstx.c(12): fn (): /GstPipeline:p/GstX:x:\nCould not read rtsp://me:hunter2@c/s. \n");
  EXPECT_THAT(status.message(), AllOf(HasSubstr("Could not read"), Not(HasSubstr("gstx.c")),
                                      Not(HasSubstr("hunter2"))));
  EXPECT_THAT(Mapped(GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_NOT_FOUND, "http://c/s",
                     "x:\nNot Found (404), URL: http://c/s, Redirect to: (NULL)")
                  .message(),
              AllOf(HasSubstr("(Not Found (404))"), Not(HasSubstr("Redirect"))));
}

TEST(GstStatus, MissingDecodersAreNamed) {
  const Status status = MissingDecoder("video/x-h265, width=(int)64", *ParseSourceUri("/a.mp4"));
  EXPECT_EQ(status.code(), StatusCode::kUnimplemented);
  EXPECT_THAT(status.message(),
              AllOf(HasSubstr("H.265"), HasSubstr("/a.mp4"), HasSubstr("install")));
  EXPECT_EQ(NotVideo("audio/mpeg", *ParseSourceUri("/a.mp3")).code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace selvedge
