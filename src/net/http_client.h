#pragma once

// HttpClient: HTTP(S) calls to other machines, one at a time per thread.
//
// Owned by whoever talks to a server. Call may be called from any thread, and from several at once;
// it waits for the answer. Connections are kept open between calls (at most four idle ones) and
// closed with the client.
//
// Whom it trusts: a server whose certificate the given CA signed for the host in the URL. Answers
// are limited in size and time. Redirects are followed at most `max_redirects` times, from https
// never to http, and neither credentials nor the client's certificate follow to another host or
// port.
//
// Failure: an answer of whatever status is an answer (StatusOfAnswer turns those from 400 on into
// an error). Where there is none, or not all of it: Unavailable where the server cannot be reached
// or the connection broke (try again), DeadlineExceeded where time was up, Cancelled,
// Unauthenticated where its certificate is not good, ResourceExhausted where the answer is larger
// than allowed, InvalidArgument for a URL that is none, the sink's own error. One sentence each,
// with the host.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace selvedge {

// What TLS trusts and shows. All of it optional.
struct HttpClientTls {
  // In place of the machine's own CAs: PEM in a file, or PEM itself.
  std::string ca_file;
  std::string ca_pem;
  // The client's certificate (PEM, with its chain) and its key.
  std::string certificate_file;
  std::string key_file;
  // Trusts anybody. Only for fetching the fleet's CA at join, whose digest the join token holds, so
  // that it is checked before anything else is believed.
  bool insecure = false;
};

struct HttpClientOptions {
  HttpClientTls tls;
  // Empty: what the environment says (https_proxy, http_proxy, no_proxy; never for loopback);
  // "none": no proxy; else its URL.
  std::string proxy;
  std::chrono::milliseconds connect_timeout{10'000};
  // A call that takes longer ends. 0: no limit, for large files, which the next two watch over.
  std::chrono::milliseconds total_timeout{60'000};
  // Slower than this for so long, in either direction: it ends (DeadlineExceeded).
  std::uint64_t stall_bytes_per_s = 64;
  std::chrono::seconds stall_time{30};
  int max_redirects = 5;
};

struct HttpCall {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string bearer;  // Authorization: Bearer

  // What is sent: `body`, or where `upload_fd` is given `upload_length` bytes of that file from
  // `upload_offset` (read with pread; the caller keeps it open and its own).
  std::string body;
  int upload_fd = -1;
  std::uint64_t upload_offset = 0;
  std::uint64_t upload_length = 0;

  // Where the body of an answer of 200 to 299 goes: to `sink`, to `output_fd` (written from
  // `resume_from` on with pwrite), or else into HttpAnswer::body, as does every other answer's.
  // `sink` runs on the calling thread; an error ends the call with it.
  std::function<Status(std::string_view)> sink;
  int output_fd = -1;
  std::uint64_t max_answer_bytes = 16ULL * 1024 * 1024;        // in HttpAnswer::body
  std::uint64_t max_output_bytes = 8ULL * 1024 * 1024 * 1024;  // to sink or output_fd
  // Only what follows the first so many bytes is wanted (Range). A server that sends all of it all
  // the same is read past them, so that the sink never gets a byte twice. It answers 416 where
  // there is nothing after them. With sink or output_fd only.
  std::uint64_t resume_from = 0;

  std::optional<std::chrono::milliseconds> total_timeout;  // in place of the client's
  std::stop_token stop;                                    // heard within a second
  // Bytes so far (resume_from included) and of all, 0 where not known; on the calling thread, a few
  // times a second.
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};

struct HttpAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;          // empty where it went to sink or output_fd
  std::uint64_t output = 0;  // bytes that sink or output_fd got
  std::string url;           // the last one, after redirects

  // The first header of this name, in any case; empty where there is none.
  std::string_view Header(std::string_view name) const;
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options = {});
  ~HttpClient();  // no call may be under way
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  Result<HttpAnswer> Call(const HttpCall& call);
  // Call, and StatusOfAnswer where it is an error.
  Result<HttpAnswer> CallOk(const HttpCall& call);

 private:
  std::unique_ptr<class HttpClientCore> core_;
};

// OK below 400. Else the canonical code (401 Unauthenticated, 403 PermissionDenied, 404 NotFound,
// 409 AlreadyExists, 429 ResourceExhausted, 502 and 503 Unavailable, …; what the body's error.code
// names where it is one of ours) and one sentence: the message of the body, where it is the JSON of
// our APIs ({"error": {"message"}}) or of an OCI registry ({"errors": [{"message"}]}) or one line
// of text, with the host.
Status StatusOfAnswer(const HttpAnswer& answer);
StatusCode CodeOfHttpStatus(int status);

// "https://host:5000/a" into "host:5000", for messages; never a user or password.
std::string HostOfUrl(std::string_view url);
// `text` as one segment or value of a URL: everything but letters, digits and "-._~" escaped.
std::string PercentEncode(std::string_view text);

}  // namespace selvedge
