#include "trust/digest.h"

#include <gtest/gtest.h>

#include <string>

#include "base/file.h"

namespace selvedge {
namespace {

// The vectors of FIPS 180-4 (NIST, "SHA256 example values").
TEST(Digest, IsSha256) {
  EXPECT_EQ(*DigestOf(std::string_view("")),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(*DigestOf(std::string_view("abc")),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, AFileHasTheDigestOfItsContentWhateverItsSize) {
  const std::string path = ::testing::TempDir() + "digest_test_file";
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{256 * 1024},
                                 std::size_t{256 * 1024 + 1}, std::size_t{1'000'003}}) {
    std::string content(size, 'x');
    if (!content.empty()) content.back() = 'y';
    ASSERT_TRUE(WriteFileAtomically(path, content).ok());
    EXPECT_EQ(*DigestOfFile(path), *DigestOf(std::string_view(content))) << size;
  }
}

TEST(Digest, PiecesHaveTheDigestOfTheWhole) {
  Digester digester;
  for (const std::string_view piece : {"a", "", "bc"}) digester.Update(piece);
  EXPECT_EQ(*digester.Finish(), *DigestOf(std::string_view("abc")));
}

TEST(Digest, AFileThatIsNotThereIsNamed) {
  Result<std::string> digest = DigestOfFile("/no/such/file");
  ASSERT_FALSE(digest.has_value());
  EXPECT_EQ(digest.error().code(), StatusCode::kNotFound);
  EXPECT_NE(digest.error().message().find("/no/such/file"), std::string::npos);
  EXPECT_FALSE(DigestOfFile("/").has_value());
}

}  // namespace
}  // namespace selvedge
