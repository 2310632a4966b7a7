#include "registry/mirror.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/log.h"
#include "registry/manifest.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kQuickConnect{3'000};
constexpr std::size_t kMaxTagsKnown = 10'000;
constexpr std::chrono::milliseconds kLookAgain{500};  // at who waited long enough
// Of the cap is left after an eviction, so that not every download evicts.
constexpr double kEvictTo = 0.9;

}  // namespace

class MirrorCore {
 public:
  MirrorCore(ContentStore* store, MirrorOptions options)
      : store_(*store), options_(std::move(options)), client_(options_.upstream), quick_([&] {
          OciClientOptions once = options_.upstream;
          once.tries = 1;
          once.http.connect_timeout = std::min(once.http.connect_timeout, kQuickConnect);
          return once;
        }()) {
    for (int i = 0; i < std::max(options_.downloads, 1); ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
    }
    threads_.emplace_back([this](const std::stop_token& stop) { WatchWaiters(stop); });
  }

  ~MirrorCore() {
    for (std::jthread& thread : threads_) thread.request_stop();
    changed_.notify_all();
    threads_.clear();
    for (auto& [key, job] : jobs_) {
      for (Waiter& waiter : job.waiters) waiter.done(CancelledError("the mirror is stopping"));
    }
  }

  const MirrorOptions& options() const { return options_; }
  std::uint64_t bytes_fetched() const { return bytes_fetched_; }

  void Want(bool blob, std::string_view repository, std::string_view item,
            std::chrono::milliseconds wait, Mirror::Done done);

 private:
  struct Waiter {
    SteadyClock::time_point until;
    Mirror::Done done;
  };
  struct Job {
    bool blob = false;
    std::string repository;
    std::string item;  // digest or tag
    std::vector<Waiter> waiters;
  };

  bool IsThere(bool blob, std::string_view repository, const std::string& item);
  void Work(const std::stop_token& stop);
  void WatchWaiters(const std::stop_token& stop);
  Status Fetch(const Job& job, const std::stop_token& stop);
  Status FetchBlob(const Job& job, const std::stop_token& stop);
  Status FetchManifest(const Job& job, const std::stop_token& stop);
  Status RevalidateTag(const Job& job, const std::stop_token& stop);
  void RememberAsked(const Job& job);
  void EvictOverCap();

  static std::string KeyOf(bool blob, std::string_view repository, std::string_view item) {
    return (blob ? "b " : "m ") + std::string(repository) + " " + std::string(item);
  }

  ContentStore& store_;
  const MirrorOptions options_;
  OciClient client_;
  OciClient quick_;  // tries once: there is another answer
  std::atomic<std::uint64_t> bytes_fetched_ = 0;

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, Job> jobs_;  // by key, from the first who asks until it is done
  std::deque<std::string> queue_;    // keys of jobs that no thread has taken
  int waiting_ = 0;                  // waiters of all jobs
  std::map<std::string, SteadyClock::time_point> tags_;  // by key: when the upstream was asked

  std::vector<std::jthread> threads_;  // last: stopped first
};

bool MirrorCore::IsThere(bool blob, std::string_view repository, const std::string& item) {
  // Read through where that is long ago: what is damaged is fetched again.
  if (blob) return store_.FindIn(repository, item).has_value() && store_.Path(item).has_value();
  if (!store_.GetManifest(repository, item)) return false;
  if (IsDigest(item)) return true;
  const std::lock_guard lock(mutex_);
  const auto found = tags_.find(KeyOf(blob, repository, item));
  return found != tags_.end() && SteadyClock::now() - found->second < options_.tag_life;
}

void MirrorCore::Want(bool blob, std::string_view repository, std::string_view item,
                      std::chrono::milliseconds wait, Mirror::Done done) {
  if (IsThere(blob, repository, std::string(item))) return done(OkStatus());
  {
    const std::lock_guard lock(mutex_);
    if (waiting_ < options_.max_waiting) {
      const std::string key = KeyOf(blob, repository, item);
      auto [job, fresh] = jobs_.try_emplace(key, Job{.blob = blob,
                                                     .repository = std::string(repository),
                                                     .item = std::string(item),
                                                     .waiters = {}});
      job->second.waiters.push_back({SteadyClock::now() + wait, std::move(done)});
      ++waiting_;
      if (fresh) queue_.push_back(key);
      changed_.notify_all();
      return;
    }
  }
  done(UnavailableError("the mirror has too many requests waiting; try again later"));
}

void MirrorCore::Work(const std::stop_token& stop) {
  for (;;) {
    Job job;
    std::string key;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      key = queue_.front();
      queue_.pop_front();
      const Job& queued = jobs_.at(key);
      job = {
          .blob = queued.blob, .repository = queued.repository, .item = queued.item, .waiters = {}};
    }
    const Status status = Fetch(job, stop);
    {
      const std::lock_guard lock(mutex_);
      // Those who came meanwhile have it too.
      const auto finished = jobs_.find(key);
      job.waiters = std::move(finished->second.waiters);
      waiting_ -= static_cast<int>(job.waiters.size());
      jobs_.erase(finished);
    }
    for (Waiter& waiter : job.waiters) waiter.done(status);
    if (status.ok() && job.blob) EvictOverCap();
  }
}

void MirrorCore::WatchWaiters(const std::stop_token& stop) {
  for (;;) {
    std::vector<Mirror::Done> late;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, stop, kLookAgain, [] { return false; });
      if (stop.stop_requested()) return;
      const auto now = SteadyClock::now();
      for (auto& [key, job] : jobs_) {
        const auto begin =
            std::stable_partition(job.waiters.begin(), job.waiters.end(),
                                  [&](const Waiter& waiter) { return waiter.until > now; });
        for (auto it = begin; it != job.waiters.end(); ++it) late.push_back(std::move(it->done));
        job.waiters.erase(begin, job.waiters.end());
      }
      waiting_ -= static_cast<int>(late.size());
    }
    for (const Mirror::Done& done : late) {
      done(DeadlineExceededError("the mirror is still getting it from " + client_.url()));
    }
  }
}

Status MirrorCore::Fetch(const Job& job, const std::stop_token& stop) {
  if (job.blob) return FetchBlob(job, stop);
  return IsDigest(job.item) ? FetchManifest(job, stop) : RevalidateTag(job, stop);
}

Status MirrorCore::FetchBlob(const Job& job, const std::stop_token& stop) {
  Descriptor blob{.digest = job.item};
  const auto size = client_.BlobSize(job.repository, job.item, stop);
  if (!size) {
    // Another repository's devices may have brought it here: the content is the same, but whether
    // this repository has it, only the upstream says. Away, it is served to nobody who did not have
    // it.
    return size.error();
  }
  blob.size = *size;
  if (blob.size > options_.max_bytes) {
    return ResourceExhaustedError("the blob " + job.item + " is larger than this mirror may hold");
  }
  const bool had = store_.Find(job.item).has_value();
  Status status = client_.Download(job.repository, blob, &store_, {}, stop);
  if (status.code() == StatusCode::kResourceExhausted) {
    // The disk is full: what was longest not used makes room, then it goes on where it was.
    const auto used = store_.Used();
    if (used && store_.Evict(used->bytes - std::min(used->bytes, blob.size)).has_value()) {
      status = client_.Download(job.repository, blob, &store_, {}, stop);
    }
  }
  if (status.ok() && !had) bytes_fetched_ += blob.size;
  return status;
}

Status MirrorCore::FetchManifest(const Job& job, const std::stop_token& stop) {
  const auto manifest = client_.GetManifest(job.repository, job.item, stop);
  if (!manifest) return manifest.error();
  bytes_fetched_ += manifest->bytes.size();
  // Its blobs come when they are asked for.
  const auto put = store_.PutManifest(job.repository, job.item, manifest->media_type,
                                      manifest->bytes, /*whole=*/false);
  return put ? OkStatus() : put.error();
}

Status MirrorCore::RevalidateTag(const Job& job, const std::stop_token& stop) {
  const auto stored = store_.GetManifest(job.repository, job.item);
  const auto resolved = quick_.Resolve(job.repository, job.item, stop);
  if (!resolved) {
    const StatusCode code = resolved.error().code();
    const bool away = code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded;
    if (away && stored) {
      RememberAsked(job);  // so that not everyone waits for it to time out
      log::Debug("mirror", "the upstream is away; a tag is answered from here",
                 {{"repository", job.repository}, {"tag", job.item}});
      return OkStatus();
    }
    if (code == StatusCode::kNotFound && stored) (void)store_.DeleteTag(job.repository, job.item);
    return resolved.error();
  }
  if (!stored || stored->digest != resolved->digest)
    SELVEDGE_RETURN_IF_ERROR(FetchManifest(job, stop));
  RememberAsked(job);
  return OkStatus();
}

void MirrorCore::RememberAsked(const Job& job) {
  const std::lock_guard lock(mutex_);
  if (tags_.size() >= kMaxTagsKnown) tags_.clear();
  tags_[KeyOf(false, job.repository, job.item)] = SteadyClock::now();
}

void MirrorCore::EvictOverCap() {
  const auto used = store_.Used();
  if (!used || used->bytes <= options_.max_bytes) return;
  const auto evicted =
      store_.Evict(static_cast<std::uint64_t>(static_cast<double>(options_.max_bytes) * kEvictTo));
  if (!evicted) {
    log::Warning("mirror", "could not make room", {{"error", evicted.error().message()}});
    return;
  }
  log::Info("mirror", "made room", {{"blobs", evicted->blobs}, {"bytes", evicted->bytes}});
}

Mirror::Mirror(ContentStore* store, MirrorOptions options)
    : core_(std::make_unique<MirrorCore>(store, std::move(options))) {}
Mirror::~Mirror() = default;

void Mirror::WantBlob(std::string_view repository, const std::string& digest,
                      std::chrono::milliseconds wait, Done done) {
  core_->Want(true, repository, digest, wait, std::move(done));
}

void Mirror::WantManifest(std::string_view repository, std::string_view reference,
                          std::chrono::milliseconds wait, Done done) {
  core_->Want(false, repository, reference, wait, std::move(done));
}

const std::string& Mirror::upstream_url() const {
  return core_->options().upstream.url;
}

std::uint64_t Mirror::bytes_fetched() const {
  return core_->bytes_fetched();
}

}  // namespace selvedge
