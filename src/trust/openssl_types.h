#pragma once

// OpenSSL's objects with an owner, for this folder's .cc files only.

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"

namespace selvedge::openssl {

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
template <typename T, auto kFree>
using Owned = std::unique_ptr<T, Free<kFree>>;

using Bio = Owned<BIO, BIO_free>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;
using Certificate = Owned<X509, X509_free>;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using Number = Owned<BIGNUM, BN_free>;

// "what: OpenSSL's last reason"; empties OpenSSL's queue of errors, as every failure must.
Status LastError(std::string_view what);

// What follows reads others' text: InvalidArgument, naming `what` it should have been.
Result<Certificate> ParseCertificate(std::string_view pem, std::string_view what);
Result<Request> ParseRequest(std::string_view pem);
// P-256 only, not encrypted.
Result<Key> ParsePrivateKey(std::string_view pem);

bool IsP256(const EVP_PKEY* key);
std::string ToHex(const unsigned char* bytes, std::size_t size);
// SHA-256 of the DER form of a public key, hexadecimal.
Result<std::string> KeyDigest(EVP_PKEY* key);
// The first common name of a subject; empty where there is none.
std::string CommonName(const X509_NAME* name);
// Everything that was written to a memory BIO.
std::string TextOf(BIO* bio);

}  // namespace selvedge::openssl
