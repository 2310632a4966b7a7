#include "net/test_certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace selvedge {
namespace {

void Check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "test certificates: %s failed\n", what);
  std::abort();
}

EVP_PKEY* NewKey() {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  Check(key != nullptr, "EVP_EC_gen");
  return key;
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  Check(extension != nullptr, value.c_str());
  Check(X509_add_ext(certificate, extension, -1) == 1, "X509_add_ext");
  X509_EXTENSION_free(extension);
}

X509* NewCertificate(const TestCa::Wish& wish, EVP_PKEY* key, X509* issuer, EVP_PKEY* issuer_key,
                     long serial) {
  X509* certificate = X509_new();
  Check(certificate != nullptr, "X509_new");
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), wish.begins_in_s);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wish.ends_in_s);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wish.cn.data()),
                             static_cast<int>(wish.cn.size()), -1, 0);
  X509* signer = issuer != nullptr ? issuer : certificate;
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  AddExtension(certificate, signer, NID_basic_constraints,
               issuer == nullptr ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!wish.names.empty() && issuer != nullptr) {
    AddExtension(certificate, signer, NID_subject_alt_name, wish.names);
  }
  Check(X509_sign(certificate, issuer_key, EVP_sha256()) > 0, "X509_sign");
  return certificate;
}

void Write(const std::string& path, X509* certificate, EVP_PKEY* key) {
  FILE* file = std::fopen(path.c_str(), "w");
  Check(file != nullptr, path.c_str());
  if (certificate != nullptr) Check(PEM_write_X509(file, certificate) == 1, "PEM_write_X509");
  if (key != nullptr) {
    Check(PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr) == 1,
          "PEM_write_PrivateKey");
  }
  std::fclose(file);
}

}  // namespace

struct TestCa::Keys {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
};

TestCa::TestCa(const std::string& name) : keys_(new Keys) {
  std::string pattern = (std::filesystem::temp_directory_path() / "selvedge-ca-XXXXXX").string();
  Check(mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder_ = pattern;
  keys_->key = NewKey();
  keys_->certificate = NewCertificate({.cn = name}, keys_->key, nullptr, keys_->key, 1);
  Write(ca_file(), keys_->certificate, nullptr);
}

TestCa::~TestCa() {
  X509_free(keys_->certificate);
  EVP_PKEY_free(keys_->key);
  delete keys_;
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

TestCa::Pair TestCa::Issue(const Wish& wish) {
  ++issued_;
  const std::string base = (folder_ / ("issued-" + std::to_string(issued_))).string();
  EVP_PKEY* key = NewKey();
  X509* certificate = NewCertificate(wish, key, keys_->certificate, keys_->key, 1 + issued_);
  Write(base + ".pem", certificate, nullptr);
  Write(base + ".key", nullptr, key);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  Check(X509_digest(certificate, EVP_sha256(), digest, &length) == 1, "X509_digest");
  std::string fingerprint;
  for (unsigned int i = 0; i < length; ++i) {
    char hex[3];
    std::snprintf(hex, sizeof hex, "%02x", digest[i]);
    fingerprint += hex;
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  return {base + ".pem", base + ".key", fingerprint};
}

std::string TestCa::ca_pem() const {
  std::ifstream file(ca_file());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace selvedge
