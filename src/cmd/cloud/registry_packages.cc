#include "cmd/cloud/registry_packages.h"

#include <algorithm>

#include "registry/manifest.h"
#include "registry/package.h"

namespace selvedge {
namespace {

constexpr int kPage = 1000;
constexpr std::size_t kMaxRemembered = 10'000;

}  // namespace

std::vector<std::string> RegistryPackages::Variants(std::string_view name,
                                                    const std::string& digest) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = variants_.find(digest); it != variants_.end()) return it->second;
  }
  std::vector<std::string> variants;
  if (const auto stored = store_->GetManifest(name, digest); stored) {
    if (const auto index = ReadPackageIndex(stored->bytes); index) {
      for (const PackageVariant& variant : index->variants) {
        if (std::ranges::find(variants, variant.name) == variants.end()) {
          variants.push_back(variant.name);
        }
      }
    }
  }
  const std::lock_guard lock(mutex_);
  if (variants_.size() >= kMaxRemembered) variants_.clear();
  variants_[digest] = variants;
  return variants;
}

Result<PackageInfo> RegistryPackages::Find(std::string_view name) {
  SELVEDGE_ASSIGN_OR_RETURN(const std::vector<TagInfo> tags, store_->TagInfos(name));
  PackageInfo package{.name = std::string(name)};
  for (const TagInfo& tag : tags) {
    package.tags.push_back({.tag = tag.tag,
                            .digest = tag.digest,
                            .size = tag.size,
                            .variants = Variants(name, tag.digest),
                            .pushed_ms = tag.pushed_unix_ms});
  }
  return package;
}

Result<std::vector<PackageInfo>> RegistryPackages::List() {
  std::vector<PackageInfo> packages;
  std::string after;
  while (true) {
    SELVEDGE_ASSIGN_OR_RETURN(const auto names, store_->Repositories(after, kPage));
    for (const std::string& name : names) {
      auto package = Find(name);
      if (package) packages.push_back(*std::move(package));  // else it went meanwhile
    }
    if (names.size() < static_cast<std::size_t>(kPage)) return packages;
    after = names.back();
  }
}

std::size_t RegistryPackages::Count() {
  const Nanos now = Clock::System().Monotonic();
  const std::lock_guard lock(mutex_);
  if (counted_ < 0 || now - counted_ > 2 * kSecond) {
    if (const auto used = store_->Used(); used) count_ = used->repositories;
    counted_ = now;
  }
  return count_;
}

Result<std::string> RegistryPackages::Resolve(std::string_view name, std::string_view reference) {
  SELVEDGE_ASSIGN_OR_RETURN(StoredManifest manifest, store_->GetManifest(name, reference));
  return std::move(manifest.digest);
}

std::uint64_t RegistryPackages::Traffic() {
  const OciServer* server = server_.load();
  return server == nullptr ? 0 : server->bytes_sent() + server->bytes_received();
}

Status AuthorizeRegistry(ControlPlane& plane, const OciCaller& caller, OciAction action) {
  if (!caller.token.empty()) {
    SELVEDGE_ASSIGN_OR_RETURN_STATUS(const UserRole role, plane.joining().RoleOf(caller.token));
    const UserRole needed = action == OciAction::kPush     ? UserRole::kOperator
                            : action == OciAction::kDelete ? UserRole::kAdmin
                                                           : UserRole::kViewer;
    if (role == UserRole::kNone)
      return UnauthenticatedError("this token is not one of the fleet's");
    return role >= needed ? OkStatus()
                          : PermissionDeniedError("the token's role does not allow this");
  }
  if (caller.peer_name.empty()) {
    return UnauthenticatedError("a token or a certificate of the fleet is needed");
  }
  if (caller.peer_name == kControlPlaneName) return OkStatus();
  const bool member = plane.Read([&](const Fleet& fleet) {
    const Node* node = fleet.Find(caller.peer_name);
    return node != nullptr && node->certificate_sha256 == caller.peer_fingerprint;
  });
  if (!member) {
    return PermissionDeniedError(caller.peer_name + " is no member of this fleet any more");
  }
  return action == OciAction::kPull ? OkStatus()
                                    : PermissionDeniedError("devices pull, they do not push");
}

}  // namespace selvedge
