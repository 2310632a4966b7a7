// HttpSession's uploads: bodies that a sink takes as they come.

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <utility>

#include "base/log.h"
#include "net/http_message.h"
#include "net/http_parser.h"
#include "net/http_session.h"

namespace selvedge {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kReadBytes = 128 * 1024;
// An upload is alive as long as this much comes within each body_timeout.
constexpr std::size_t kWindowBytes = 16 * 1024;

// `call`, with what it throws as a status.
template <typename Call>
Status Guarded(const std::string& path, Call call) {
  try {
    return call();
  } catch (const std::exception& e) {
    log::Error("http", "a handler failed", {{"path", path}, {"error", e.what()}});
    return InternalError("the server failed to take the upload; its log says why");
  }
}

}  // namespace

asio::awaitable<bool> HttpSession::ServeUpload(Parser* parser, bool keep_alive) {
  Disarm();
  HttpUpload upload = HttpErrorResponse(500, "the server failed to answer; its log says why");
  co_await Work([this, &upload] {
    (void)Guarded(request_.path, [&] {
      upload = route_->upload(request_);
      return OkStatus();
    });
  });
  if (gone_) {
    if (std::holds_alternative<HttpResponse>(upload)) co_return false;
  } else if (const auto* refusal = std::get_if<HttpResponse>(&upload)) {
    keep_alive = keep_alive && parser->is_done();
    co_return co_await Write(*refusal, keep_alive) && keep_alive;
  }
  auto sink = std::move(std::get<std::unique_ptr<HttpBodySink>>(upload));
  if (!sink) co_return false;
  Status status;
  uploading_ = true;
  const bool complete = co_await Receive(parser, sink.get(), &status);
  uploading_ = false;
  Disarm();
  if (!complete) {
    co_await Work([this, &sink] {
      (void)Guarded(request_.path, [&] {
        sink->Abort();
        return OkStatus();
      });
      sink.reset();
    });
    if (!gone_ && refusal_.status != 0) co_await Write(refusal_, false);
    co_return false;
  }
  HttpReply reply = NewReply();
  co_await Work([this, &sink, &status, &reply] {
    const Status finished = Guarded(request_.path, [&] {
      sink->Finish(status, reply);
      return OkStatus();
    });
    sink.reset();
    if (!finished.ok()) reply(HttpErrorResponse(500, finished.message()));
    reply = nullptr;
  });
  const HttpResponse response = co_await AwaitReply();
  keep_alive = keep_alive && status.ok() && parser->is_done() && !server_.stopping();
  buffer_.shrink_to_fit();
  co_return co_await Write(response, keep_alive) && keep_alive;
}

// Until the body ends or the sink wants no more (then `status` says why). False where there is
// nobody to go on with; refusal_ is what is still to be said, with the status 0 where nothing is.
asio::awaitable<bool> HttpSession::Receive(Parser* parser, HttpBodySink* sink, Status* status) {
  using SteadyClock = std::chrono::steady_clock;
  refusal_ = {};
  refusal_.status = 0;
  if (gone_) co_return false;
  parser->eager(true);
  Arm(server_.options().body_timeout);
  const bool asked = co_await SendContinue();
  if (!asked) co_return false;
  SteadyClock::duration spent{};  // waiting for the client, in this window
  std::size_t window = 0;
  for (;;) {
    if (!Parse(parser, 0)) co_return false;
    std::string piece = std::exchange(parser->get().body(), {});
    if (!piece.empty()) {
      Disarm();
      window += piece.size();
      co_await Work([this, sink, status, &piece] {
        *status = Guarded(request_.path, [&] { return sink->Write(piece); });
      });
      if (gone_) co_return false;
      if (!status->ok()) co_return true;
    }
    if (parser->is_done()) co_return true;
    if (server_.stopping()) co_return false;
    if (window >= kWindowBytes) {
      window = 0;
      spent = {};
    }
    const auto before = SteadyClock::now();
    const auto left = server_.options().body_timeout - spent;
    Arm(std::max(milliseconds(1), std::chrono::duration_cast<milliseconds>(left)));
    const bool filled = co_await Fill(kReadBytes);
    spent += SteadyClock::now() - before;
    if (filled) continue;
    if (timed_out_) refusal_ = HttpErrorResponse(408, "the upload was too slow");
    co_return false;
  }
}

}  // namespace selvedge
