#pragma once

// HttpTls: with which certificate an HttpServer speaks TLS, and what it asks of its clients.

#include <memory>
#include <string>

#include "base/status.h"

namespace selvedge {

class HttpTlsContext;  // of net/

struct HttpTls {
  // kOptional verifies a certificate where the client has one (HttpRequest::peer_name) and serves
  // those without one too; kRequired ends the handshake of the others.
  enum class Client { kNone, kOptional, kRequired };

  // Not inline, so that a program that never asks for TLS does not carry it.
  HttpTls();
  HttpTls(std::string certificate, std::string key);

  std::string certificate_file;  // PEM, the server's own first, then those up to the CA, if any
  std::string key_file;          // PEM, not encrypted
  Client client = Client::kNone;
  std::string client_ca_file;  // PEM; needed unless kNone

  // The server's own: reads the files.
  Result<std::shared_ptr<HttpTlsContext>> (*load)(const HttpTls&);
};

}  // namespace selvedge
