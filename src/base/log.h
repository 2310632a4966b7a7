#pragma once

// Structured logs: a component, a message that never changes, and fields.
//
//   log::Info("capture", "source opened", {{"uri", uri}, {"width", 768}});
//
// Lines go to stderr, as text for people (`15:04:05.123 INFO  capture  source opened  uri=…
// width=768`) or one JSON object each
// (`{"time":"…","level":"info","component":"capture","message":"…","uri":"…"}`). Thread-safe. A
// closed or full stderr never stops or kills the process. Secrets in URIs (user:password@) are
// masked in every field value. Not for per-frame use: RateLimited guards what could repeat.

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/clock.h"

namespace selvedge::log {

enum class Level { kDebug, kInfo, kWarning, kError, kOff };
enum class Format { kText, kJson };

struct Field {
  using Value = std::variant<std::string, std::int64_t, double, bool>;
  template <typename T>
  Field(std::string_view k, const T& v) : key(k), value(Make(v)) {}

  std::string_view key;
  Value value;

 private:
  template <typename T>
  static Value Make(const T& v) {
    if constexpr (std::same_as<T, bool>) {
      return v;
    } else if constexpr (std::integral<T>) {
      return static_cast<std::int64_t>(v);
    } else if constexpr (std::floating_point<T>) {
      return static_cast<double>(v);
    } else {
      return std::string(std::string_view(v));
    }
  }
};

using Fields = std::initializer_list<Field>;

// Call once at start-up, before threads. Default: info, text.
void Configure(Level level, Format format);
// "debug", "info", "warning", "error", "off"; false where the name is none of these.
bool ParseLevel(std::string_view name, Level* level);

void Debug(std::string_view component, std::string_view message, Fields fields = {});
void Info(std::string_view component, std::string_view message, Fields fields = {});
void Warning(std::string_view component, std::string_view message, Fields fields = {});
void Error(std::string_view component, std::string_view message, Fields fields = {});

// `rtsp://user:secret@host/` becomes `rtsp://user:***@host/`.
std::string MaskSecrets(std::string_view text);

// Allows one line per interval; Suppressed() is how many were held back since the last one allowed.
// Not thread-safe: one per call site and thread.
class RateLimited {
 public:
  explicit RateLimited(Nanos interval) : interval_(interval) {}
  bool Allow(Nanos now);
  std::uint64_t Suppressed() const { return last_suppressed_; }

 private:
  Nanos interval_;
  Nanos next_ = INT64_MIN;
  std::uint64_t suppressed_ = 0;
  std::uint64_t last_suppressed_ = 0;
};

}  // namespace selvedge::log
