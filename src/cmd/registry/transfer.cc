#include "cmd/registry/transfer.h"

#include <fmt/format.h>

#include <algorithm>

namespace selvedge {
namespace {

constexpr Nanos kShowEvery = 100 * kMillisecond;
constexpr Nanos kLookEvery = 200 * kMillisecond;
constexpr int kBarWidth = 24;

}  // namespace

Result<Reference> ParseFleetReference(const std::string& text) {
  SELVEDGE_ASSIGN_OR_RETURN(Reference reference, ParseReference(text));
  if (reference.host.empty()) return reference;
  return Err(InvalidArgumentError("\"" + text + "\" names a registry; give --registry https://" +
                                  reference.host + " and the rest of the name"));
}

OciClientOptions ClientOptions(const cli::Connection& connection) {
  OciClientOptions options;
  options.url = connection.url;
  options.token = connection.token;
  options.http.tls.ca_file = connection.ca;
  return options;
}

OnPackageProgress TransferLine::Callback() {
  return [this](const PackageProgress& progress) { Show(progress); };
}

void TransferLine::Show(const PackageProgress& progress) {
  if (!line_.enabled() || progress.total == 0) return;
  const Nanos now = Clock::System().Monotonic();
  if (begun_ == 0) {
    begun_ = now;
    begun_at_ = progress.done;
  }
  if (now - shown_ < kShowEvery) return;
  shown_ = now;
  const double share =
      std::min(1.0, static_cast<double>(progress.done) / static_cast<double>(progress.total));
  const int filled = static_cast<int>(share * kBarWidth);
  const double seconds = std::max(ToSeconds(now - begun_), 0.001);
  const std::uint64_t moved = progress.done - std::min(progress.done, begun_at_);
  line_.Show(fmt::format(
      "{}  [{:#>{}}{: >{}}] {:3.0f} %  {} of {}  {}/s", progress.what, "", filled, "",
      kBarWidth - filled, share * 100, HumanBytes(progress.done), HumanBytes(progress.total),
      HumanBytes(static_cast<std::uint64_t>(static_cast<double>(moved) / seconds))));
}

StopOnSignal::StopOnSignal() {
  thread_ = std::jthread([this](const std::stop_token& end) {
    while (!end.stop_requested()) {
      if (termination_.Wait(kLookEvery) != 0) {
        source_.request_stop();
        return;
      }
    }
  });
}

StopOnSignal::~StopOnSignal() = default;

std::string HumanBytes(std::uint64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.0f} KiB", value / 1024);
  if (bytes < std::uint64_t{1} << 30) return fmt::format("{:.1f} MiB", value / (1 << 20));
  return fmt::format("{:.2f} GiB", value / (1 << 30));
}

}  // namespace selvedge
