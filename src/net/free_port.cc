#include "net/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace selvedge {

Result<int> FindFreePort(const std::string& address) {
  const bool ipv6 = address.find(':') != std::string::npos;
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (ipv6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr);
    size = sizeof *v6;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    inet_pton(AF_INET, address.c_str(), &v4->sin_addr);
    size = sizeof *v4;
  }
  const int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Err(ErrnoError(errno, "cannot open a socket"));
  Result<int> port = 0;
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    port = Err(ErrnoError(errno, "cannot listen on " + address));
  } else {
    port = ntohs(ipv6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                      : reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  }
  close(descriptor);
  return port;
}

}  // namespace selvedge
