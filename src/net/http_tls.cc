#include "net/http_tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <string_view>
#include <utility>

#include "net/http_tls_stream.h"

namespace selvedge {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// Head and body of a small answer travel as one record.
constexpr std::size_t kJoinBytes = 16 * 1024;

// The common name; empty where there is none, several, or one that is no plain text.
std::string CommonName(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return {};
  unsigned char* text = nullptr;
  const int length =
      ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (length < 0) return {};
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  OPENSSL_free(text);
  if (name.find('\0') != std::string::npos) return {};
  return name;
}

std::string Fingerprint(X509* certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1) return {};
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (unsigned int i = 0; i < length; ++i) {
    out.push_back(kHex[digest[i] >> 4]);
    out.push_back(kHex[digest[i] & 15]);
  }
  return out;
}

class TlsStream : public HttpTlsStream {
 public:
  TlsStream(tcp::socket* socket, asio::ssl::context* context) : stream_(*socket, *context) {}

  asio::awaitable<error_code> Handshake() override {
    auto [ec] = co_await stream_.async_handshake(asio::ssl::stream_base::server, kAwait);
    if (!ec) ReadPeer();
    co_return ec;
  }
  bool WasPlainHttp(const error_code& error) const override {
    return error.category() == asio::error::get_ssl_category() &&
           ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_HTTP_REQUEST;
  }
  asio::awaitable<std::pair<error_code, std::size_t>> ReadSome(
      asio::mutable_buffer buffer) override {
    auto [ec, bytes] = co_await stream_.async_read_some(asio::buffer(buffer), kAwait);
    co_return std::pair<error_code, std::size_t>(ec, bytes);
  }
  asio::awaitable<error_code> Write(std::array<asio::const_buffer, 2> buffers) override {
    if (buffers[0].size() > 0 && buffers[1].size() > 0 &&
        buffers[0].size() + buffers[1].size() <= kJoinBytes) {
      std::string joined(static_cast<const char*>(buffers[0].data()), buffers[0].size());
      joined.append(static_cast<const char*>(buffers[1].data()), buffers[1].size());
      auto [ec, bytes] = co_await asio::async_write(stream_, asio::buffer(joined), kAwait);
      co_return ec;
    }
    auto [ec, bytes] = co_await asio::async_write(stream_, buffers, kAwait);
    co_return ec;
  }
  asio::awaitable<void> SayGoodbye() override { co_await stream_.async_shutdown(kAwait); }

 private:
  void ReadPeer() {
    SSL* ssl = stream_.native_handle();
    if (SSL_get_verify_result(ssl) != X509_V_OK) return;
    X509* certificate = SSL_get1_peer_certificate(ssl);
    if (certificate == nullptr) return;
    peer_name_ = CommonName(certificate);
    peer_fingerprint_ = Fingerprint(certificate);
    X509_free(certificate);
  }

  asio::ssl::stream<tcp::socket&> stream_;
};

class TlsContext : public HttpTlsContext {
 public:
  std::unique_ptr<HttpTlsStream> NewStream(tcp::socket* socket) override {
    return std::make_unique<TlsStream>(socket, &context_);
  }
  Status Load(const HttpTls& tls);

 private:
  asio::ssl::context context_{asio::ssl::context::tls_server};
};

Status TlsContext::Load(const HttpTls& tls) {
  SSL_CTX* native = context_.native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Who a client is, is asked anew on each connection: nothing outlives a reload of the CA.
  SSL_CTX_set_options(native, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  error_code ec;
  context_.use_certificate_chain_file(tls.certificate_file, ec);
  if (ec) {
    return InvalidArgumentError("http: cannot use the TLS certificate " + tls.certificate_file +
                                ": " + ec.message() + "; it must be a PEM file");
  }
  context_.use_private_key_file(tls.key_file, asio::ssl::context::pem, ec);
  if (ec) {
    return InvalidArgumentError(
        "http: cannot use the TLS key " + tls.key_file + ": " + ec.message() +
        "; it must be an unencrypted PEM file that belongs to " + tls.certificate_file);
  }
  if (tls.client == HttpTls::Client::kNone) return OkStatus();
  context_.load_verify_file(tls.client_ca_file, ec);
  if (ec) {
    return InvalidArgumentError("http: cannot use the CA for client certificates " +
                                tls.client_ca_file + ": " + ec.message() +
                                "; it must be a PEM file");
  }
  const bool required = tls.client == HttpTls::Client::kRequired;
  context_.set_verify_mode(
      asio::ssl::verify_peer | (required ? asio::ssl::verify_fail_if_no_peer_cert : 0), ec);
  if (ec) return InternalError("http: TLS refuses to ask for certificates: " + ec.message());
  // Tells clients which of their certificates is wanted.
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(tls.client_ca_file.c_str());
  if (names != nullptr) SSL_CTX_set_client_CA_list(native, names);
  return OkStatus();
}

Result<std::shared_ptr<HttpTlsContext>> LoadTls(const HttpTls& tls) {
  try {
    auto context = std::make_shared<TlsContext>();
    SELVEDGE_RETURN_ERR_IF_ERROR(context->Load(tls));
    return context;
  } catch (const std::exception& e) {
    return Err(InternalError(std::string("http: TLS could not be set up: ") + e.what()));
  }
}

}  // namespace

HttpTls::HttpTls() : load(&LoadTls) {}

HttpTls::HttpTls(std::string certificate, std::string key)
    : certificate_file(std::move(certificate)), key_file(std::move(key)), load(&LoadTls) {}

}  // namespace selvedge
