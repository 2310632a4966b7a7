#include "net/http_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace selvedge {
namespace {

// Digits only; nullopt for anything else, also for a number above 2^64.
std::optional<std::uint64_t> ParseNumber(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace

Result<std::shared_ptr<const HttpFile>> HttpFile::Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return Err(ErrnoError(errno, "cannot open " + path));
  struct stat facts{};
  if (fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    close(fd);
    return Err(InvalidArgumentError(path + " is no regular file"));
  }
  return std::make_shared<const HttpFile>(fd, static_cast<std::uint64_t>(facts.st_size));
}

HttpFile::~HttpFile() {
  if (fd_ >= 0) close(fd_);
}

Result<std::size_t> HttpFile::ReadAt(std::uint64_t offset, char* out, std::size_t length) const {
  std::size_t got = 0;
  while (got < length) {
    const ssize_t bytes = pread(fd_, out + got, length - got, static_cast<off_t>(offset + got));
    if (bytes == 0) break;
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return Err(ErrnoError(errno, "cannot read a file that is being sent"));
    got += static_cast<std::size_t>(bytes);
  }
  return got;
}

Result<std::optional<HttpRange>> ParseRange(std::string_view header, std::uint64_t size) {
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return std::nullopt;
  const std::string_view range = Trim(header.substr(kUnit.size()));
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view from = Trim(range.substr(0, dash));
  const std::string_view to = Trim(range.substr(dash + 1));
  const std::optional<std::uint64_t> first = ParseNumber(from);
  const std::optional<std::uint64_t> last = ParseNumber(to);
  const Status nothing =
      OutOfRangeError("no byte of that range is in the " + std::to_string(size) + " there are");
  if (from.empty()) {  // the last so many
    if (!last) return std::nullopt;
    if (*last == 0 || size == 0) return Err(nothing);
    const std::uint64_t length = std::min(*last, size);
    return HttpRange{size - length, length};
  }
  if (!first || (!to.empty() && (!last || *last < *first))) return std::nullopt;
  if (*first >= size) return Err(nothing);
  const std::uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return HttpRange{*first, end - *first + 1};
}

}  // namespace selvedge
