#pragma once

// What the control plane remembers of its fleet, on disk: nodes, applications and tokens.
//
// Owned by the control plane; thread-safe as the Database is. A change is committed, and survives a
// power cut, when the call returned OK. Failure: that of the Database; DataLoss where a row does
// not parse. Limits: kMaxNodes nodes, kMaxApplications applications, kMaxTokens tokens
// (ResourceExhausted).

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cloud/fleet/node.h"
#include "store/database.h"

namespace selvedge {

inline constexpr std::int64_t kMaxNodes = 20'000;
inline constexpr std::int64_t kMaxApplications = 1'000;
inline constexpr std::int64_t kMaxTokens = 20'000;

struct TokenRecord {
  std::string id;
  bool join = false;  // else a user's
  std::string role;   // "device", "gateway"; "viewer", "operator", "admin"
  std::string site;   // of a join token
  std::string name;   // of a user's: for people
  std::string via;    // of a join token: the URL in it, where not the control plane's own
  std::string secret_sha256;
  std::int64_t created_ms = 0;
  std::int64_t expires_ms = 0;  // 0: never
  std::string spent_by;         // the node's name; empty: not spent
  std::string spent_key;        // SHA-256 of its public key
};

class FleetTables {
 public:
  static Result<std::unique_ptr<FleetTables>> Open(const std::string& path);

  // Whether the disk takes a write at all.
  Status Probe();

  Result<std::vector<NodeRecord>> LoadNodes();
  Result<std::vector<ApplicationRecord>> LoadApplications();

  // ---- nodes ----
  struct JoinedNode {
    std::string site;
    v1::Role role = v1::DEVICE;
    std::string key_sha256;
    std::string certificate_pem;
  };
  Result<std::optional<JoinedNode>> FindNode(std::string_view name);
  struct Gateway {
    std::string name;
    std::vector<std::string> mqtt;  // what it offers
    std::string registry;
  };
  Result<std::optional<Gateway>> GatewayOf(std::string_view site);
  // The node, new or joined again, and its token spent: both or neither.
  Status SaveJoin(const NodeRecord& record, const std::string& certificate_pem,
                  std::string_view token_id);
  // Its certificate is remembered as shut out.
  Status RemoveNode(std::string_view name, std::int64_t now_ms);
  Result<bool> IsShutOut(std::string_view certificate_sha256);
  // Many at once: 5,000 documents are one commit.
  Status SaveDesired(const std::vector<const NodeRecord*>& records);
  Status SaveHeard(const std::vector<const NodeRecord*>& records);

  // ---- applications: all or none ----
  Status SaveApplications(const std::vector<ApplicationRecord>& records);
  Status RemoveApplication(std::string_view name);

  // ---- tokens ----
  Status AddToken(const TokenRecord& token, std::int64_t now_ms);
  Result<std::optional<TokenRecord>> FindToken(std::string_view id);
  // By id, after `after`; at most `limit`.
  Result<std::vector<TokenRecord>> ListTokens(std::string_view after, int limit);
  // False where there is none.
  Result<bool> RemoveToken(std::string_view id);

 private:
  explicit FleetTables(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  Status CheckRoom(std::string_view table, std::string_view key, std::string_view value,
                   std::int64_t limit);

  std::unique_ptr<Database> database_;
};

}  // namespace selvedge
