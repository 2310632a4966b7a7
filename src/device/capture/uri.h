#pragma once

// SourceUri: what kind of source a URI names. Pure text work; nothing is opened here.

#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge {

enum class SourceKind {
  kPath,      // a video file or a folder of pictures
  kRtsp,      // rtsp://, rtsps://
  kHttpLive,  // http(s)://: MJPEG or another endless stream
  kHttpFile,  // http(s):// whose path ends like a video file
  kCamera,    // /dev/videoN, /dev/v4l/…
  kTest,      // test://
};

struct TestPattern {
  int width = 640;   // pixels
  int height = 480;  // pixels
  double fps = 30;
  int frames = 0;  // 0: endless
};

struct SourceUri {
  SourceKind kind = SourceKind::kPath;
  std::string location;  // path, device, or URL without user and password
  std::string user;      // from the URI, percent-decoded; empty where it has none
  std::string password;
  std::string shown;  // for messages: the location, user kept, password as ***
  TestPattern test;
};

// InvalidArgument, naming the known kinds, for anything else; the message never holds a password.
Result<SourceUri> ParseSourceUri(std::string_view uri);

}  // namespace selvedge
