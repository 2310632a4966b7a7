#include "trust/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

namespace selvedge {

class Digester::Hash {
 public:
  Hash() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    ok_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }

  void Update(std::string_view content) {
    ok_ = ok_ && EVP_DigestUpdate(context_.get(), content.data(), content.size()) == 1;
  }

  Result<std::string> Finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest = {};
    unsigned int size = 0;
    ok_ = ok_ && EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1;
    if (!ok_) return Err(InternalError("OpenSSL could not compute a SHA-256 digest"));
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text = "sha256:";
    for (unsigned int i = 0; i < size; ++i) {
      text += kDigits[digest[i] >> 4];
      text += kDigits[digest[i] & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context_;
  bool ok_ = false;
};

Digester::Digester() : hash_(std::make_unique<Hash>()) {}
Digester::~Digester() = default;

void Digester::Update(std::string_view content) {
  hash_->Update(content);
}

Result<std::string> Digester::Finish() {
  return hash_->Finish();
}

Result<std::string> DigestOf(std::span<const std::byte> content) {
  return DigestOf(std::string_view(reinterpret_cast<const char*>(content.data()), content.size()));
}

Result<std::string> DigestOf(std::string_view content) {
  Digester digester;
  digester.Update(content);
  return digester.Finish();
}

Result<std::string> DigestOfFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return Err(ErrnoError(errno, path));
  constexpr std::size_t kPiece = 256 * 1024;
  std::vector<char> piece(kPiece);
  Digester digester;
  Status status;
  for (;;) {
    const ssize_t size = read(descriptor, piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) status = ErrnoError(errno, path);
    if (size <= 0) break;
    digester.Update({piece.data(), static_cast<std::size_t>(size)});
  }
  close(descriptor);
  SELVEDGE_RETURN_ERR_IF_ERROR(std::move(status));
  return digester.Finish();
}

}  // namespace selvedge
