#include "net/mqtt/resolve.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace selvedge {
namespace {

using Addresses = Result<std::vector<std::string>>;

bool IsNumeric(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> ignored = {};
  return inet_pton(AF_INET, host.c_str(), ignored.data()) == 1 ||
         inet_pton(AF_INET6, host.c_str(), ignored.data()) == 1;
}

Addresses LookUp(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  if (const int error = getaddrinfo(host.c_str(), nullptr, &hints, &raw); error != 0) {
    return Err(
        UnavailableError("the name " + host + " cannot be looked up: " + gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, freeaddrinfo);
  std::vector<std::string> addresses;
  for (const addrinfo* entry = found.get(); entry != nullptr; entry = entry->ai_next) {
    std::array<char, NI_MAXHOST> text = {};
    if (getnameinfo(entry->ai_addr, entry->ai_addrlen, text.data(), text.size(), nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      addresses.emplace_back(text.data());
    }
  }
  return addresses;
}

}  // namespace

struct Resolver::Shared {
  std::mutex mutex;
  std::function<void()> on_done;  // emptied when the Resolver goes
  std::string host;               // being looked up; empty where none is
  std::optional<Addresses> result;
};

Resolver::Resolver(std::function<void()> on_done) : shared_(std::make_shared<Shared>()) {
  shared_->on_done = std::move(on_done);
}

Resolver::~Resolver() {
  const std::lock_guard lock(shared_->mutex);
  shared_->on_done = nullptr;
}

void Resolver::Begin(const std::string& host) {
  at_once_.reset();
  if (IsNumeric(host)) {
    at_once_ = std::vector<std::string>{host};
    return;
  }
  {
    const std::lock_guard lock(shared_->mutex);
    if (shared_->host == host) return;
    if (!shared_->host.empty()) {
      at_once_ = Err(UnavailableError("the name " + shared_->host + " is still being looked up"));
      return;
    }
    shared_->host = host;
    shared_->result.reset();
  }
  const auto work = [shared = shared_, host] {
    Addresses addresses = LookUp(host);
    const std::lock_guard lock(shared->mutex);
    shared->host.clear();
    shared->result = std::move(addresses);
    if (shared->on_done) shared->on_done();
  };
  try {
    std::thread(work).detach();
  } catch (const std::system_error& error) {
    const std::lock_guard lock(shared_->mutex);
    shared_->host.clear();
    at_once_ = Err(ResourceExhaustedError(std::string("cannot start a thread: ") + error.what()));
  }
}

std::optional<Addresses> Resolver::Take() {
  if (at_once_) return std::exchange(at_once_, std::nullopt);
  const std::lock_guard lock(shared_->mutex);
  return std::exchange(shared_->result, std::nullopt);
}

}  // namespace selvedge
