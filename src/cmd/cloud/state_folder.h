#pragma once

// The control plane's state folder: its keys, made at the first start, and what clients on this
// machine read (cmd/cli/context.h). Mode 0700; keys and tokens 0600.
//
// One process at a time: a lock is held as long as the StateFolder lives. Failure: one sentence
// that names the file.

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "trust/certificate.h"

namespace selvedge {

class StateFolder {
 public:
  // FailedPrecondition where another control plane uses it.
  static Result<StateFolder> Open(const std::string& path);
  StateFolder(StateFolder&& other) noexcept;
  StateFolder& operator=(StateFolder&&) = delete;
  ~StateFolder();

  // The fleet's, made at the first start. FailedPrecondition where key and certificate do not fit.
  Result<CertificateAuthority> LoadOrMakeAuthority(const Clock& clock);
  // The control plane's own, for its servers and its broker, issued anew at every start: its names
  // may have changed. Writes server.pem and server.key.
  Status IssueServerCertificate(const CertificateAuthority& authority,
                                const std::vector<std::string>& hosts, const Clock& clock);

  // A port that was chosen at an earlier start under this name; 0 where none was.
  int KeptPort(const std::string& name) const;
  Status KeepPort(const std::string& name, int port);

  // One line, mode 0600.
  Status WriteLine(std::string_view file, const std::string& line) const;
  bool Has(std::string_view file) const;
  std::string Path(std::string_view file) const { return path_ + "/" + std::string(file); }
  const std::string& path() const { return path_; }

 private:
  explicit StateFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_ = -1;
};

}  // namespace selvedge
