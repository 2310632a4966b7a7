#include "net/tcp_meter.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <string>

namespace selvedge {
namespace {

constexpr std::uint64_t kTcpHeader = 20 + 12;  // with timestamps

std::uint64_t HeaderBytes(int family) {
  return kTcpHeader + (family == AF_INET6 ? 40 : 20);
}

// Inodes of the sockets behind /proc/self/fd.
std::map<std::uint32_t, bool> OwnSockets() {
  std::map<std::uint32_t, bool> inodes;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (!target.starts_with("socket:[")) continue;
    std::uint32_t inode = 0;
    std::from_chars(target.data() + 8, target.data() + target.size(), inode);
    inodes[inode] = true;
  }
  return inodes;
}

}  // namespace

void TcpMeter::Take(const void* message, std::size_t size, int family) {
  inet_diag_msg head;
  if (size < sizeof(head)) return;
  std::memcpy(&head, message, sizeof(head));
  if (ntohs(head.id.idiag_dport) != remote_port_ || !own_.contains(head.idiag_inode)) return;
  const auto* attribute =
      reinterpret_cast<const rtattr*>(static_cast<const char*>(message) + sizeof(head));
  auto left = static_cast<unsigned>(size - sizeof(head));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
    if (attribute->rta_type != INET_DIAG_INFO) continue;
    tcp_info info = {};
    std::memcpy(&info, RTA_DATA(attribute),
                std::min<std::size_t>(sizeof(info), RTA_PAYLOAD(attribute)));
    const std::uint64_t header = HeaderBytes(family);
    const std::uint64_t sent = info.tcpi_bytes_sent + info.tcpi_segs_out * header;
    const std::uint64_t received = info.tcpi_bytes_received + info.tcpi_segs_in * header;
    auto [entry, fresh] = seen_.try_emplace(head.idiag_inode);
    Seen& seen = entry->second;
    if (fresh || sent < seen.sent) {  // an inode that was used again is another connection
      ++totals_.connections;
      seen = {};
    }
    totals_.sent += sent - seen.sent;
    totals_.received += received - std::min(received, seen.received);
    seen = {sent, received, true};
  }
}

Status TcpMeter::Dump(int netlink, int family) {
  struct {
    nlmsghdr head = {};
    inet_diag_req_v2 request = {};
  } ask;
  ask.head.nlmsg_len = sizeof(ask);
  ask.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  ask.head.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  ask.request.sdiag_family = static_cast<std::uint8_t>(family);
  ask.request.sdiag_protocol = IPPROTO_TCP;
  ask.request.idiag_ext = 1U << (INET_DIAG_INFO - 1);
  ask.request.idiag_states = ~0U;
  if (send(netlink, &ask, sizeof(ask), 0) < 0) {
    return ErrnoError(errno, "the kernel's sock_diag does not take a question");
  }
  alignas(nlmsghdr) std::array<char, 32768> buffer;
  while (true) {
    const ssize_t got = recv(netlink, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return ErrnoError(errno, "the kernel's sock_diag does not answer");
    auto left = static_cast<unsigned>(got);
    for (auto* head = reinterpret_cast<nlmsghdr*>(buffer.data()); NLMSG_OK(head, left);
         head = NLMSG_NEXT(head, left)) {
      if (head->nlmsg_type == NLMSG_DONE) return OkStatus();
      if (head->nlmsg_type == NLMSG_ERROR) {
        return UnimplementedError("the kernel has no sock_diag for TCP");
      }
      Take(NLMSG_DATA(head), head->nlmsg_len - NLMSG_HDRLEN, family);
    }
  }
}

Status TcpMeter::Poll() {
  const int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (netlink < 0) return ErrnoError(errno, "cannot ask the kernel about connections");
  const timeval patience = {.tv_sec = 2, .tv_usec = 0};
  setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  own_ = OwnSockets();
  for (auto& [inode, seen] : seen_) seen.alive = false;
  Status status = Dump(netlink, AF_INET);
  if (status.ok()) status = Dump(netlink, AF_INET6);
  close(netlink);
  if (status.ok()) std::erase_if(seen_, [](const auto& entry) { return !entry.second.alive; });
  return status;
}

}  // namespace selvedge
