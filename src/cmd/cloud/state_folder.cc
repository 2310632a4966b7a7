#include "cmd/cloud/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "cloud/fleet/joining.h"
#include "cmd/cli/context.h"

namespace selvedge {
namespace {

constexpr std::string_view kCaKeyFile = "ca.key";
constexpr std::string_view kServerKeyFile = "server.key";
constexpr std::string_view kServerCertificateFile = "server.pem";

bool IsAddress(const std::string& host) {
  return host.find(':') != std::string::npos ||
         host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

Result<StateFolder> StateFolder::Open(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
  std::filesystem::create_directories(absolute, error);
  if (error) return Err(ErrnoError(error.value(), "cannot make the state folder " + path));
  std::string folder = absolute.string();
  if (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  if (::chmod(folder.c_str(), 0700) != 0) {
    return Err(ErrnoError(errno, "cannot keep the state folder " + folder + " to ourselves"));
  }
  const std::string lock_file = folder + "/lock";
  const int lock = ::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return Err(ErrnoError(errno, "cannot open " + lock_file));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return Err(FailedPreconditionError("another control plane uses the state folder " + folder +
                                       "; stop it, or give another with --state"));
  }
  return StateFolder(std::move(folder), lock);
}

StateFolder::StateFolder(StateFolder&& other) noexcept
    : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

StateFolder::~StateFolder() {
  if (lock_ >= 0) ::close(lock_);
}

bool StateFolder::Has(std::string_view file) const {
  return ::access(Path(file).c_str(), F_OK) == 0;
}

Status StateFolder::WriteLine(std::string_view file, const std::string& line) const {
  return WriteSecretFile(Path(file), line + "\n");
}

Result<CertificateAuthority> StateFolder::LoadOrMakeAuthority(const Clock& clock) {
  const std::string key_path = Path(kCaKeyFile);
  const std::string certificate_path = Path(cli::kCaFile);
  if (!Has(kCaKeyFile) && !Has(cli::kCaFile)) {
    SELVEDGE_ASSIGN_OR_RETURN(CertificateAuthority made,
                              MakeCertificateAuthority("Selvedge fleet", clock));
    // The key first: a certificate without its key would be taken for a whole pair.
    SELVEDGE_RETURN_ERR_IF_ERROR(WriteSecretFile(key_path, made.private_key_pem));
    SELVEDGE_RETURN_ERR_IF_ERROR(WriteFileAtomically(certificate_path, made.certificate_pem));
    return made;
  }
  CertificateAuthority authority;
  SELVEDGE_ASSIGN_OR_RETURN(authority.private_key_pem, ReadFile(key_path, kMaxPemBytes));
  if (!Has(cli::kCaFile)) {
    // A kill between the two: nobody has seen a certificate of this key yet.
    if (::unlink(key_path.c_str()) != 0) return Err(ErrnoError(errno, "cannot remove " + key_path));
    return LoadOrMakeAuthority(clock);
  }
  SELVEDGE_ASSIGN_OR_RETURN(authority.certificate_pem, ReadFile(certificate_path, kMaxPemBytes));
  const Status fits = CheckKeyFits(authority.certificate_pem, authority.private_key_pem);
  if (!fits.ok()) {
    return Err(FailedPreconditionError("the fleet's CA cannot be used: " + key_path + " and " +
                                       certificate_path + " do not belong together (" +
                                       fits.message() + "); put the right ones back"));
  }
  return authority;
}

Status StateFolder::IssueServerCertificate(const CertificateAuthority& authority,
                                           const std::vector<std::string>& hosts,
                                           const Clock& clock) {
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string key,
                                   LoadOrMakePrivateKey(Path(kServerKeyFile)));
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string request,
                                   MakeCertificateRequest(key, kControlPlaneName));
  CertificateOrder order{.name = std::string(kControlPlaneName), .client = true, .server = true};
  for (const std::string& host : hosts) {
    (IsAddress(host) ? order.addresses : order.dns_names).push_back(host);
  }
  SELVEDGE_ASSIGN_OR_RETURN_STATUS(const std::string certificate,
                                   IssueCertificate(authority, request, order, clock));
  return WriteFileAtomically(Path(kServerCertificateFile), certificate);
}

int StateFolder::KeptPort(const std::string& name) const {
  const auto text = ReadFile(Path(name + ".port"), 64);
  if (!text) return 0;
  int port = 0;
  (void)std::from_chars(text->data(), text->data() + text->size(), port);
  return port > 0 && port <= 65535 ? port : 0;
}

Status StateFolder::KeepPort(const std::string& name, int port) {
  return WriteLine(name + ".port", std::to_string(port));
}

}  // namespace selvedge
