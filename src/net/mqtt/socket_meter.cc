#include "net/mqtt/socket_meter.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>

namespace selvedge {
namespace {

// Sockets that a meter has, by inode.
std::mutex claims_mutex;
std::set<ino_t>& Claims() {
  static auto& claims = *new std::set<ino_t>;
  return claims;
}

ino_t SocketInode(int descriptor) {
  struct stat facts = {};
  return fstat(descriptor, &facts) == 0 && S_ISSOCK(facts.st_mode) ? facts.st_ino : 0;
}

// "192.0.2.1" for an IPv4 peer, also where it comes as an IPv6 address.
bool PeerOf(int descriptor, std::string* address, int* port) {
  sockaddr_storage peer = {};
  socklen_t size = sizeof peer;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return false;
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if (peer.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&peer);
    *port = ntohs(v4->sin_port);
    inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  } else if (peer.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
    *port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
      inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
      inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
    }
  } else {
    return false;
  }
  *address = text.data();
  return true;
}

std::vector<int> OpenDescriptors() {
  std::vector<int> found;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (folder == nullptr) return found;
  while (const dirent* entry = readdir(folder.get())) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') found.push_back(atoi(entry->d_name));
  }
  // Newest last, and that is the likely one.
  std::ranges::sort(found, std::greater<>());
  return found;
}

}  // namespace

bool SocketMeter::Attach(const std::vector<std::string>& addresses, int port) {
  Release();
  const std::lock_guard lock(claims_mutex);
  for (const int descriptor : OpenDescriptors()) {
    const ino_t inode = SocketInode(descriptor);
    std::string address;
    int peer_port = 0;
    if (inode == 0 || Claims().contains(inode) || !PeerOf(descriptor, &address, &peer_port) ||
        peer_port != port || std::ranges::find(addresses, address) == addresses.end()) {
      continue;
    }
    Claims().insert(inode);
    descriptor_ = descriptor;
    inode_ = inode;
    return true;
  }
  return false;
}

std::optional<SocketCounts> SocketMeter::Read() const {
  if (descriptor_ < 0 || SocketInode(descriptor_) != inode_) return std::nullopt;
  tcp_info info = {};
  socklen_t size = sizeof info;
  if (getsockopt(descriptor_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return SocketCounts{.bytes_sent = info.tcpi_bytes_sent,
                      .bytes_received = info.tcpi_bytes_received,
                      .segments_sent = info.tcpi_segs_out,
                      .segments_received = info.tcpi_segs_in};
}

void SocketMeter::Shutdown() const {
  if (descriptor_ >= 0 && SocketInode(descriptor_) == inode_) shutdown(descriptor_, SHUT_RDWR);
}

void SocketMeter::Release() {
  if (descriptor_ < 0) return;
  const std::lock_guard lock(claims_mutex);
  Claims().erase(inode_);
  descriptor_ = -1;
  inode_ = 0;
}

}  // namespace selvedge
