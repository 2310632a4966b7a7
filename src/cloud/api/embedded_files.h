#pragma once

// The files that are part of the program: the dashboard (dashboard/dist) and the API's description.
// Made by embed_files.py when we build. Immutable; any thread.

#include <span>
#include <string_view>

#include "net/http_server.h"

namespace selvedge {

struct EmbeddedFile {
  std::string_view path;  // "/assets/app.js"
  std::string_view content_type;
  std::string_view content;
  std::string_view gzip;  // empty where it would not be smaller
  std::string_view etag;  // with its quotes; of the content
};

std::span<const EmbeddedFile> EmbeddedFiles();
// Null where there is none.
const EmbeddedFile* FindEmbedded(std::string_view path);

// A file of the dashboard, for "/" its page; with headers that let a browser load and run nothing
// but what comes from here.
HttpResponse AnswerWithDashboard(const HttpRequest& request);

}  // namespace selvedge
