#include "device/agent/snapshot.h"

#include <chrono>
#include <utility>

#include "net/http_client.h"

namespace selvedge {

SnapshotTaker::~SnapshotTaker() {
  for (const auto& work : work_) work->thread.join();
}

v1::CommandResult SnapshotTaker::Fetch(const std::string& id, int port) {
  v1::CommandResult result;
  result.set_id(id);
  HttpClientOptions options;
  options.proxy = "none";
  options.total_timeout = std::chrono::milliseconds(8'000);
  HttpClient client(std::move(options));
  HttpCall call;
  call.url = "http://127.0.0.1:" + std::to_string(port) + "/snapshot.jpg";
  call.max_answer_bytes = kMaxPicture;
  Result<HttpAnswer> answer = client.Call(call);
  if (!answer) {
    result.set_error("the pipeline gave no picture: " + answer.error().message());
  } else if (answer->status == 404) {
    result.set_error("the pipeline's version of selvedge-run gives no pictures");
  } else if (answer->status != 200 || answer->body.empty()) {
    result.set_error("the pipeline gave no picture: it answered " + std::to_string(answer->status));
  } else {
    result.set_jpeg(std::move(answer->body));
  }
  return result;
}

void SnapshotTaker::Put(v1::CommandResult result) {
  {
    const std::lock_guard lock(mutex_);
    results_.push_back(std::move(result));
  }
  wake_();
}

void SnapshotTaker::Ask(const std::string& id, int port) {
  std::erase_if(work_, [](const auto& work) {
    if (!work->done) return false;
    work->thread.join();
    return true;
  });
  if (work_.size() >= kMaxAtOnce) {
    v1::CommandResult result;
    result.set_id(id);
    result.set_error("other pictures are being taken; try again");
    return Put(std::move(result));
  }
  auto& work = *work_.emplace_back(std::make_unique<Work>());
  work.thread = std::thread([this, &work, id, port] {
    Put(Fetch(id, port));
    work.done = true;
  });
}

std::vector<v1::CommandResult> SnapshotTaker::Take() {
  std::vector<v1::CommandResult> taken;
  {
    const std::lock_guard lock(mutex_);
    taken.swap(results_);
  }
  return taken;
}

}  // namespace selvedge
