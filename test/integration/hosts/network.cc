#include "network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

namespace selvedge {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
constexpr std::size_t kMaxPacket = 65'536;
constexpr std::size_t kMaxOnTheWay = 100'000;
constexpr std::size_t kIpHeader = 20;
constexpr std::size_t kIpSource = 12;
constexpr std::size_t kIpDestination = 16;

std::uint32_t AddressOf(const std::string& text) {
  in_addr address = {};
  inet_pton(AF_INET, text.c_str(), &address);
  return address.s_addr;
}

ifreq Named(const char* name) {
  ifreq request = {};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return request;
}

void SetAddress(ifreq* request, const std::string& text) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = AddressOf(text);
  std::memcpy(&request->ifr_addr, &address, sizeof(address));
}

Status BringUp(int any_socket, const char* name) {
  ifreq request = Named(name);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(any_socket, SIOCSIFFLAGS, &request) != 0) {
    return ErrnoError(errno, std::string("cannot bring up ") + name);
  }
  return OkStatus();
}

}  // namespace

std::string WhyNoHosts() {
  const auto host = Host::Create("10.77.0.254");
  return host ? "" : host.error().message();
}

// ---- Host --------------------------------------------------------------------------------------

Result<std::unique_ptr<Host>> Host::Create(const std::string& address) {
  std::unique_ptr<Host> host(new Host(address));
  host->thread_ = std::thread([raw = host.get()] { raw->Run(); });
  Status status;
  host->Do([&] { status = host->SetUp(); });
  if (!status.ok()) return Err(std::move(status));
  return host;
}

Host::~Host() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  if (device_ >= 0) close(device_);
}

Status Host::SetUp() {
  if (unshare(CLONE_NEWNET) != 0) {
    return ErrnoError(errno, "a network namespace cannot be made (it takes root)");
  }
  device_ = open(kDevice, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device_ < 0) return ErrnoError(errno, std::string(kDevice) + " cannot be opened");
  ifreq request = Named("net0");
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (ioctl(device_, TUNSETIFF, &request) != 0) {
    return ErrnoError(errno, "a TUN device cannot be made");
  }
  const int any_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any_socket < 0) return ErrnoError(errno, "no socket");
  ifreq address = Named("net0");
  SetAddress(&address, address_);
  ifreq mask = Named("net0");
  SetAddress(&mask, "255.255.255.0");
  Status status;
  if (ioctl(any_socket, SIOCSIFADDR, &address) != 0 ||
      ioctl(any_socket, SIOCSIFNETMASK, &mask) != 0) {
    status = ErrnoError(errno, "the TUN device takes no address");
  }
  if (status.ok()) status = BringUp(any_socket, "lo");
  if (status.ok()) status = BringUp(any_socket, "net0");
  close(any_socket);
  return status;
}

void Host::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
    changed_.notify_all();
  }
}

void Host::Do(const std::function<void()>& what) {
  bool done = false;
  std::unique_lock lock(mutex_);
  jobs_.emplace_back([&] {
    what();
    const std::lock_guard inner(mutex_);
    done = true;
  });
  changed_.notify_all();
  changed_.wait(lock, [&] { return done; });
}

Result<ChildProcess> Host::StartChild(const ChildOptions& options) {
  std::optional<Result<ChildProcess>> child;
  Do([&] { child.emplace(ChildProcess::Start(options)); });
  return *std::move(child);
}

// ---- Network -----------------------------------------------------------------------------------

Network::Network(const std::vector<Host*>& hosts, std::uint64_t seed)
    : random_(seed), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (const Host* host : hosts) devices_[AddressOf(host->address())] = host->device();
  thread_ = std::thread([this] { Run(); });
}

Network::~Network() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
  thread_.join();
  close(wake_);
}

void Network::Set(const Host& a, const Host& b, Way way) {
  const std::lock_guard lock(mutex_);
  ways_[PairOf(AddressOf(a.address()), AddressOf(b.address()))] = way;
}

void Network::Cut(const Host& a, const Host& b, bool cut) {
  const std::lock_guard lock(mutex_);
  ways_[PairOf(AddressOf(a.address()), AddressOf(b.address()))].cut = cut;
}

std::uint64_t Network::carried() const {
  const std::lock_guard lock(mutex_);
  return carried_;
}

std::uint64_t Network::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

// With the lock held.
void Network::Take(int from) {
  std::array<char, kMaxPacket> buffer;
  for (;;) {
    const ssize_t size = read(from, buffer.data(), buffer.size());
    if (size <= 0) return;
    if (static_cast<std::size_t>(size) < kIpHeader || (buffer[0] >> 4) != 4) continue;  // IPv6
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
    std::memcpy(&source, buffer.data() + kIpSource, sizeof(source));
    std::memcpy(&destination, buffer.data() + kIpDestination, sizeof(destination));
    const auto to = devices_.find(destination);
    const auto way = ways_.find(PairOf(source, destination));
    if (to == devices_.end() || way == ways_.end() || way->second.cut) continue;
    if (std::uniform_real_distribution<double>(0, 1)(random_) < way->second.loss ||
        on_the_way_.size() >= kMaxOnTheWay) {
      ++lost_;
      continue;
    }
    ++carried_;
    on_the_way_.push({Clock::System().Monotonic() + way->second.delay, order_++, to->second,
                      std::vector<char>(buffer.data(), buffer.data() + size)});
  }
}

// With the lock held.
void Network::DeliverDue() {
  const Nanos now = Clock::System().Monotonic();
  while (!on_the_way_.empty() && on_the_way_.top().due <= now) {
    const Packet& packet = on_the_way_.top();
    [[maybe_unused]] const auto written =
        write(packet.to, packet.bytes.data(), packet.bytes.size());
    on_the_way_.pop();
  }
}

void Network::Run() {
  std::vector<pollfd> waits = {{wake_, POLLIN, 0}};
  for (const auto& [address, device] : devices_) waits.push_back({device, POLLIN, 0});
  int timeout_ms = -1;
  for (;;) {
    poll(waits.data(), waits.size(), timeout_ms);
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    for (std::size_t i = 1; i < waits.size(); ++i) {
      if ((waits[i].revents & POLLIN) != 0) Take(waits[i].fd);
    }
    DeliverDue();
    timeout_ms = -1;
    if (!on_the_way_.empty()) {
      const Nanos wait = on_the_way_.top().due - Clock::System().Monotonic();
      timeout_ms = static_cast<int>(std::max<Nanos>(wait, 0) / kMillisecond) + 1;
    }
  }
}

}  // namespace selvedge
