// Manifests, tags and what refers to what.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "base/file.h"
#include "registry/content_store.h"
#include "registry/content_store_core.h"
#include "registry/reference.h"

namespace selvedge {
namespace {

constexpr int kMaxReferrers = 1000;

Status NoManifest(std::string_view repository, std::string_view reference) {
  return NotFoundError("there is no " + std::string(reference.substr(0, 128)) + " in " +
                       std::string(repository));
}

std::vector<Descriptor> PartsOf(const Manifest& manifest) {
  std::vector<Descriptor> parts = manifest.layers;
  if (manifest.config) parts.push_back(*manifest.config);
  parts.insert(parts.end(), manifest.manifests.begin(), manifest.manifests.end());
  std::erase_if(parts, [](const Descriptor& part) { return part.foreign; });
  return parts;
}

}  // namespace

Result<StoredManifest> ContentStoreCore::GetManifest(std::string_view repository,
                                                     std::string_view reference) {
  StoredManifest manifest{.digest = std::string(reference), .media_type = {}, .bytes = {}};
  if (!IsDigest(reference)) {
    SELVEDGE_ASSIGN_OR_RETURN(
        std::optional<std::string> digest,
        database_->QueryText("SELECT digest FROM tag WHERE repository = ? AND tag = ?",
                             {repository, reference}));
    if (!digest) return Err(NoManifest(repository, reference));
    manifest.digest = *std::move(digest);
  }
  SELVEDGE_ASSIGN_OR_RETURN(
      std::optional<std::string> type,
      database_->QueryText("SELECT media_type FROM manifest WHERE repository = ? AND digest = ?",
                           {repository, manifest.digest}));
  if (!type) return Err(NoManifest(repository, reference));
  manifest.media_type = *std::move(type);
  SELVEDGE_ASSIGN_OR_RETURN([[maybe_unused]] const BlobInfo blob, Find(manifest.digest));
  SELVEDGE_ASSIGN_OR_RETURN(manifest.bytes, ReadFile(BlobPath(manifest.digest), kMaxManifestBytes));
  SELVEDGE_ASSIGN_OR_RETURN(const std::string really, DigestOf(manifest.bytes));
  if (really != manifest.digest) return Err(MoveAside(manifest.digest));
  return manifest;
}

Status ContentStoreCore::CheckParts(std::string_view repository, const Manifest& manifest) {
  for (const Descriptor& part : PartsOf(manifest)) {
    if (manifest.is_index) {
      const auto there = database_->QueryInt(
          "SELECT 1 FROM manifest WHERE repository = ? AND digest = ?", {repository, part.digest});
      if (!there) return there.error();
      if (!*there) {
        return NotFoundError("the index names the manifest " + part.digest +
                             ", which is not there; push it first");
      }
      continue;
    }
    const auto blob =
        IsLinked(repository, part.digest) ? Look(part.digest) : Err(NotFoundError("not there"));
    if (!blob && blob.error().code() == StatusCode::kNotFound) {
      return NotFoundError("the manifest names the blob " + part.digest +
                           ", which is not there; push it first");
    }
    if (!blob) return blob.error();
    if (blob->size != part.size) {
      return InvalidArgumentError("the manifest says that " + part.digest + " has " +
                                  std::to_string(part.size) + " bytes; it has " +
                                  std::to_string(blob->size));
    }
  }
  return OkStatus();
}

Status ContentStoreCore::CheckRoom(std::string_view repository, std::string_view reference) {
  const auto known =
      database_->QueryInt("SELECT 1 FROM manifest WHERE repository = ? LIMIT 1", {repository});
  if (!known) return known.error();
  if (!*known) {
    const auto count = database_->QueryInt("SELECT count(DISTINCT repository) FROM manifest");
    if (!count) return count.error();
    if (count->value_or(0) >= options_.max_repositories) {
      return ResourceExhaustedError("there are " + std::to_string(options_.max_repositories) +
                                    " repositories already, the limit; delete some");
    }
  }
  if (IsDigest(reference)) return OkStatus();
  const auto tags = database_->QueryInt(
      "SELECT count(*) FROM tag WHERE repository = ? AND tag <> ?", {repository, reference});
  if (!tags) return tags.error();
  if (tags->value_or(0) >= options_.max_tags) {
    return ResourceExhaustedError(std::string(repository) + " has " +
                                  std::to_string(options_.max_tags) +
                                  " tags already, the limit; delete some");
  }
  return OkStatus();
}

Status ContentStoreCore::InsertManifest(std::string_view repository, std::string_view reference,
                                        const std::string& digest, const Manifest& manifest) {
  SELVEDGE_RETURN_IF_ERROR(database_->Run(
      "INSERT INTO manifest (repository, digest, media_type, subject, pushed_ms) "
      "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET media_type = excluded.media_type",
      {repository, digest, manifest.media_type,
       manifest.subject ? std::string_view(manifest.subject->digest) : std::string_view(),
       NowMillis()}));
  for (const Descriptor& part : PartsOf(manifest)) {
    SELVEDGE_RETURN_IF_ERROR(database_->Run(
        "INSERT OR IGNORE INTO manifest_part (repository, manifest, part) VALUES (?, ?, ?)",
        {repository, digest, part.digest}));
  }
  if (IsDigest(reference)) return OkStatus();
  return database_->Run(
      "INSERT INTO tag (repository, tag, digest, pushed_ms) VALUES (?1, ?2, ?3, ?4) "
      "ON CONFLICT DO UPDATE SET digest = ?3, pushed_ms = ?4",
      {repository, reference, digest, NowMillis()});
}

Result<ContentStore::PutResult> ContentStoreCore::PutManifest(std::string_view repository,
                                                              std::string_view reference,
                                                              std::string_view media_type,
                                                              std::string_view bytes, bool whole) {
  if (!IsRepositoryName(repository))
    return Err(InvalidArgumentError("the repository's name is none"));
  if (!IsDigest(reference) && !IsTag(reference)) {
    return Err(InvalidArgumentError("a tag is 1 to 128 letters, digits, '_', '.' or '-'"));
  }
  SELVEDGE_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(bytes, media_type));
  SELVEDGE_ASSIGN_OR_RETURN(const BlobInfo blob, Add(repository, bytes));
  if (IsDigest(reference) && blob.digest != reference) {
    return Err(InvalidArgumentError("the manifest has the digest " + blob.digest + ", not " +
                                    std::string(reference)));
  }
  // The sweep waits: what is found now is there when it is named.
  const std::lock_guard lock(publish_mutex);
  Transaction transaction(database_.get());
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.status());
  SELVEDGE_RETURN_ERR_IF_ERROR(CheckRoom(repository, reference));
  if (whole) SELVEDGE_RETURN_ERR_IF_ERROR(CheckParts(repository, manifest));
  SELVEDGE_RETURN_ERR_IF_ERROR(InsertManifest(repository, reference, blob.digest, manifest));
  SELVEDGE_RETURN_ERR_IF_ERROR(transaction.Commit());
  return ContentStore::PutResult{blob.digest, manifest.subject ? manifest.subject->digest : ""};
}

Result<StoredManifest> ContentStore::GetManifest(std::string_view repository,
                                                 std::string_view reference) {
  return core_->GetManifest(repository, reference);
}

Result<ContentStore::PutResult> ContentStore::PutManifest(std::string_view repository,
                                                          std::string_view reference,
                                                          std::string_view media_type,
                                                          std::string_view bytes, bool whole) {
  return core_->PutManifest(repository, reference, media_type, bytes, whole);
}

Status ContentStore::DeleteManifest(std::string_view repository, const std::string& digest) {
  Database* db = core_->database();
  Transaction transaction(db, Transaction::Purpose::kFreeing);
  SELVEDGE_RETURN_IF_ERROR(transaction.status());
  const auto gone = db->RunCounting("DELETE FROM manifest WHERE repository = ? AND digest = ?",
                                    {repository, digest});
  if (!gone) return gone.error();
  if (*gone == 0) return NoManifest(repository, digest);
  SELVEDGE_RETURN_IF_ERROR(db->Run(
      "DELETE FROM manifest_part WHERE repository = ? AND manifest = ?", {repository, digest}));
  SELVEDGE_RETURN_IF_ERROR(
      db->Run("DELETE FROM tag WHERE repository = ? AND digest = ?", {repository, digest}));
  return transaction.Commit();
}

Status ContentStore::DeleteTag(std::string_view repository, std::string_view tag) {
  const auto gone = core_->database()->RunCounting(
      "DELETE FROM tag WHERE repository = ? AND tag = ?", {repository, tag});
  if (!gone) return gone.error();
  return *gone > 0 ? OkStatus() : NoManifest(repository, tag);
}

Result<std::vector<Descriptor>> ContentStore::Referrers(std::string_view repository,
                                                        const std::string& digest,
                                                        std::string_view artifact_type) {
  std::vector<std::string> found;
  {
    Rows rows = core_->database()->Query(
        "SELECT digest FROM manifest WHERE repository = ? AND subject = ? ORDER BY digest LIMIT ?",
        {repository, digest, kMaxReferrers});
    while (rows.Next()) found.emplace_back(rows.Text(0));
    if (!rows.status().ok()) return Err(rows.status());
  }
  std::vector<Descriptor> referrers;
  for (const std::string& one : found) {
    const auto stored = core_->GetManifest(repository, one);
    if (!stored) continue;  // deleted meanwhile, or damaged: then it is said where it is asked for
    const auto manifest = ParseManifest(stored->bytes, stored->media_type);
    if (!manifest) continue;
    if (!artifact_type.empty() && manifest->artifact_type != artifact_type) continue;
    referrers.push_back({.media_type = stored->media_type,
                         .digest = one,
                         .size = stored->bytes.size(),
                         .artifact_type = manifest->artifact_type,
                         .annotations = manifest->annotations});
  }
  return referrers;
}

Result<std::vector<std::string>> ContentStore::Repositories(std::string_view after, int limit) {
  std::vector<std::string> names;
  Rows rows = core_->database()->Query(
      "SELECT DISTINCT repository FROM manifest WHERE repository > ? ORDER BY repository LIMIT ?",
      {after, std::clamp(limit, 1, 1000)});
  while (rows.Next()) names.emplace_back(rows.Text(0));
  if (!rows.status().ok()) return Err(rows.status());
  return names;
}

Result<std::vector<std::string>> ContentStore::Tags(std::string_view repository,
                                                    std::string_view after, int limit) {
  SELVEDGE_ASSIGN_OR_RETURN(
      const std::optional<std::int64_t> known,
      core_->database()->QueryInt("SELECT 1 FROM manifest WHERE repository = ? LIMIT 1",
                                  {repository}));
  if (!known) return Err(NotFoundError("there is no repository " + std::string(repository)));
  std::vector<std::string> tags;
  Rows rows = core_->database()->Query(
      "SELECT tag FROM tag WHERE repository = ? AND tag > ? ORDER BY tag LIMIT ?",
      {repository, after, std::clamp(limit, 1, 1000)});
  while (rows.Next()) tags.emplace_back(rows.Text(0));
  if (!rows.status().ok()) return Err(rows.status());
  return tags;
}

Result<std::vector<TagInfo>> ContentStore::TagInfos(std::string_view repository) {
  std::vector<TagInfo> infos;
  Rows rows = core_->database()->Query(R"(
SELECT tag, digest, pushed_ms, (
  WITH RECURSIVE needed (digest) AS (
    SELECT tag.digest UNION
    SELECT part FROM manifest_part, needed
    WHERE manifest_part.repository = ?1 AND manifest_part.manifest = needed.digest)
  SELECT coalesce(sum(size), 0) FROM blob WHERE digest IN (SELECT digest FROM needed))
FROM tag WHERE repository = ?1 ORDER BY tag)",
                                       {repository});
  while (rows.Next()) {
    infos.push_back({.tag = std::string(rows.Text(0)),
                     .digest = std::string(rows.Text(1)),
                     .size = static_cast<std::uint64_t>(rows.Int(3)),
                     .pushed_unix_ms = rows.Int(2)});
  }
  if (!rows.status().ok()) return Err(rows.status());
  return infos;
}

}  // namespace selvedge
