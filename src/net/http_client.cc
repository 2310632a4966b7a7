#include "net/http_client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <mutex>
#include <utility>

#include "net/http_curl.h"
#include "net/http_message.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxHeaderBytes = 64 * 1024;
constexpr std::size_t kMaxIdleHandles = 4;
constexpr std::size_t kMaxErrorBody = 64 * 1024;
constexpr auto kProgressEvery = std::chrono::milliseconds(200);

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\r' || text.back() == '\n' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  return text;
}

bool IsCredential(std::string_view header) {
  for (const char* name : {"Authorization", "Cookie", "Proxy-Authorization"}) {
    if (EqualsIgnoringCase(header, name)) return true;
  }
  return false;
}

// "bytes 100-199/200": where it begins, and of how many.
struct ContentRange {
  std::uint64_t offset = 0;
  std::uint64_t total = 0;  // 0: not known
};
std::optional<ContentRange> ParseContentRange(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos) return std::nullopt;
  ContentRange range;
  const auto read = [](std::string_view digits, std::uint64_t* out) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *out);
    return error == std::errc() && end == digits.data() + digits.size();
  };
  if (!read(text.substr(0, dash), &range.offset)) return std::nullopt;
  if (text.substr(slash + 1) != "*" && !read(text.substr(slash + 1), &range.total)) {
    return std::nullopt;
  }
  return range;
}

// One request and its answer. curl calls back on the thread that performs it.
class Transfer {
 public:
  Transfer(CURL* handle, const HttpCall& call, const HttpClientOptions& options)
      : handle_(handle), call_(call), options_(options) {}

  // `method` and whether credentials go along, after redirects. The answer is in answer().
  Status Run(const UrlParts& url, const std::string& method, bool trusted,
             std::chrono::milliseconds time_left);
  HttpAnswer& answer() { return answer_; }
  bool redirected() const {
    const int status = answer_.status;
    return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
           !answer_.Header("Location").empty();
  }

 private:
  bool ToOutput() const { return call_.sink || call_.output_fd >= 0; }
  Status SetUp(const UrlParts& url, const std::string& method, bool trusted,
               std::chrono::milliseconds time_left);
  Status SetUpBody(const std::string& method);
  Status SetUpHeaders(bool trusted);
  bool AddHeader(const std::string& line);
  bool TakeHeader(std::string_view line);
  bool TakeBody(std::string_view bytes);
  Status BeginBody();
  Status Output(std::string_view bytes);
  int Progress(curl_off_t total, curl_off_t done, bool counts);
  bool Fail(Status status) {
    if (failure_.ok()) failure_ = std::move(status);
    return false;
  }

  static std::size_t OnHeader(char* data, std::size_t size, std::size_t count, void* self) {
    const std::size_t bytes = size * count;
    return static_cast<Transfer*>(self)->TakeHeader({data, bytes}) ? bytes : 0;
  }
  static std::size_t OnBody(char* data, std::size_t size, std::size_t count, void* self) {
    const std::size_t bytes = size * count;
    return static_cast<Transfer*>(self)->TakeBody({data, bytes}) ? bytes : CURL_WRITEFUNC_ERROR;
  }
  static std::size_t OnRead(char* data, std::size_t size, std::size_t count, void* self);
  static int OnSeek(void* self, curl_off_t offset, int origin);
  static int OnProgress(void* self, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                        curl_off_t up) {
    auto* transfer = static_cast<Transfer*>(self);
    const bool sending = up_total > 0 && down == 0;
    // An error's body is no progress.
    const bool counts = sending || transfer->output_ || !transfer->ToOutput();
    return transfer->Progress(sending ? up_total : down_total, sending ? up : down, counts);
  }

  CURL* const handle_;
  const HttpCall& call_;
  const HttpClientOptions& options_;
  CurlList headers_;
  char detail_[CURL_ERROR_SIZE] = {};
  HttpAnswer answer_;
  Status failure_;  // what a callback ended the transfer with
  std::size_t header_bytes_ = 0;
  bool body_begun_ = false;
  bool discard_ = false;    // a redirect's body
  bool output_ = false;     // this answer's body goes to the output
  std::uint64_t skip_ = 0;  // bytes that the caller has already
  std::uint64_t uploaded_ = 0;
  std::chrono::steady_clock::time_point last_progress_;
};

std::size_t Transfer::OnRead(char* data, std::size_t size, std::size_t count, void* self) {
  auto* transfer = static_cast<Transfer*>(self);
  const HttpCall& call = transfer->call_;
  const std::uint64_t left = call.upload_length - transfer->uploaded_;
  const std::size_t wanted = std::min<std::uint64_t>(size * count, left);
  if (wanted == 0) return 0;
  ssize_t got = -1;
  do {
    got = pread(call.upload_fd, data, wanted,
                static_cast<off_t>(call.upload_offset + transfer->uploaded_));
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    transfer->Fail(got < 0 ? ErrnoError(errno, "cannot read the file that is being sent")
                           : DataLossError("the file that is being sent became shorter"));
    return CURL_READFUNC_ABORT;
  }
  transfer->uploaded_ += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

// curl sends anew on another connection where the kept one turned out to be closed.
int Transfer::OnSeek(void* self, curl_off_t offset, int origin) {
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(self)->uploaded_ = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}

bool Transfer::AddHeader(const std::string& line) {
  if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) return false;
  curl_slist* grown = curl_slist_append(headers_.get(), line.c_str());
  if (grown == nullptr) return false;
  (void)headers_.release();
  headers_.reset(grown);
  return true;
}

Status Transfer::SetUpHeaders(bool trusted) {
  bool has_type = false;
  bool proper = true;
  for (const auto& [name, value] : call_.headers) {
    if (!trusted && IsCredential(name)) continue;
    has_type = has_type || EqualsIgnoringCase(name, "Content-Type");
    // With ";" curl sends a header that has no value.
    std::string line = name;
    line += value.empty() ? ";" : ": ";
    proper = proper && AddHeader(line.append(value));
  }
  if (trusted && !call_.bearer.empty()) {
    proper = proper && AddHeader("Authorization: Bearer " + call_.bearer);
  }
  if (!has_type) proper = proper && AddHeader("Content-Type:");  // curl's guess is a form
  if (!proper) return InvalidArgumentError("a header of the request has a line break in it");
  curl_easy_setopt(handle_, CURLOPT_HTTPHEADER, headers_.get());
  return OkStatus();
}

Status Transfer::SetUpBody(const std::string& method) {
  if (method == "HEAD") {
    curl_easy_setopt(handle_, CURLOPT_NOBODY, 1L);
  } else if (method != "GET" && call_.upload_fd >= 0) {
    curl_easy_setopt(handle_, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(handle_, CURLOPT_CUSTOMREQUEST, method.c_str());
    curl_easy_setopt(handle_, CURLOPT_READFUNCTION, &Transfer::OnRead);
    curl_easy_setopt(handle_, CURLOPT_READDATA, this);
    curl_easy_setopt(handle_, CURLOPT_SEEKFUNCTION, &Transfer::OnSeek);
    curl_easy_setopt(handle_, CURLOPT_SEEKDATA, this);
    curl_easy_setopt(handle_, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(call_.upload_length));
  } else if (method == "POST" || method == "PUT" || method == "PATCH" ||
             (method != "GET" && !call_.body.empty())) {
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDS, call_.body.data());
    curl_easy_setopt(handle_, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(call_.body.size()));
    curl_easy_setopt(handle_, CURLOPT_CUSTOMREQUEST, method.c_str());
  } else if (method != "GET") {
    curl_easy_setopt(handle_, CURLOPT_CUSTOMREQUEST, method.c_str());
  }
  return OkStatus();
}

Status Transfer::SetUp(const UrlParts& url, const std::string& method, bool trusted,
                       std::chrono::milliseconds time_left) {
  curl_easy_reset(handle_);
  SELVEDGE_RETURN_IF_ERROR(SetUpConnection(handle_, options_.tls, options_.proxy, url, trusted));
  curl_easy_setopt(handle_, CURLOPT_ERRORBUFFER, detail_);
  curl_easy_setopt(handle_, CURLOPT_USERAGENT, "selvedge");
  curl_easy_setopt(handle_, CURLOPT_CONNECTTIMEOUT_MS,
                   static_cast<long>(options_.connect_timeout.count()));
  curl_easy_setopt(handle_, CURLOPT_TIMEOUT_MS, static_cast<long>(time_left.count()));
  curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_LIMIT, static_cast<long>(options_.stall_bytes_per_s));
  curl_easy_setopt(handle_, CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_time.count()));
  curl_easy_setopt(handle_, CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
  curl_easy_setopt(handle_, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(handle_, CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
  curl_easy_setopt(handle_, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(handle_, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle_, CURLOPT_XFERINFOFUNCTION, &Transfer::OnProgress);
  curl_easy_setopt(handle_, CURLOPT_XFERINFODATA, this);
  curl_easy_setopt(handle_, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  if (call_.resume_from > 0 && ToOutput()) {
    const std::string range = std::to_string(call_.resume_from) + "-";
    curl_easy_setopt(handle_, CURLOPT_RANGE, range.c_str());
  }
  SELVEDGE_RETURN_IF_ERROR(SetUpHeaders(trusted));
  return SetUpBody(method);
}

bool Transfer::TakeHeader(std::string_view line) {
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    return Fail(ResourceExhaustedError("the answer's header is larger than " +
                                       std::to_string(kMaxHeaderBytes) + " bytes"));
  }
  if (line.starts_with("HTTP/")) {  // another answer: the one before was a 100 Continue
    answer_.headers.clear();
    return true;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;
  answer_.headers.emplace_back(line.substr(0, colon), Trim(line.substr(colon + 1)));
  return true;
}

// Once the whole head is there: where the body goes.
Status Transfer::BeginBody() {
  body_begun_ = true;
  long status = 0;
  curl_easy_getinfo(handle_, CURLINFO_RESPONSE_CODE, &status);
  answer_.status = static_cast<int>(status);
  discard_ = redirected();
  output_ = ToOutput() && status >= 200 && status < 300;
  if (!output_ || call_.resume_from == 0) return OkStatus();
  if (status != 206) {
    skip_ = call_.resume_from;
    return OkStatus();
  }
  const auto range = ParseContentRange(answer_.Header("Content-Range"));
  if (range && range->offset == call_.resume_from) return OkStatus();
  return DataLossError("the answer is another part than the one that was asked for, from byte " +
                       std::to_string(call_.resume_from));
}

bool Transfer::TakeBody(std::string_view bytes) {
  if (!body_begun_) {
    Status begun = BeginBody();
    if (!begun.ok()) return Fail(std::move(begun));
  }
  if (discard_) return true;
  if (!output_) {
    // What an error says at length matters to nobody: its beginning does.
    const bool error = answer_.status >= 400;
    const std::uint64_t limit = error
                                    ? std::min<std::uint64_t>(kMaxErrorBody, call_.max_answer_bytes)
                                    : call_.max_answer_bytes;
    if (bytes.size() > limit - answer_.body.size()) {
      if (!error) {
        return Fail(ResourceExhaustedError("the answer is larger than the " +
                                           std::to_string(limit) + " bytes allowed"));
      }
      bytes = bytes.substr(0, limit - answer_.body.size());
    }
    answer_.body.append(bytes);
    return true;
  }
  const std::uint64_t skipped = std::min<std::uint64_t>(skip_, bytes.size());
  skip_ -= skipped;
  bytes.remove_prefix(skipped);
  if (bytes.empty()) return true;
  if (bytes.size() > call_.max_output_bytes - std::min(answer_.output, call_.max_output_bytes)) {
    return Fail(ResourceExhaustedError("the answer is larger than the " +
                                       std::to_string(call_.max_output_bytes) + " bytes allowed"));
  }
  Status written = Output(bytes);
  if (!written.ok()) return Fail(std::move(written));
  answer_.output += bytes.size();
  return true;
}

Status Transfer::Output(std::string_view bytes) {
  if (call_.sink) return call_.sink(bytes);
  std::uint64_t at = call_.resume_from + answer_.output;
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(call_.output_fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoError(errno, "cannot write what was received");
    bytes.remove_prefix(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
  return OkStatus();
}

int Transfer::Progress(curl_off_t total, curl_off_t done, bool counts) {
  if (call_.stop.stop_requested()) {
    Fail(CancelledError("the call was cancelled"));
    return 1;
  }
  const auto now = std::chrono::steady_clock::now();
  if (!counts || !call_.progress || now - last_progress_ < kProgressEvery) return 0;
  last_progress_ = now;
  const bool partial = answer_.status == 206;
  const std::uint64_t before = partial ? call_.resume_from : 0;
  call_.progress(before + static_cast<std::uint64_t>(std::max<curl_off_t>(done, 0)),
                 total > 0 ? before + static_cast<std::uint64_t>(total) : 0);
  return 0;
}

Status Transfer::Run(const UrlParts& url, const std::string& method, bool trusted,
                     std::chrono::milliseconds time_left) {
  SELVEDGE_RETURN_IF_ERROR(SetUp(url, method, trusted, time_left));
  CURLcode code = CURLE_OK;
  {
    const SigpipeGuard guard;
    code = curl_easy_perform(handle_);
  }
  if (!failure_.ok()) return {failure_.code(), url.authority() + ": " + failure_.message()};
  if (code == CURLE_OK && !body_begun_) {
    Status begun = BeginBody();
    if (!begun.ok()) return {begun.code(), url.authority() + ": " + begun.message()};
  }
  if (code != CURLE_OK) {
    // A server that refuses an upload may close before it has read all of it: its answer counts.
    if (body_begun_ && answer_.status >= 400) return OkStatus();
    return CurlError(code, detail_, url);
  }
  if (call_.progress && output_) {
    const std::uint64_t all = call_.resume_from + answer_.output;
    call_.progress(all, all);
  }
  return OkStatus();
}

}  // namespace

class HttpClientCore {
 public:
  explicit HttpClientCore(HttpClientOptions options) : options_(std::move(options)) {}

  Result<HttpAnswer> Call(const HttpCall& call);

 private:
  Result<HttpAnswer> Follow(CURL* handle, const HttpCall& call);
  CurlHandle Take();
  void GiveBack(CurlHandle handle);

  const HttpClientOptions options_;
  std::mutex mutex_;
  std::vector<CurlHandle> idle_;
};

CurlHandle HttpClientCore::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      CurlHandle handle = std::move(idle_.back());
      idle_.pop_back();
      return handle;
    }
  }
  return NewCurl();
}

void HttpClientCore::GiveBack(CurlHandle handle) {
  // The call's callbacks and strings are gone; only connections are kept.
  curl_easy_reset(handle.get());
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdleHandles) idle_.push_back(std::move(handle));
}

Result<HttpAnswer> HttpClientCore::Call(const HttpCall& call) {
  if (call.resume_from > 0 && !call.sink && call.output_fd < 0) {
    return Err(InvalidArgumentError("resume_from needs a sink or a file for what follows"));
  }
  if (call.stop.stop_requested()) {
    return Err(CancelledError("the call to " + HostOfUrl(call.url) + " was cancelled"));
  }
  CurlHandle handle = Take();
  if (!handle) return Err(ResourceExhaustedError("out of memory for a connection"));
  Result<HttpAnswer> answer = Follow(handle.get(), call);
  GiveBack(std::move(handle));
  return answer;
}

Result<HttpAnswer> HttpClientCore::Follow(CURL* handle, const HttpCall& call) {
  using SteadyClock = std::chrono::steady_clock;
  SELVEDGE_ASSIGN_OR_RETURN(UrlParts url, ParseUrl(call.url));
  const UrlParts first = url;
  std::string method = call.method;
  const auto limit = call.total_timeout.value_or(options_.total_timeout);
  const auto begun = SteadyClock::now();
  for (int hop = 0;; ++hop) {
    const bool trusted = url.authority() == first.authority() && url.scheme == first.scheme;
    auto left = limit;
    if (limit.count() > 0) {
      left -= std::chrono::duration_cast<std::chrono::milliseconds>(SteadyClock::now() - begun);
      if (left.count() <= 0) {
        return Err(DeadlineExceededError("no answer from " + url.authority() + " in time"));
      }
    }
    Transfer transfer(handle, call, options_);
    SELVEDGE_RETURN_ERR_IF_ERROR(transfer.Run(url, method, trusted, left));
    HttpAnswer& answer = transfer.answer();
    answer.url = url.url;
    if (!transfer.redirected() || options_.max_redirects <= 0) return std::move(answer);
    if (hop >= options_.max_redirects) {
      return Err(FailedPreconditionError(first.authority() + " redirects more than " +
                                         std::to_string(options_.max_redirects) + " times"));
    }
    SELVEDGE_ASSIGN_OR_RETURN(UrlParts next,
                              ResolveUrl(url.url, std::string(answer.Header("Location"))));
    if (url.scheme == "https" && next.scheme != "https") {
      return Err(PermissionDeniedError(url.authority() + " redirects from https to http (" +
                                       next.authority() + "), which is not followed"));
    }
    const bool keeps = answer.status == 307 || answer.status == 308;
    if (!keeps && method != "HEAD" && (answer.status == 303 || method == "POST")) method = "GET";
    url = std::move(next);
  }
}

HttpClient::HttpClient(HttpClientOptions options)
    : core_(std::make_unique<HttpClientCore>(std::move(options))) {}
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::Call(const HttpCall& call) {
  return core_->Call(call);
}

Result<HttpAnswer> HttpClient::CallOk(const HttpCall& call) {
  SELVEDGE_ASSIGN_OR_RETURN(HttpAnswer answer, core_->Call(call));
  SELVEDGE_RETURN_ERR_IF_ERROR(StatusOfAnswer(answer));
  return answer;
}

}  // namespace selvedge
