#include "device/agent/link_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"

namespace selvedge {
namespace {

constexpr int kPacketsPerTurn = 512;  // of one link, so that none keeps the others waiting
constexpr std::size_t kMaxPending = 4096;

}  // namespace

LinkServer::LinkServer(std::string path, std::string device, Handler handler)
    : path_(std::move(path)),
      device_(std::move(device)),
      handler_(std::move(handler)),
      buffer_(kMaxPacket) {}

LinkServer::~LinkServer() {
  while (!links_.empty()) CloseLink(links_.begin()->first);
  if (listener_ >= 0) {
    close(listener_);
    unlink(path_.c_str());
  }
  if (epoll_ >= 0) close(epoll_);
}

Result<std::unique_ptr<LinkServer>> LinkServer::Open(const std::string& path, std::string device,
                                                     Handler handler) {
  std::unique_ptr<LinkServer> server(new LinkServer(path, std::move(device), std::move(handler)));
  SELVEDGE_RETURN_ERR_IF_ERROR(server->Listen());
  return server;
}

Status LinkServer::Listen() {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof(address.sun_path)) {
    return InvalidArgumentError("the path of the agent's socket is longer than " +
                                std::to_string(sizeof(address.sun_path) - 1) +
                                " bytes, choose a shorter state folder: " + path_);
  }
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  unlink(path_.c_str());
  listener_ = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {.events = EPOLLIN, .data = {.fd = listener_}};
  if (listener_ < 0 || epoll_ < 0 ||
      bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener_, 64) != 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) {
    return ErrnoError(errno, "cannot make the agent's socket " + path_);
  }
  return OkStatus();
}

void LinkServer::Accept() {
  const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (descriptor < 0) return;
  epoll_event event = {.events = EPOLLIN, .data = {.fd = descriptor}};
  if (links_.size() >= kMaxLinks || epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    close(descriptor);
    return;
  }
  links_[descriptor] = Link();
}

void LinkServer::CloseLink(int descriptor) {
  close(descriptor);
  links_.erase(descriptor);
}

bool LinkServer::Take(const v1::FromRun& message, Link* link) {
  if (message.has_hello()) {
    link->key = {message.hello().application(), message.hello().service()};
    link->privacy = message.hello().privacy();
    link->greeted = handler_.known(link->key);
    if (!link->greeted) {
      log::Warning("agent", "a pipeline says a name that is not known; its link is closed",
                   {{"service", link->key.ToString()}});
    }
    return link->greeted;
  }
  if (!link->greeted) return false;
  if (message.has_metrics()) {
    handler_.metrics(link->key, message.metrics());
  } else if (message.has_event()) {
    v1::Event event = message.event().event();
    event.set_device(device_);
    event.set_pipeline(link->key.ToString());
    link->number = message.event().number();
    link->owes = true;
    pending_.push_back(OutboxRecord::Of(event));
  }
  return true;
}

bool LinkServer::ReceiveFrom(int descriptor, Link* link) {
  for (int i = 0; i < kPacketsPerTurn && pending_.size() < kMaxPending; ++i) {
    // MSG_TRUNC: the packet's own size, also where it is larger than the buffer.
    const ssize_t got = recv(descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (got == 0 || static_cast<std::size_t>(got) > buffer_.size()) return false;
    v1::FromRun message;
    if (!message.ParseFromArray(buffer_.data(), static_cast<int>(got)) || !Take(message, link)) {
      return false;
    }
  }
  return true;
}

void LinkServer::CommitEvents() {
  if (pending_.empty()) return;
  const Status status = handler_.events(std::exchange(pending_, {}));
  std::vector<int> close_these;
  for (auto& [descriptor, link] : links_) {
    if (!std::exchange(link.owes, false)) continue;
    v1::FromAgent answer;
    answer.set_committed(link.number);
    const std::string bytes = answer.SerializeAsString();
    // Where nothing was taken the pipeline is to offer it again: it does so with a new link.
    const bool told = status.ok() && send(descriptor, bytes.data(), bytes.size(),
                                          MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
    if (!told) close_these.push_back(descriptor);
  }
  for (const int descriptor : close_these) CloseLink(descriptor);
}

void LinkServer::Receive() {
  std::array<epoll_event, 64> ready;
  const int count = epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), 0);
  std::vector<int> ended;
  for (int i = 0; i < count; ++i) {
    const int descriptor = ready[static_cast<std::size_t>(i)].data.fd;
    if (descriptor == listener_) {
      Accept();
      continue;
    }
    const auto link = links_.find(descriptor);
    if (link == links_.end()) continue;
    if (!ReceiveFrom(descriptor, &link->second)) ended.push_back(descriptor);
  }
  // What a link said before it ended counts.
  CommitEvents();
  for (const int descriptor : ended) {
    if (links_.contains(descriptor)) CloseLink(descriptor);
  }
}

std::string LinkServer::PrivacyOf(const ServiceKey& key) const {
  for (const auto& [descriptor, link] : links_) {
    if (link.greeted && link.key == key && !link.privacy.empty()) return link.privacy;
  }
  return "local-only";
}

}  // namespace selvedge
