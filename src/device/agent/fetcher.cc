#include "device/agent/fetcher.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/log.h"
#include "device/agent/container.h"
#include "device/agent/facts.h"
#include "device/agent/oci_image.h"
#include "device/agent/service.h"
#include "registry/content_store.h"
#include "registry/oci_client.h"
#include "registry/package.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;

// "sha256:ab…" becomes "sha256-ab…", fit for a file's name.
std::string FileNameOf(std::string digest) {
  std::ranges::replace(digest, ':', '-');
  return digest;
}

}  // namespace

class Fetcher::Core {
 public:
  Core(FetcherOptions options, std::unique_ptr<ContentStore> store, std::function<void()> wake)
      : options_(std::move(options)), store_(std::move(store)), wake_(std::move(wake)) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

  ~Core() {
    thread_.request_stop();
    changed_.notify_all();
  }

  void Fetch(const v1::ServiceSpec& spec, const std::string& registry) {
    const std::lock_guard lock(mutex_);
    const std::string content = ContentKeyOf(spec);
    if (!asked_.insert(content).second) return;
    queue_.push_back({spec, registry});
    changed_.notify_all();
  }

  std::vector<Update> Take() {
    const std::lock_guard lock(mutex_);
    std::vector<Update> taken;
    for (auto& [content, update] : updates_) taken.push_back(std::move(update));
    updates_.clear();
    return taken;
  }

  std::string FolderOf(const v1::ServiceSpec& spec) const {
    const char* kind = spec.kind() == v1::CONTAINER ? "/images/" : "/packages/";
    return options_.folder + kind + FileNameOf(spec.digest());
  }

  bool Has(const v1::ServiceSpec& spec) const {
    if (spec.kind() == v1::CONTAINER) return IsUnpackedImage(FolderOf(spec));
    std::error_code error;
    return fs::is_directory(FolderOf(spec), error);
  }

  void Keep(const std::vector<v1::ServiceSpec>& needed) {
    std::set<std::string> keep;
    for (const v1::ServiceSpec& spec : needed) keep.insert(FileNameOf(spec.digest()));
    // While something is fetched, tidying up can wait.
    const std::unique_lock lock(disk_, std::try_to_lock);
    if (!lock.owns_lock()) return;
    for (const char* kind : {"/packages", "/images"}) RemoveOthers(options_.folder + kind, keep);
  }

 private:
  struct Order {
    v1::ServiceSpec spec;
    std::string registry;
  };

  static void RemoveOthers(const std::string& folder, const std::set<std::string>& keep) {
    std::vector<std::pair<fs::file_time_type, fs::path>> others;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (!keep.contains(entry.path().filename().string())) {
        others.emplace_back(entry.last_write_time(error), entry.path());
      }
    }
    std::ranges::sort(others, std::greater());
    // The newest stays: going back to it is quick, also with no network.
    for (std::size_t i = 1; i < others.size(); ++i) fs::remove_all(others[i].second, error);
  }

  void Tell(Update update) {
    {
      const std::lock_guard lock(mutex_);
      if (update.done) asked_.erase(update.content);
      updates_[update.content] = std::move(update);
    }
    wake_();
  }

  // The fleet's registry shows itself by the fleet's CA and knows us by our certificate; another
  // one is somebody else's, who learns nothing of us.
  OciClientOptions ClientOptions(const std::string& url, bool ours) const {
    OciClientOptions options;
    options.url = url;
    options.http.proxy = options_.proxy;
    if (!ours) return options;
    options.http.tls.ca_file = options_.identity.ca_file;
    options.http.tls.certificate_file = options_.identity.certificate_file;
    options.http.tls.key_file = options_.identity.key_file;
    return options;
  }

  Status FetchOne(Order order, const std::stop_token& stop) {
    if (Has(order.spec)) return OkStatus();
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(
        const Reference reference,
        ParseReference(order.spec.repository() + "@" + order.spec.digest()));
    const bool ours = reference.host.empty();
    if (!ours) order.spec.set_repository(reference.repository);
    const std::string url = ours ? order.registry : "https://" + reference.host;
    if (url.empty()) {
      return FailedPreconditionError("no registry is known to download " + order.spec.image() +
                                     " from");
    }
    SELVEDGE_RETURN_IF_ERROR(CheckSpace(0));
    OciClient client(ClientOptions(url, ours));
    return Transfer(&client, order.spec, stop);
  }

  // Whether so many bytes more may come onto the disk.
  Status CheckSpace(std::uint64_t more) const {
    const std::uint64_t free = DiskFreeBytes(options_.folder);
    const auto keep =
        static_cast<std::uint64_t>(std::max<std::int64_t>(options_.keep_free_bytes, 0));
    if (free >= keep && free - keep >= more) return OkStatus();
    return ResourceExhaustedError(
        "the disk has " + std::to_string(free >> 20) + " MiB left, " + std::to_string(keep >> 20) +
        " MiB are to stay free" +
        (more == 0 ? std::string(": nothing is downloaded")
                   : ", and " + std::to_string(more >> 20) + " MiB are still to be downloaded"));
  }

  Status Transfer(OciClient* client, const v1::ServiceSpec& spec, const std::stop_token& stop) {
    const std::string content = ContentKeyOf(spec);
    // Ends the transfer where the disk would become too full, or the agent ends.
    std::stop_source end;
    const std::stop_callback forward(stop, [&end] { end.request_stop(); });
    Status space;
    const auto progress = [&](std::uint64_t done, std::uint64_t total) {
      if (space.ok() && total > done) {
        space = CheckSpace(total - done);
        if (!space.ok()) end.request_stop();
      }
      Update update;
      update.content = content;
      update.progress = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
      Tell(std::move(update));
    };
    const std::lock_guard lock(disk_);
    const Status status = spec.kind() == v1::CONTAINER
                              ? FetchContainer(client, spec, progress, end.get_token())
                              : FetchPipeline(client, spec, progress, end.get_token());
    if (const auto evicted = store_->Evict(options_.cache_bytes); !evicted) {
      log::Warning("agent", "the cache of downloads cannot be tidied",
                   {{"reason", evicted.error().message()}});
    }
    return space.ok() ? status : space;
  }

  Status FetchPipeline(OciClient* client, const v1::ServiceSpec& spec, const OciProgress& progress,
                       const std::stop_token& stop) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(
        const FetchedPackage package,
        FetchPackage(
            client, store_.get(), spec.repository(), spec.digest(), {}, options_.arch,
            [&](const PackageProgress& at) { progress(at.done, at.total); }, stop));
    std::error_code error;
    fs::create_directories(options_.folder + "/packages", error);
    return UnpackPackage(store_.get(), package, FolderOf(spec), Unpack::kLink);
  }

  Status FetchContainer(OciClient* client, const v1::ServiceSpec& spec, const OciProgress& progress,
                        const std::stop_token& stop) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(
        const OciImage image, FetchImage(client, store_.get(), spec.repository(), spec.digest(),
                                         options_.arch, progress, stop));
    std::error_code error;
    fs::create_directories(options_.folder + "/images", error);
    SELVEDGE_ASSIGN_OR_RETURN_STATUS([[maybe_unused]] const UnpackedLayers layers,
                                     UnpackImage(image, FolderOf(spec)));
    return OkStatus();
  }

  void Run(const std::stop_token& stop) {
    while (true) {
      Order order;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return stop.stop_requested() || !queue_.empty(); });
        if (stop.stop_requested()) return;
        order = std::move(queue_.front());
        queue_.pop_front();
      }
      Update update;
      update.content = ContentKeyOf(order.spec);
      update.done = true;
      update.progress = 1;
      update.status = FetchOne(std::move(order), stop);
      if (stop.stop_requested()) return;
      Tell(std::move(update));
    }
  }

  const FetcherOptions options_;
  const std::unique_ptr<ContentStore> store_;
  const std::function<void()> wake_;

  std::mutex disk_;  // a fetch and tidying up exclude each other
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Order> queue_;
  std::set<std::string> asked_;
  std::map<std::string, Update> updates_;  // the newest of each content
  std::jthread thread_;
};

Fetcher::Fetcher(std::unique_ptr<Core> core) : core_(std::move(core)) {}
Fetcher::~Fetcher() = default;

Result<std::unique_ptr<Fetcher>> Fetcher::Start(FetcherOptions options,
                                                std::function<void()> wake) {
  SELVEDGE_ASSIGN_OR_RETURN(auto store, ContentStore::Open(options.folder + "/content"));
  return std::unique_ptr<Fetcher>(
      new Fetcher(std::make_unique<Core>(std::move(options), std::move(store), std::move(wake))));
}

void Fetcher::Fetch(const v1::ServiceSpec& spec, const std::string& registry) {
  core_->Fetch(spec, registry);
}
std::vector<Fetcher::Update> Fetcher::Take() {
  return core_->Take();
}
void Fetcher::Keep(const std::vector<v1::ServiceSpec>& needed) {
  core_->Keep(needed);
}
bool Fetcher::Has(const v1::ServiceSpec& spec) const {
  return core_->Has(spec);
}
std::string Fetcher::FolderOf(const v1::ServiceSpec& spec) const {
  return core_->FolderOf(spec);
}

}  // namespace selvedge
