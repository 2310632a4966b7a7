#include "net/free_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace selvedge {

namespace {

// A socket bound to the address and port (0: any that is free), closed by whoever asked.
Result<int> Bind(const std::string& address, int port) {
  const bool ipv6 = address.find(':') != std::string::npos;
  sockaddr_storage storage = {};
  socklen_t size = 0;
  if (ipv6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr);
    size = sizeof *v6;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    inet_pton(AF_INET, address.c_str(), &v4->sin_addr);
    size = sizeof *v4;
  }
  const int descriptor = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return Err(ErrnoError(errno, "cannot open a socket"));
  const int on = 1;
  // As servers do: connections that are being closed are no obstacle.
  if (port != 0) setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&storage), size) != 0) {
    const Status status = ErrnoError(errno, "cannot listen on " + address);
    close(descriptor);
    return Err(status);
  }
  return descriptor;
}

}  // namespace

Result<int> FindFreePort(const std::string& address) {
  SELVEDGE_ASSIGN_OR_RETURN(const int descriptor, Bind(address, 0));
  sockaddr_storage storage = {};
  socklen_t size = sizeof storage;
  const int failed = getsockname(descriptor, reinterpret_cast<sockaddr*>(&storage), &size);
  const int error = errno;
  close(descriptor);
  if (failed != 0) return Err(ErrnoError(error, "cannot listen on " + address));
  return ntohs(storage.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&storage)->sin6_port
                                             : reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
}

Status CheckPort(const std::string& address, int port) {
  const Result<int> descriptor = Bind(address, port);
  if (descriptor) {
    close(*descriptor);
    return OkStatus();
  }
  const std::string place = "port " + std::to_string(port) + " of " + address;
  if (descriptor.error().code() == StatusCode::kUnavailable) {
    return UnavailableError(
        place + " is taken by another program: end it, or choose another port (0: a free one)");
  }
  return descriptor.error().WithContext(place);
}

}  // namespace selvedge
