#pragma once

// Joining: a one-time token and a certificate request become a member of the fleet
// (docs/formats/fleet.md, "Joining"); and the tokens themselves, of nodes and of users.
//
// Owned by the control plane; thread-safe: one join at a time. Failure, one sentence each:
// Unauthenticated for a token that is forged, spent, expired or of another role, AlreadyExists for
// a name that another key holds and for a second gateway of a site, InvalidArgument for a malformed
// request; else that of the tables.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "cloud/fleet/fleet_tables.h"
#include "trust/certificate.h"

namespace selvedge {

// The CN of the control plane's own certificate, under which it is the broker's client. Nobody
// joins under it.
inline constexpr std::string_view kControlPlaneName = "selvedge-cloud";

struct JoinRequest {
  std::string token_id;
  std::string secret;
  std::string name;
  std::string role;  // "device" or "gateway"
  std::string csr;   // PEM
  // Of a gateway: for its server certificate, and what its devices are told.
  std::vector<std::string> hosts;
  std::vector<std::string> mqtt;
  std::string registry;
};

struct JoinAnswer {
  NodeRecord record;  // without birth, state and desired
  std::string certificate_pem;
  std::vector<std::string> mqtt;  // where its broker listens; empty: the control plane's own
  std::string registry;           // likewise
  bool changed = false;           // new, or a certificate anew
};

enum class UserRole { kNone, kViewer, kOperator, kAdmin };  // each may what those before it may
std::optional<UserRole> ParseUserRole(std::string_view name);

struct TokenOrder {
  bool join = false;
  std::string role;
  std::string site;  // of a join token
  std::string name;  // of a user's
  std::string via;
  std::int64_t expires_s = 0;  // 0: a day for a join token, never for a user's
};

class Joining {
 public:
  // `tables` and `clock` must outlive it. `own_hosts`: names and addresses of the control plane,
  // which no gateway gets a certificate for.
  Joining(FleetTables* tables, CertificateAuthority authority, std::vector<std::string> own_hosts,
          const Clock& clock);

  Result<JoinAnswer> Join(const JoinRequest& request);

  // The record, and the secret, which is kept nowhere.
  struct MadeToken {
    TokenRecord record;
    std::string secret;
  };
  Result<MadeToken> MakeToken(const TokenOrder& order);
  // A user's token as it is shown once: "slvt.ID.SECRET".
  static std::string UserToken(const MadeToken& token);
  // What the bearer of this may; kNone for everything that is no good token. An error of the tables
  // is not an answer.
  Result<UserRole> RoleOf(std::string_view bearer);

  const CertificateAuthority& authority() const { return authority_; }

 private:
  Result<TokenRecord> CheckToken(const JoinRequest& request);
  Status CheckName(const JoinRequest& request, const TokenRecord& token,
                   const std::string& key_sha256, std::optional<FleetTables::JoinedNode>* present);
  Status CheckOffer(const JoinRequest& request) const;
  Result<JoinAnswer> Issue(const JoinRequest& request, const TokenRecord& token,
                           const std::string& key_sha256);
  Status AddAddresses(JoinAnswer* answer);
  std::int64_t NowMs() const { return clock_.Wall() / kMillisecond; }

  FleetTables* tables_;
  CertificateAuthority authority_;
  std::vector<std::string> own_hosts_;
  const Clock& clock_;
  std::mutex mutex_;
};

}  // namespace selvedge
