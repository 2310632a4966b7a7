#pragma once

// What a session needs of TLS, so that it need not know whether there is any, and a program that
// serves none does not carry it. Internal to net/; the I/O thread's.

#include <array>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace selvedge {

// TLS over a socket that it does not own. One read and one write may be under way at a time.
class HttpTlsStream {
 public:
  virtual ~HttpTlsStream() = default;
  virtual boost::asio::awaitable<boost::system::error_code> Handshake() = 0;
  // Whether `error`, of Handshake, means that the client speaks plain HTTP.
  virtual bool WasPlainHttp(const boost::system::error_code& error) const = 0;
  virtual boost::asio::awaitable<std::pair<boost::system::error_code, std::size_t>> ReadSome(
      boost::asio::mutable_buffer buffer) = 0;
  virtual boost::asio::awaitable<boost::system::error_code> Write(
      std::array<boost::asio::const_buffer, 2> buffers) = 0;
  // Tells the peer that no more comes, and waits until it says so too.
  virtual boost::asio::awaitable<void> SayGoodbye() = 0;

  // Of the client's certificate, after Handshake; empty where it gave none.
  const std::string& peer_name() const { return peer_name_; }
  const std::string& peer_fingerprint() const { return peer_fingerprint_; }

 protected:
  std::string peer_name_;
  std::string peer_fingerprint_;
};

// Certificate, key and whom to trust, as read from their files. Outlived by its streams.
class HttpTlsContext {
 public:
  virtual ~HttpTlsContext() = default;
  virtual std::unique_ptr<HttpTlsStream> NewStream(boost::asio::ip::tcp::socket* socket) = 0;
};

}  // namespace selvedge
