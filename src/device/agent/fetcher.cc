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

  Status FetchOne(const Order& order, const std::stop_token& stop) {
    if (Has(order.spec)) return OkStatus();
    if (order.registry.empty()) {
      return FailedPreconditionError("no registry is known to download " + order.spec.image() +
                                     " from");
    }
    const auto free = static_cast<std::int64_t>(DiskFreeBytes(options_.folder));
    if (free < options_.keep_free_bytes) {
      return ResourceExhaustedError("the disk has " + std::to_string(free >> 20) +
                                    " MiB left, and " +
                                    std::to_string(options_.keep_free_bytes >> 20) +
                                    " MiB are to stay free: nothing is downloaded");
    }
    OciClientOptions client_options;
    client_options.url = order.registry;
    client_options.http.proxy = options_.proxy;
    client_options.http.tls.ca_file = options_.identity.ca_file;
    client_options.http.tls.certificate_file = options_.identity.certificate_file;
    client_options.http.tls.key_file = options_.identity.key_file;
    OciClient client(std::move(client_options));
    const std::string content = ContentKeyOf(order.spec);
    const auto progress = [&](std::uint64_t done, std::uint64_t total) {
      Update update;
      update.content = content;
      update.progress = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
      Tell(std::move(update));
    };
    const std::lock_guard lock(disk_);
    const Status status = order.spec.kind() == v1::CONTAINER
                              ? FetchContainer(&client, order.spec, progress, stop)
                              : FetchPipeline(&client, order.spec, progress, stop);
    if (const auto evicted = store_->Evict(options_.cache_bytes); !evicted) {
      log::Warning("agent", "the cache of downloads cannot be tidied",
                   {{"reason", evicted.error().message()}});
    }
    return status;
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
      update.status = FetchOne(order, stop);
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
