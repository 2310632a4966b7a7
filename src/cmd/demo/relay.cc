#include "cmd/demo/relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <tuple>
#include <utility>

namespace selvedge::demo {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// All of it, waiting where the peer is slow. False where the peer is gone.
bool SendAll(int to, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(to, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

}  // namespace

struct Relay::Link {
  int client = -1;
  int server = -1;
  void Close() const {
    close(client);
    close(server);
  }
};

Result<std::unique_ptr<Relay>> Relay::Start(int target_port) {
  std::unique_ptr<Relay> relay(new Relay);
  relay->target_port_ = target_port;
  relay->listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  relay->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (relay->listener_ < 0 || relay->wake_ < 0 || bind(relay->listener_, any, size) != 0 ||
      listen(relay->listener_, 16) != 0 || getsockname(relay->listener_, any, &size) != 0) {
    return Err(ErrnoError(errno, "cannot listen on a port of 127.0.0.1 for the demo's relay"));
  }
  relay->port_ = ntohs(address.sin_port);
  relay->thread_ = std::thread([raw = relay.get()] { raw->Run(); });
  return relay;
}

Relay::~Relay() {
  stop_ = true;
  Wake();
  if (thread_.joinable()) thread_.join();
  if (listener_ >= 0) close(listener_);
  if (wake_ >= 0) close(wake_);
}

void Relay::Wake() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
}

void Relay::Cut() {
  cut_ = true;
  Wake();
}

void Relay::Restore() {
  cut_ = false;
  Wake();
}

void Relay::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(target_port_);
  const bool open =
      !cut_ && links_.size() < kMaxLinks && server >= 0 &&
      connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  const Link link{client, server};
  if (open) {
    links_.push_back(link);
  } else {
    link.Close();
  }
}

bool Relay::Move(Link* link, bool client_ready, bool server_ready) {
  std::array<char, 16384> buffer;
  for (const auto& [ready, from, to] : {std::tuple(client_ready, link->client, link->server),
                                        std::tuple(server_ready, link->server, link->client)}) {
    if (!ready) continue;
    const ssize_t got = recv(from, buffer.data(), buffer.size(), 0);
    if (got <= 0) return got < 0 && errno == EINTR;
    // Counted first: who has received them finds them counted.
    bytes_.fetch_add(static_cast<std::uint64_t>(got), std::memory_order_relaxed);
    if (!SendAll(to, buffer.data(), static_cast<std::size_t>(got))) return false;
  }
  return true;
}

void Relay::Run() {
  std::vector<pollfd> waits;
  while (!stop_) {
    waits.assign({{wake_, POLLIN, 0}, {listener_, POLLIN, 0}});
    for (const Link& link : links_) {
      waits.push_back({link.client, POLLIN, 0});
      waits.push_back({link.server, POLLIN, 0});
    }
    if (poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
    if (waits[0].revents != 0) {
      std::uint64_t ignored = 0;
      [[maybe_unused]] const auto got = read(wake_, &ignored, sizeof(ignored));
    }
    std::vector<Link> kept;
    for (std::size_t i = 0; i < links_.size(); ++i) {
      Link link = links_[i];
      const bool alive = !cut_ && !stop_ &&
                         Move(&link, waits[2 + 2 * i].revents != 0, waits[3 + 2 * i].revents != 0);
      if (alive) {
        kept.push_back(link);
      } else {
        link.Close();
      }
    }
    links_ = std::move(kept);
    if (waits[1].revents != 0 && !stop_) Accept();
  }
  for (const Link& link : links_) link.Close();
}

}  // namespace selvedge::demo
