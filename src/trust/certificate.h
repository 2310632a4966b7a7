#pragma once

// Keys, certificate requests and certificates of the fleet (docs/formats/fleet.md, "Joining"): one
// certificate authority, ECDSA on P-256 everywhere, all of it PEM text.
//
// Free functions, thread-safe. Text from others is parsed with limits (64 KiB) and fails as
// InvalidArgument in one sentence; Internal where OpenSSL refuses for reasons of its own. No
// OpenSSL type leaves this folder.

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace selvedge {

// Of any PEM text that is read.
inline constexpr std::size_t kMaxPemBytes = std::size_t{64} * 1024;

// A new P-256 key, PKCS #8 PEM, not encrypted. It is a secret: WriteSecretFile (base/file.h).
Result<std::string> MakePrivateKey();

// The key in the file; made and saved there (mode 0600) where there is none. A file that others may
// read or that holds no P-256 key is an error that says so.
Result<std::string> LoadOrMakePrivateKey(const std::string& path);

// A PKCS #10 request in PEM with the subject CN=name, signed with the key.
Result<std::string> MakeCertificateRequest(std::string_view private_key_pem, std::string_view name);

struct CertificateRequestInfo {
  std::string name;        // the CN it asks for; what is issued is the issuer's decision
  std::string key_sha256;  // of the public key (its DER SubjectPublicKeyInfo), hexadecimal
};
// Checks that the request is signed with the key that it holds, and that this is a P-256 key.
Result<CertificateRequestInfo> ReadCertificateRequest(std::string_view request_pem);

struct CertificateAuthority {
  std::string certificate_pem;
  std::string private_key_pem;
};
// A new fleet's own: self-signed, may sign leaves only (path length 0), valid from 1970 to 30 years
// after `clock`'s wall time. `name` is its CN.
Result<CertificateAuthority> MakeCertificateAuthority(std::string_view name, const Clock& clock);

// What a certificate is to say, whatever the request asks for.
struct CertificateOrder {
  std::string name;                    // CN; 1 to 64 bytes
  bool client = true;                  // may be used as a client of TLS
  bool server = false;                 // may be used as a server of TLS
  std::vector<std::string> dns_names;  // subjectAltName; at most 64 with the addresses
  std::vector<std::string> addresses;  // "192.0.2.7", "2001:db8::1"
};

// Certificates are valid from 1970, for a device without a clock, to this long after being issued.
inline constexpr Nanos kCertificateLifetime = std::int64_t{3652} * 86'400 * kSecond;

// A certificate for the key of the request, with a random serial number of 128 bits.
Result<std::string> IssueCertificate(const CertificateAuthority& authority,
                                     std::string_view request_pem, const CertificateOrder& order,
                                     const Clock& clock);

struct CertificateInfo {
  std::string name;    // CN of the subject
  std::string issuer;  // CN of the issuer
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  // as text
  std::string sha256;                  // of the DER form, 64 hexadecimal digits
  std::string key_sha256;              // of the public key, as in CertificateRequestInfo
  std::string serial;                  // hexadecimal
  Nanos not_before = 0;                // since the Unix epoch; capped to what Nanos holds
  Nanos not_after = 0;
  bool authority = false;  // may sign others
  bool client = false;
  bool server = false;
};
// The first certificate of a PEM text.
Result<CertificateInfo> ReadCertificate(std::string_view certificate_pem);

// FailedPrecondition where the private key is not the certificate's.
Status CheckKeyFits(std::string_view certificate_pem, std::string_view private_key_pem);

// PermissionDenied where the certificate does not carry that authority's signature. Time is not
// looked at.
Status CheckIssuedBy(std::string_view certificate_pem, std::string_view authority_pem);

}  // namespace selvedge
