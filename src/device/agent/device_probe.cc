#include "device/agent/device_probe.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/file.h"
#include "device/agent/facts.h"
#include "device/agent/process.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr Nanos kPatience = 60 * kSecond;  // a slow device reads large libraries from a card
constexpr Nanos kSlice = 50 * kMillisecond;
constexpr std::size_t kMaxFile = std::size_t{64} * 1024;
constexpr std::int64_t kEnginesLife = 24 * 3600;  // seconds

// What names the executable as it is now, and where it looks for engines.
std::string KeyOf(const std::string& program) {
  struct stat info{};
  if (stat(program.c_str(), &info) != 0) return {};
  const char* engines = std::getenv("SELVEDGE_ENGINE_PATH");
  return program + " " + std::to_string(info.st_size) + " " + std::to_string(info.st_mtim.tv_sec) +
         "." + std::to_string(info.st_mtim.tv_nsec) + " " + (engines != nullptr ? engines : "");
}

json ReadCache(const std::string& file) {
  json object = json::parse(ReadFile(file, kMaxFile).value_or(""), nullptr, false);
  return object.is_object() ? object : json::object();
}

// What cannot be kept is found out again the next time.
void WriteCache(const std::string& file, const json& object) {
  std::error_code ignored;
  fs::create_directories(CacheFolder(), ignored);
  (void)WriteFileAtomically(file, object.dump());
}

std::string Text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

DeviceProbe::DeviceProbe(std::string run_program, std::string state, std::function<void()> wake)
    : run_program_(std::move(run_program)),
      state_(std::move(state)),
      wake_(std::move(wake)),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

std::optional<ProbeResult> DeviceProbe::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(result_, std::nullopt);
}

void DeviceProbe::Run(const std::stop_token& stop) {
  ProbeResult result;
  FindRuntime(&result);
  result.engines = FindEngines(stop);
  if (stop.stop_requested()) return;
  {
    const std::lock_guard lock(mutex_);
    result_ = std::move(result);
  }
  wake_();
}

std::vector<std::string> DeviceProbe::FindEngines(const std::stop_token& stop) const {
  const std::string cache = CacheFolder() + "/agent-engines.json";
  const std::string key = KeyOf(run_program_);
  if (key.empty()) return {};
  const json known = ReadCache(cache);
  const auto at = known.find("time");
  const auto age = at != known.end() && at->is_number_integer()
                       ? Clock::System().Wall() / kSecond - at->get<std::int64_t>()
                       : kEnginesLife;
  if (Text(known, "key") == key && age >= 0 && age < kEnginesLife) {
    return ParseEngines(known.value("found", json()).dump());
  }
  // Into a file: opening engines costs memory that is better spent in another process.
  const std::string file = state_ + "/run/engines.json";
  std::error_code ignored;
  fs::remove(file, ignored);
  ChildOptions child;
  child.program = run_program_;
  child.arguments = {"--engines", "--json", "--log-level", "off"};
  child.output_file = file;
  auto process = ChildProcess::Start(child);
  if (!process) return {};
  std::optional<int> code;
  for (Nanos waited = 0; !code && waited < kPatience && !stop.stop_requested(); waited += kSlice) {
    code = process->Wait(kSlice);
  }
  if (code != 0) return {};  // its destructor ends one that still runs
  const std::string said = ReadFile(file, kMaxFile).value_or("");
  json found = json::parse(said, nullptr, false);
  if (!found.is_discarded()) {
    WriteCache(cache, {{"key", key}, {"time", Clock::System().Wall() / kSecond}, {"found", found}});
  }
  return ParseEngines(said);
}

void DeviceProbe::FindRuntime(ProbeResult* result) const {
  auto runtime = FindContainerRuntime();
  if (!runtime) {
    result->why_no_runtime = runtime.error().message();
    return;
  }
  const std::string cache = CacheFolder() + "/agent-runtime.json";
  const std::string key = runtime->program + " " + runtime->version + " as " +
                          std::to_string(geteuid()) + " " + BootId();
  if (Text(ReadCache(cache), "works") != key) {
    const Status works =
        TryContainerRuntime(*runtime, state_ + "/runc", state_ + "/run/try-container");
    if (!works.ok()) {
      result->why_no_runtime = works.message();
      return;
    }
    WriteCache(cache, {{"works", key}});
  }
  result->runtime = *std::move(runtime);
}

}  // namespace selvedge
