#include "cmd/cli/cli.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>

#include "base/log.h"

namespace selvedge::cli {

void IgnoreBrokenPipes() {
  std::signal(SIGPIPE, SIG_IGN);
}

int Fail(std::string_view verb, const Status& status) {
  const std::string line =
      "selvedge " + std::string(verb) + ": error: " + log::MaskSecrets(status.message()) + "\n";
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
  return kExitFailure;
}

int Parse(CLI::App* app, int argc, const char* const* argv) {
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? kExitOk : kExitMisuse;
  }
  return -1;
}

struct LogFlags::Values {
  std::string level;
  std::string format = "text";
};

LogFlags::LogFlags(CLI::App* app, std::string default_level) : values_(std::make_shared<Values>()) {
  values_->level = std::move(default_level);
  app->add_option("--log-level", values_->level, "debug, info, warning, error or off")
      ->envname("SELVEDGE_LOG_LEVEL")
      ->capture_default_str();
  app->add_option("--log-format", values_->format, "text or json")
      ->envname("SELVEDGE_LOG_FORMAT")
      ->capture_default_str();
}

Status LogFlags::Apply() const {
  log::Level level = log::Level::kInfo;
  if (!log::ParseLevel(values_->level, &level)) {
    return InvalidArgumentError("--log-level " + values_->level +
                                ": expected debug, info, warning, error or off");
  }
  if (values_->format != "text" && values_->format != "json") {
    return InvalidArgumentError("--log-format " + values_->format + ": expected text or json");
  }
  log::Configure(level, values_->format == "json" ? log::Format::kJson : log::Format::kText);
  return OkStatus();
}

Termination::Termination() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

int Termination::Wait(Nanos timeout) const {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  const timespec time = {.tv_sec = timeout / kSecond, .tv_nsec = timeout % kSecond};
  const int number = sigtimedwait(&set, nullptr, &time);
  return number > 0 ? number : 0;
}

bool IsTerminal(int descriptor) {
  return isatty(descriptor) == 1;
}

int TerminalColumns(int descriptor) {
  winsize size = {};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

StatusLine::StatusLine() : enabled_(IsTerminal(STDERR_FILENO)) {}

StatusLine::~StatusLine() {
  Clear();
}

void StatusLine::Show(std::string_view text) {
  if (!enabled_) return;
  const auto columns = static_cast<std::size_t>(TerminalColumns(STDERR_FILENO) - 1);
  const std::string line = "\r" + std::string(text.substr(0, columns)) + "\033[K";
  (void)std::fwrite(line.data(), 1, line.size(), stderr);
  (void)std::fflush(stderr);
  shown_ = true;
}

void StatusLine::Clear() {
  if (!shown_) return;
  (void)std::fputs("\r\033[K", stderr);
  (void)std::fflush(stderr);
  shown_ = false;
}

}  // namespace selvedge::cli
