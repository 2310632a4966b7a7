#include "base/log.h"

#include <poll.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/log_copy.h"
#include "base/utf8.h"

namespace selvedge::log {
namespace {

// Lines to file descriptor 2, never waiting long for whoever reads it: a terminal that was stopped
// or a pipe that nobody empties costs lines (counted, and told when there is room again), not the
// process.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (dropped_ > 0) {
      char note[80];
      const int n =
          std::snprintf(note, sizeof note, "(%llu log lines were lost: stderr was full)\n",
                        static_cast<unsigned long long>(dropped_));
      if (!Write({note, static_cast<std::size_t>(n)})) {
        ++dropped_;
        return;
      }
      dropped_ = 0;
    }
    if (!Write({message.payload.data(), message.payload.size()})) ++dropped_;
  }
  void flush_() override {}

 private:
  // A pipe that polls as writable takes so many bytes without blocking (POSIX: PIPE_BUF, 4096 on
  // Linux).
  static constexpr std::size_t kChunk = 4096;
  static constexpr int kPatienceMs = 50;

  bool Write(std::string_view text) {
    while (!text.empty()) {
      pollfd ready{STDERR_FILENO, POLLOUT, 0};
      const int polled = ::poll(&ready, 1, stalled_ ? 0 : kPatienceMs);
      if (polled < 0 && errno == EINTR) continue;
      stalled_ = polled == 0;
      if (polled <= 0 || (ready.revents & POLLOUT) == 0) return false;
      const ssize_t n = ::write(STDERR_FILENO, text.data(), std::min(text.size(), kChunk));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;  // EPIPE, ENOSPC, EIO, EAGAIN: nobody to tell
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  bool stalled_ = false;
  std::uint64_t dropped_ = 0;
};

struct Logger {
  std::atomic<Level> level{Level::kInfo};
  std::atomic<Format> format{Format::kText};
  spdlog::logger out{"selvedge", std::make_shared<StderrSink>()};

  std::mutex copy_mutex;
  std::function<void(std::string_view)> copy;

  Logger() {
    out.set_level(spdlog::level::trace);  // filtered before a line is made
    out.set_error_handler([](const std::string&) {});
  }
};

Logger& Global() {
  static Logger* logger =
      new Logger;  // outlives every static that still logs while it is destroyed
  return *logger;
}

constexpr std::array<std::string_view, 5> kLevelNames = {"debug", "info", "warning", "error",
                                                         "off"};
constexpr std::array<std::string_view, 4> kLevelMarks = {"DEBUG", "INFO ", "WARN ", "ERROR"};

// The inside of a JSON string (RFC 8259, section 7). What is not UTF-8 becomes U+FFFD, byte by
// byte.
void AppendEscaped(std::string* out, std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = Utf8SequenceLength(text, i);
    const auto c = static_cast<unsigned char>(text[i]);
    if (length == 0) {
      out->append("\xEF\xBF\xBD");
      ++i;
      continue;
    }
    switch (c) {
      case '"': out->append("\\\""); break;
      case '\\': out->append("\\\\"); break;
      case '\n': out->append("\\n"); break;
      case '\r': out->append("\\r"); break;
      case '\t': out->append("\\t"); break;
      default:
        if (c < 0x20 || c == 0x7F) {
          char escaped[7];
          std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(c));
          out->append(escaped);
        } else {
          out->append(text.substr(i, length));
        }
    }
    i += length;
  }
}

void AppendQuoted(std::string* out, std::string_view text) {
  out->push_back('"');
  AppendEscaped(out, text);
  out->push_back('"');
}

// Bare where a person reads it as one word; a line break in a value never starts a line of its own.
void AppendWord(std::string* out, std::string_view text) {
  bool bare = !text.empty() && FindInvalidUtf8(text) == std::string_view::npos;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u == 0x7F || c == '"' || c == '\\' || c == '=') bare = bare && c == '=';
  }
  if (bare) {
    out->append(text);
  } else {
    AppendQuoted(out, text);
  }
}

void AppendNumber(std::string* out, double value, bool json) {
  if (!std::isfinite(value)) {  // JSON has no such numbers
    const std::string_view text = std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf";
    json ? AppendQuoted(out, text) : void(out->append(text));
    return;
  }
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  out->append(buffer, static_cast<std::size_t>(end - buffer));
}

void AppendValue(std::string* out, const Field::Value& value, bool json) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    const std::string masked = MaskSecrets(*text);
    json ? AppendQuoted(out, masked) : AppendWord(out, masked);
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    out->append(std::to_string(*integer));
  } else if (const auto* number = std::get_if<double>(&value)) {
    AppendNumber(out, *number, json);
  } else {
    out->append(std::get<bool>(value) ? "true" : "false");
  }
}

// Wall time, UTC: "2024-05-06T15:04:05.123Z"; text lines show the local time of day only.
std::string TimeText(Nanos wall, bool json) {
  const std::time_t seconds = wall / kSecond;
  const int millis = static_cast<int>(wall % kSecond / kMillisecond);
  std::tm parts{};
  json ? ::gmtime_r(&seconds, &parts) : ::localtime_r(&seconds, &parts);
  char text[40];
  const std::size_t n =
      std::strftime(text, sizeof text, json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &parts);
  std::snprintf(text + n, sizeof text - n, json ? ".%03dZ" : ".%03d", millis);
  return text;
}

std::string JsonLine(Level level, std::string_view component, std::string_view message,
                     Fields fields) {
  std::string line = "{\"time\":\"" + TimeText(Clock::System().Wall(), true) + "\",\"level\":\"";
  line.append(kLevelNames[static_cast<std::size_t>(level)]).append("\",\"component\":");
  AppendQuoted(&line, component);
  line += ",\"message\":";
  AppendQuoted(&line, MaskSecrets(message));
  for (const Field& field : fields) {
    line += ',';
    AppendQuoted(&line, field.key);
    line += ':';
    AppendValue(&line, field.value, true);
  }
  return line + "}\n";
}

std::string TextLine(Level level, std::string_view component, std::string_view message,
                     Fields fields) {
  std::string line = TimeText(Clock::System().Wall(), false) + ' ';
  line.append(kLevelMarks[static_cast<std::size_t>(level)]).append(" ");
  AppendEscaped(&line, component);
  line += "  ";
  // Quotes in a sentence are fine for people; only what breaks the line is escaped.
  const std::string masked = MaskSecrets(message);
  for (std::size_t i = 0; i < masked.size(); ++i) {
    const char c = masked[i];
    if (c == '"' || c == '\\') {
      line += c;
    } else {
      const std::size_t length = std::max<std::size_t>(Utf8SequenceLength(masked, i), 1);
      AppendEscaped(&line, std::string_view(masked).substr(i, length));
      i += length - 1;
    }
  }
  if (fields.size() > 0) line += ' ';
  for (const Field& field : fields) {
    line += ' ';
    AppendEscaped(&line, field.key);
    line += '=';
    AppendValue(&line, field.value, false);
  }
  return line + '\n';
}

void Write(Level level, std::string_view component, std::string_view message, Fields fields) {
  Logger& logger = Global();
  if (level < logger.level.load(std::memory_order_relaxed)) return;
  const bool json = logger.format.load(std::memory_order_relaxed) == Format::kJson;
  const std::string line = json ? JsonLine(level, component, message, fields)
                                : TextLine(level, component, message, fields);
  logger.out.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  const std::lock_guard lock(logger.copy_mutex);
  if (logger.copy) logger.copy(line);
}

bool IsSchemeCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
         c == '-' || c == '.';
}

}  // namespace

void Configure(Level level, Format format) {
  Global().level = level;
  Global().format = format;
}

void CopyTo(std::function<void(std::string_view line)> take) {
  const std::lock_guard lock(Global().copy_mutex);
  Global().copy = std::move(take);
}

bool ParseLevel(std::string_view name, Level* level) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (kLevelNames[i] != name) continue;
    *level = static_cast<Level>(i);
    return true;
  }
  return false;
}

void Debug(std::string_view component, std::string_view message, Fields fields) {
  Write(Level::kDebug, component, message, fields);
}
void Info(std::string_view component, std::string_view message, Fields fields) {
  Write(Level::kInfo, component, message, fields);
}
void Warning(std::string_view component, std::string_view message, Fields fields) {
  Write(Level::kWarning, component, message, fields);
}
void Error(std::string_view component, std::string_view message, Fields fields) {
  Write(Level::kError, component, message, fields);
}

std::string MaskSecrets(std::string_view text) {
  std::string out;
  std::size_t done = 0;
  for (std::size_t at = text.find("://"); at != std::string_view::npos;
       at = text.find("://", at + 3)) {
    if (at == 0 || !IsSchemeCharacter(text[at - 1])) continue;
    const std::size_t begin = at + 3;
    // The authority ends at the first of these; a password may hold '@', so the last one counts.
    const std::size_t end = std::min(text.find_first_of("/?# \t\r\n\"'<>", begin), text.size());
    const std::size_t host = text.substr(begin, end - begin).rfind('@');
    if (host == std::string_view::npos) continue;
    const std::size_t colon = text.substr(begin, host).find(':');
    if (colon == std::string_view::npos) continue;
    out.append(text.substr(done, begin + colon + 1 - done)).append("***");
    done = begin + host;
  }
  return out.append(text.substr(done));
}

bool RateLimited::Allow(Nanos now) {
  if (now < next_) {
    ++suppressed_;
    return false;
  }
  next_ = now + interval_;
  last_suppressed_ = std::exchange(suppressed_, 0);
  return true;
}

}  // namespace selvedge::log
