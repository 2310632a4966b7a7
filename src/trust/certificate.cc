#include "trust/certificate.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/file.h"
#include "trust/openssl_types.h"

namespace selvedge {
namespace {

using openssl::Bio;
using openssl::Certificate;
using openssl::Key;
using openssl::LastError;

constexpr std::size_t kMaxName = 64;  // RFC 5280, appendix A: ub-common-name
constexpr std::size_t kMaxSubjectNames = 64;
constexpr Nanos kAuthorityLifetime = 3 * kCertificateLifetime;

Status CheckName(std::string_view name) {
  const bool printable = std::ranges::all_of(name, [](char c) { return c >= ' ' && c <= '~'; });
  if (name.empty() || name.size() > kMaxName || !printable) {
    return InvalidArgumentError("a certificate's name has 1 to 64 printable ASCII characters");
  }
  return OkStatus();
}

Status SetSubject(X509_NAME* subject, std::string_view name) {
  if (X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(name.data()),
                                 static_cast<int>(name.size()), -1, 0) != 1) {
    return LastError("cannot set a certificate's name");
  }
  return OkStatus();
}

Status AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const openssl::Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return LastError("cannot set a certificate's extension");
  }
  return OkStatus();
}

Status SetSerial(X509* certificate) {
  std::array<unsigned char, 16> random = {};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return LastError("the system gave no random bytes");
  }
  random[0] |= 0x40;  // never shorter than 127 bits
  const openssl::Number number(BN_bin2bn(random.data(), static_cast<int>(random.size()), nullptr));
  if (number == nullptr ||
      BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) == nullptr) {
    return LastError("cannot set a certificate's serial number");
  }
  return OkStatus();
}

// From the beginning of 1970: a device without a clock boots there.
Status SetValidity(X509* certificate, Nanos end) {
  if (ASN1_TIME_set(X509_getm_notBefore(certificate), 0) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate), static_cast<time_t>(end / kSecond)) ==
          nullptr) {
    return LastError("cannot set how long a certificate is valid");
  }
  return OkStatus();
}

// Characters that would end one alternative name and begin another are refused.
Result<std::string> AlternativeNames(const CertificateOrder& order) {
  if (order.dns_names.size() + order.addresses.size() > kMaxSubjectNames) {
    return Err(InvalidArgumentError("a certificate names at most 64 hosts and addresses"));
  }
  std::string text;
  const auto add = [&text](std::string_view kind, std::string_view value) {
    if (!text.empty()) text += ',';
    text.append(kind).append(":").append(value);
  };
  for (const std::string& name : order.dns_names) {
    const bool plain = std::ranges::all_of(name, [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '.' || c == '-' || c == '_' || c == '*';
    });
    if (name.empty() || name.size() > 253 || !plain) {
      return Err(InvalidArgumentError("\"" + name.substr(0, 64) + "\" is not the name of a host"));
    }
    add("DNS", name);
  }
  for (const std::string& address : order.addresses) {
    std::array<unsigned char, 16> ignored = {};
    if (inet_pton(AF_INET, address.c_str(), ignored.data()) != 1 &&
        inet_pton(AF_INET6, address.c_str(), ignored.data()) != 1) {
      return Err(InvalidArgumentError("\"" + address.substr(0, 64) + "\" is not an IP address"));
    }
    add("IP", address);
  }
  return text;
}

Result<std::string> ToPem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_X509(bio.get(), certificate) != 1) {
    return Err(LastError("cannot encode a certificate"));
  }
  return openssl::TextOf(bio.get());
}

Result<Certificate> BeginCertificate(EVP_PKEY* key, std::string_view name, Nanos end) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckName(name));
  Certificate certificate(X509_new());
  if (certificate == nullptr || X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      X509_set_pubkey(certificate.get(), key) != 1) {
    return Err(LastError("cannot make a certificate"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(SetSerial(certificate.get()));
  SELVEDGE_RETURN_ERR_IF_ERROR(SetValidity(certificate.get(), end));
  SELVEDGE_RETURN_ERR_IF_ERROR(SetSubject(X509_get_subject_name(certificate.get()), name));
  return certificate;
}

Result<openssl::Request> VerifiedRequest(std::string_view pem) {
  SELVEDGE_ASSIGN_OR_RETURN(openssl::Request request, openssl::ParseRequest(pem));
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!openssl::IsP256(key)) {
    ERR_clear_error();
    return Err(InvalidArgumentError(
        "the certificate request's key is not of the kind used here (ECDSA, P-256)"));
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return Err(
        InvalidArgumentError("the certificate request is not signed with the key that it holds"));
  }
  return request;
}

Nanos ToNanos(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) {
    ERR_clear_error();
    return 0;
  }
  constexpr std::int64_t kLast = INT64_MAX / kSecond;
  return std::clamp<std::int64_t>(timegm(&parts), -kLast, kLast) * kSecond;
}

std::string AddressText(const ASN1_OCTET_STRING* address) {
  const int size = ASN1_STRING_length(address);
  std::array<char, INET6_ADDRSTRLEN> text = {};
  if ((size != 4 && size != 16) ||
      inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(address), text.data(),
                text.size()) == nullptr) {
    return "";
  }
  return text.data();
}

void ReadAlternativeNames(const X509* certificate, CertificateInfo* info) {
  const openssl::Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names == nullptr ? 0 : sk_GENERAL_NAME_num(names.get());
  for (int i = 0; i < count; ++i) {
    int kind = 0;
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    const auto* value = static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, &kind));
    if (kind == GEN_DNS) {
      info->dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                   static_cast<std::size_t>(ASN1_STRING_length(value)));
    } else if (kind == GEN_IPADD) {
      if (std::string text = AddressText(value); !text.empty()) {
        info->addresses.push_back(std::move(text));
      }
    }
  }
  ERR_clear_error();
}

}  // namespace

Result<std::string> MakePrivateKey() {
  const Key key(EVP_EC_gen("P-256"));
  const Bio bio(BIO_new(BIO_s_mem()));
  if (key == nullptr || bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Err(LastError("cannot make a private key"));
  }
  return openssl::TextOf(bio.get());
}

Result<std::string> LoadOrMakePrivateKey(const std::string& path) {
  struct stat facts = {};
  if (::stat(path.c_str(), &facts) != 0) {
    if (errno != ENOENT) return Err(ErrnoError(errno, "cannot look at " + path));
    SELVEDGE_ASSIGN_OR_RETURN(std::string key, MakePrivateKey());
    SELVEDGE_RETURN_ERR_IF_ERROR(WriteSecretFile(path, key));
    return key;
  }
  if ((facts.st_mode & 077) != 0) {
    return Err(PermissionDeniedError(
        path + " holds a private key and may be read by others; run `chmod 600 " + path +
        "`, or remove it if somebody may have copied it"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(std::string key, ReadFile(path, kMaxPemBytes));
  if (const Result<Key> parsed = openssl::ParsePrivateKey(key); !parsed) {
    return Err(parsed.error().WithContext(path));
  }
  return key;
}

Result<std::string> MakeCertificateRequest(std::string_view private_key_pem,
                                           std::string_view name) {
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckName(name));
  SELVEDGE_ASSIGN_OR_RETURN(const Key key, openssl::ParsePrivateKey(private_key_pem));
  const openssl::Request request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1) {
    return Err(LastError("cannot make a certificate request"));
  }
  SELVEDGE_RETURN_ERR_IF_ERROR(SetSubject(X509_REQ_get_subject_name(request.get()), name));
  const Bio bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0 ||
      PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) {
    return Err(LastError("cannot sign a certificate request"));
  }
  return openssl::TextOf(bio.get());
}

Result<CertificateRequestInfo> ReadCertificateRequest(std::string_view request_pem) {
  SELVEDGE_ASSIGN_OR_RETURN(const openssl::Request request, VerifiedRequest(request_pem));
  CertificateRequestInfo info;
  info.name = openssl::CommonName(X509_REQ_get_subject_name(request.get()));
  SELVEDGE_ASSIGN_OR_RETURN(info.key_sha256,
                            openssl::KeyDigest(X509_REQ_get0_pubkey(request.get())));
  return info;
}

Result<CertificateAuthority> MakeCertificateAuthority(std::string_view name, const Clock& clock) {
  CertificateAuthority authority;
  SELVEDGE_ASSIGN_OR_RETURN(authority.private_key_pem, MakePrivateKey());
  SELVEDGE_ASSIGN_OR_RETURN(const Key key, openssl::ParsePrivateKey(authority.private_key_pem));
  SELVEDGE_ASSIGN_OR_RETURN(
      const Certificate certificate,
      BeginCertificate(key.get(), name, std::max<Nanos>(clock.Wall(), 0) + kAuthorityLifetime));
  X509* x509 = certificate.get();
  if (X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1) {
    return Err(LastError("cannot make a certificate"));
  }
  constexpr std::array<std::pair<int, const char*>, 3> kExtensions = {
      {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
       {NID_key_usage, "critical,keyCertSign,cRLSign"},
       {NID_subject_key_identifier, "hash"}}};
  for (const auto& [nid, value] : kExtensions) {
    SELVEDGE_RETURN_ERR_IF_ERROR(AddExtension(x509, x509, nid, value));
  }
  if (X509_sign(x509, key.get(), EVP_sha256()) <= 0) {
    return Err(LastError("cannot sign a certificate"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(authority.certificate_pem, ToPem(x509));
  return authority;
}

Result<std::string> IssueCertificate(const CertificateAuthority& authority,
                                     std::string_view request_pem, const CertificateOrder& order,
                                     const Clock& clock) {
  SELVEDGE_ASSIGN_OR_RETURN(
      const Certificate issuer,
      openssl::ParseCertificate(authority.certificate_pem, "the authority's certificate"));
  SELVEDGE_ASSIGN_OR_RETURN(const Key issuer_key,
                            openssl::ParsePrivateKey(authority.private_key_pem));
  SELVEDGE_ASSIGN_OR_RETURN(const openssl::Request request, VerifiedRequest(request_pem));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string names, AlternativeNames(order));
  if (!order.client && !order.server) {
    return Err(InvalidArgumentError("a certificate must be of use to a client or to a server"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(
      const Certificate certificate,
      BeginCertificate(X509_REQ_get0_pubkey(request.get()), order.name,
                       std::max<Nanos>(clock.Wall(), 0) + kCertificateLifetime));
  X509* x509 = certificate.get();
  if (X509_set_issuer_name(x509, X509_get_subject_name(issuer.get())) != 1) {
    return Err(LastError("cannot make a certificate"));
  }
  std::string usage = order.client ? "clientAuth" : "";
  if (order.server) usage += usage.empty() ? "serverAuth" : ",serverAuth";
  std::vector<std::pair<int, std::string>> extensions = {
      {NID_basic_constraints, "critical,CA:FALSE"},
      {NID_key_usage, "critical,digitalSignature"},
      {NID_ext_key_usage, usage},
      {NID_subject_key_identifier, "hash"},
      {NID_authority_key_identifier, "keyid:always"}};
  if (!names.empty()) extensions.emplace_back(NID_subject_alt_name, names);
  for (const auto& [nid, value] : extensions) {
    SELVEDGE_RETURN_ERR_IF_ERROR(AddExtension(x509, issuer.get(), nid, value));
  }
  if (X509_sign(x509, issuer_key.get(), EVP_sha256()) <= 0) {
    return Err(LastError("cannot sign a certificate"));
  }
  return ToPem(x509);
}

Result<CertificateInfo> ReadCertificate(std::string_view certificate_pem) {
  SELVEDGE_ASSIGN_OR_RETURN(const Certificate certificate,
                            openssl::ParseCertificate(certificate_pem, "the certificate"));
  X509* x509 = certificate.get();
  CertificateInfo info;
  info.name = openssl::CommonName(X509_get_subject_name(x509));
  info.issuer = openssl::CommonName(X509_get_issuer_name(x509));
  ReadAlternativeNames(x509, &info);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
  unsigned int size = 0;
  EVP_PKEY* key = X509_get0_pubkey(x509);
  if (key == nullptr) {
    ERR_clear_error();
    return Err(InvalidArgumentError("the certificate's public key is of an unknown kind"));
  }
  if (X509_digest(x509, EVP_sha256(), digest.data(), &size) != 1) {
    return Err(LastError("cannot compute a certificate's digest"));
  }
  info.sha256 = openssl::ToHex(digest.data(), size);
  SELVEDGE_ASSIGN_OR_RETURN(info.key_sha256, openssl::KeyDigest(key));
  const ASN1_INTEGER* serial = X509_get0_serialNumber(x509);
  info.serial = openssl::ToHex(ASN1_STRING_get0_data(serial),
                               static_cast<std::size_t>(ASN1_STRING_length(serial)));
  info.not_before = ToNanos(X509_get0_notBefore(x509));
  info.not_after = ToNanos(X509_get0_notAfter(x509));
  info.authority = X509_check_purpose(x509, X509_PURPOSE_ANY, 1) == 1 && X509_check_ca(x509) == 1;
  info.client = X509_check_purpose(x509, X509_PURPOSE_SSL_CLIENT, 0) == 1;
  info.server = X509_check_purpose(x509, X509_PURPOSE_SSL_SERVER, 0) == 1;
  ERR_clear_error();
  return info;
}

Status CheckKeyFits(std::string_view certificate_pem, std::string_view private_key_pem) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const Certificate certificate,
                                   openssl::ParseCertificate(certificate_pem, "the certificate"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const Key key, openssl::ParsePrivateKey(private_key_pem));
  const bool fits = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return fits ? OkStatus()
              : FailedPreconditionError("the private key is not the one of the certificate");
}

Status CheckIssuedBy(std::string_view certificate_pem, std::string_view authority_pem) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const Certificate certificate,
                                   openssl::ParseCertificate(certificate_pem, "the certificate"));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(
      const Certificate authority,
      openssl::ParseCertificate(authority_pem, "the authority's certificate"));
  EVP_PKEY* key = X509_get0_pubkey(authority.get());
  const bool issued = key != nullptr && X509_verify(certificate.get(), key) == 1;
  ERR_clear_error();
  return issued ? OkStatus()
                : PermissionDeniedError("the certificate was issued by another fleet's authority");
}

}  // namespace selvedge
