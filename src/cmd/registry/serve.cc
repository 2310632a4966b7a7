// selvedge registry: the registry as a server of its own, or a pull-through cache of another.

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <random>

#include "base/file.h"
#include "base/log.h"
#include "cmd/cli/cli.h"
#include "cmd/registry/serve_options.h"
#include "cmd/registry/verbs.h"
#include "net/http_server.h"
#include "registry/content_store.h"
#include "registry/mirror.h"
#include "registry/oci_server.h"
#include "registry/upkeep.h"
#include "trust/digest.h"

namespace selvedge {
namespace {

constexpr std::size_t kMaxTokenFile = 4096;
constexpr std::size_t kMinToken = 16;
constexpr Nanos kLookEvery = kSecond;

Result<std::string> ReadToken(const std::string& path) {
  SELVEDGE_ASSIGN_OR_RETURN(std::string token, ReadFile(path, kMaxTokenFile));
  token = token.substr(0, token.find_first_of("\r\n"));
  if (token.size() >= kMinToken) return token;
  return Err(InvalidArgumentError(
      path + ": the token in the first line must have 16 characters at least"));
}

// Makes one at the first start: readable by this user only, never shown.
Result<std::string> OwnToken(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return ReadToken(path);
  std::random_device random;
  std::string token;
  for (int i = 0; i < 8; ++i) {
    char part[9];
    std::snprintf(part, sizeof part, "%08x", random());
    token += part;
  }
  const std::string line = token + "\n";
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return Err(ErrnoError(errno, "cannot write " + path));
  const bool written =
      ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
      ::fsync(file) == 0;
  const int error = errno;
  ::close(file);
  if (!written) return Err(ErrnoError(error, "cannot write " + path));
  log::Info("registry", "made a token that may push", {{"file", path}});
  return token;
}

// Who may do what. Tokens are compared by their digests, which tells nothing by the time it takes.
class Access {
 public:
  Status Load(const ServeOptions& options) {
    auto push = options.push_token_file.empty() ? OwnToken(options.data + "/push.token")
                                                : ReadToken(options.push_token_file);
    if (!push) return push.error();
    auto digest = DigestOf(*push);
    if (!digest) return digest.error();
    push_ = *std::move(digest);
    anonymous_ = options.anonymous_pull;
    if (options.pull_token_file.empty()) return OkStatus();
    const auto pull = ReadToken(options.pull_token_file);
    if (!pull) return pull.error();
    digest = DigestOf(*pull);
    if (!digest) return digest.error();
    pull_ = *std::move(digest);
    return OkStatus();
  }

  Status Check(const OciCaller& caller, OciAction action) const {
    const std::string given = caller.token.empty() ? "" : DigestOf(caller.token).value_or("");
    if (!given.empty() && given == push_) return OkStatus();
    const bool may_pull =
        anonymous_ || !caller.peer_name.empty() || (!given.empty() && given == pull_);
    if (may_pull && (action == OciAction::kPull || action == OciAction::kList)) {
      return OkStatus();
    }
    if (may_pull && !given.empty()) {
      return PermissionDeniedError("this token may pull, not push or delete");
    }
    return UnauthenticatedError(caller.token.empty() ? "log in with a token as the password"
                                                     : "this token is not known");
  }

 private:
  std::string push_;
  std::string pull_;
  bool anonymous_ = false;
};

Result<std::unique_ptr<Mirror>> MakeMirror(const ServeOptions& options, ContentStore* store) {
  MirrorOptions mirror;
  mirror.upstream.url = options.mirror;
  mirror.upstream.http.tls.ca_file = options.mirror_ca;
  mirror.max_bytes = static_cast<std::uint64_t>(options.max_gib * (1 << 30));
  if (!options.mirror_token_file.empty()) {
    SELVEDGE_ASSIGN_OR_RETURN(mirror.upstream.token, ReadToken(options.mirror_token_file));
  }
  return std::make_unique<Mirror>(store, std::move(mirror));
}

HttpServerOptions ServerOptions(const ServeOptions& options) {
  HttpServerOptions server;
  server.address = options.address;
  server.port = options.port;
  server.worker_threads = 4;
  server.allowed_hosts = options.allowed_hosts;
  server.max_connections = 256;
  if (options.certificate.empty()) return server;
  server.tls.emplace(options.certificate, options.key);
  if (!options.client_ca.empty()) {
    server.tls->client = HttpTls::Client::kOptional;
    server.tls->client_ca_file = options.client_ca;
  }
  return server;
}

Status Serve(const ServeOptions& options, const cli::Termination& termination) {
  auto store = ContentStore::Open(options.data);
  if (!store) return store.error();
  Access access;
  SELVEDGE_RETURN_IF_ERROR(access.Load(options));
  std::unique_ptr<Mirror> mirror;
  if (!options.mirror.empty()) {
    auto made = MakeMirror(options, store->get());
    if (!made) return made.error();
    mirror = *std::move(made);
  }
  OciServer registry(
      store->get(),
      {.authorize = [&access](const OciCaller& caller, OciAction action,
                              std::string_view) { return access.Check(caller, action); },
       .mirror = mirror.get(),
       .on_pushed =
           [](std::string_view repository, std::string_view tag, std::string_view digest) {
             log::Info("registry", "pushed",
                       {{"name", repository}, {"tag", tag}, {"digest", digest}});
           }});
  HttpServer server(ServerOptions(options));
  registry.Register(&server);
  server.Handle("GET", "/healthz", [](const HttpRequest&) { return HttpResponse{.body = "ok\n"}; });
  SELVEDGE_RETURN_IF_ERROR(server.Start());
  const Upkeep upkeep(store->get());
  log::Info("registry", options.mirror.empty() ? "serving" : "serving as a mirror",
            {{"url", server.url()}, {"data", options.data}});
  while (termination.Wait(kLookEvery) == 0) {
  }
  server.Stop();
  return OkStatus();
}

}  // namespace

int RegistryMain(int argc, const char* const* argv) {
  CLI::App app(
      "A registry of models and images (OCI Distribution 1.1) for selvedge, oras, skopeo and "
      "crane; "
      "with --mirror a pull-through cache for a site.\n"
      "Example: selvedge registry --listen 0.0.0.0:5000 --tls-certificate cert.pem --tls-key "
      "key.pem");
  app.name("selvedge registry");
  ServeOptions options;
  AddServeFlags(&app, &options);
  const cli::LogFlags log_flags(&app);
  if (const int code = cli::Parse(&app, argc, argv); code >= 0) return code;
  Status status = log_flags.Apply();
  if (status.ok()) status = CheckServeOptions(&options);
  if (!status.ok()) {
    (void)cli::Fail("registry", status);
    return cli::kExitMisuse;
  }
  const cli::Termination termination;
  status = Serve(options, termination);
  return status.ok() ? cli::kExitOk : cli::Fail("registry", status);
}

}  // namespace selvedge
