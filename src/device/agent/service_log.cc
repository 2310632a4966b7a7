#include "device/agent/service_log.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/log.h"
#include "base/utf8.h"

namespace selvedge {
namespace {

constexpr std::size_t kLastWords = 300;

struct File {
  File(const std::string& path, int flags)
      : fd(open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~File() {
    if (fd >= 0) close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::int64_t size() const {
    struct stat info{};
    return fstat(fd, &info) == 0 ? info.st_size : 0;
  }
  const int fd;
};

// The last `most` bytes.
std::string ReadEnd(const std::string& path, std::size_t most) {
  const File file(path, O_RDONLY);
  if (file.fd < 0) return {};
  const std::int64_t size = file.size();
  const auto want =
      static_cast<std::size_t>(std::min<std::int64_t>(size, static_cast<std::int64_t>(most)));
  std::string text(want, 0);
  const ssize_t got = pread(file.fd, text.data(), want, size - static_cast<std::int64_t>(want));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

}  // namespace

Result<bool> TrimLog(const std::string& file, std::int64_t limit_bytes) {
  const File log(file, O_RDWR);
  if (log.fd < 0) {
    if (errno == ENOENT) return false;
    return Err(ErrnoError(errno, "cannot open the log " + file));
  }
  const std::int64_t half = std::max<std::int64_t>(limit_bytes / 2, 4096);
  const std::int64_t size = log.size();
  if (size <= half) return false;
  Status status;
  {
    // Of a burst larger than the limit only the end is worth keeping.
    off_t from = std::max<std::int64_t>(0, size - half);
    const File old(file + ".1", O_WRONLY | O_CREAT | O_TRUNC);
    std::int64_t left = size - from;
    while (old.fd >= 0 && left > 0) {
      const ssize_t copied = sendfile(old.fd, log.fd, &from, static_cast<std::size_t>(left));
      if (copied <= 0) break;
      left -= copied;
    }
    if (old.fd < 0 || left > 0) status = ErrnoError(errno, "cannot keep the old part of " + file);
  }
  if (ftruncate(log.fd, 0) != 0) return Err(ErrnoError(errno, "cannot shorten " + file));
  if (!status.ok()) return Err(status);
  return true;
}

std::string TailOfLog(const std::string& file, int lines, std::size_t max_bytes) {
  std::string text = ReadEnd(file, max_bytes);
  if (text.size() < max_bytes) text = ReadEnd(file + ".1", max_bytes - text.size()) + text;
  std::size_t at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (int found = 0; at > 0; --at) {
    if (text[at - 1] == '\n' && ++found == lines) break;
  }
  text.erase(0, at);
  return log::MaskSecrets(ValidUtf8(text));
}

std::string LastWords(const std::string& file) {
  const std::string text = TailOfLog(file, 20, 8192);
  std::string last;
  std::string error;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    last = line;
    if (const std::size_t at = line.find("error: "); at != std::string_view::npos) {
      error = line.substr(at + 7);
    }
  }
  std::string words = error.empty() ? last : error;
  if (words.size() > kLastWords) words = ValidUtf8(words.substr(0, kLastWords)) + "…";
  return words;
}

}  // namespace selvedge
