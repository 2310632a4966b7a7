#include "trust/openssl_types.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>

#include "trust/certificate.h"

namespace selvedge::openssl {
namespace {

// A key of ours is never encrypted; without this OpenSSL would ask on the terminal.
int NoPassword(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
  return -1;
}

Result<Bio> Open(std::string_view pem, std::string_view what) {
  if (pem.size() > kMaxPemBytes) {
    return Err(InvalidArgumentError(std::string(what) + " is larger than " +
                                    std::to_string(kMaxPemBytes) + " bytes"));
  }
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (bio == nullptr) return Err(LastError("OpenSSL is out of memory"));
  return bio;
}

Status Malformed(std::string_view what, std::string_view label) {
  ERR_clear_error();
  return InvalidArgumentError(std::string(what) + " is not in PEM form (-----BEGIN " +
                              std::string(label) + "-----), or damaged");
}

}  // namespace

Status LastError(std::string_view what) {
  std::array<char, 160> reason = {};
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, reason.data(), reason.size());
  }
  ERR_clear_error();
  std::string message(what);
  if (reason[0] != '\0') message.append(": ").append(reason.data());
  return InternalError(std::move(message));
}

Result<Certificate> ParseCertificate(std::string_view pem, std::string_view what) {
  SELVEDGE_ASSIGN_OR_RETURN(const Bio bio, Open(pem, what));
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr));
  if (certificate == nullptr) return Err(Malformed(what, "CERTIFICATE"));
  return certificate;
}

Result<Request> ParseRequest(std::string_view pem) {
  constexpr std::string_view kWhat = "the certificate request";
  SELVEDGE_ASSIGN_OR_RETURN(const Bio bio, Open(pem, kWhat));
  Request request(PEM_read_bio_X509_REQ(bio.get(), nullptr, NoPassword, nullptr));
  if (request == nullptr) return Err(Malformed(kWhat, "CERTIFICATE REQUEST"));
  return request;
}

Result<Key> ParsePrivateKey(std::string_view pem) {
  constexpr std::string_view kWhat = "the private key";
  SELVEDGE_ASSIGN_OR_RETURN(const Bio bio, Open(pem, kWhat));
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (key == nullptr) return Err(Malformed(kWhat, "PRIVATE KEY"));
  if (!IsP256(key.get())) {
    return Err(InvalidArgumentError("the private key is not of the kind used here (ECDSA, P-256)"));
  }
  return key;
}

bool IsP256(const EVP_PKEY* key) {
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  std::array<char, 64> group = {};
  std::size_t size = 0;
  const int got = EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(),
                                                 group.size(), &size);
  ERR_clear_error();
  return got == 1 && std::string_view(group.data(), size) == "prime256v1";
}

std::string ToHex(const unsigned char* bytes, std::size_t size) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(size * 2);
  for (std::size_t i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

Result<std::string> KeyDigest(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return Err(LastError("cannot encode a public key"));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int digest_size = 0;
  const int done = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &digest_size,
                              EVP_sha256(), nullptr);
  OPENSSL_free(der);
  if (done != 1) return Err(LastError("cannot compute a SHA-256 digest"));
  return ToHex(digest.data(), digest_size);
}

std::string CommonName(const X509_NAME* name) {
  const int place = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (place < 0) return "";
  const ASN1_STRING* value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, place));
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, value);
  if (size < 0) {
    ERR_clear_error();
    return "";
  }
  std::string text(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<std::size_t>(size));
}

}  // namespace selvedge::openssl
