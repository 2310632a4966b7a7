#include "orchestrate/application.h"

#include <gtest/gtest.h>

namespace selvedge {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

TEST(ParseImage, ReadsEveryForm) {
  struct Case {
    std::string text;
    ImageKind kind;
    std::string host;
    std::string repository;
    std::string tag;
    std::string digest;
  };
  const Case cases[] = {
      {"pipeline:safety/person-detector:1.0", ImageKind::kPipeline, "", "safety/person-detector",
       "1.0", ""},
      {"pipeline:detector@" + kDigest, ImageKind::kPipeline, "", "detector", "", kDigest},
      {"pipeline:detector:1@" + kDigest, ImageKind::kPipeline, "", "detector", "", kDigest},
      {"registry.example.com/trt-detector:jetson", ImageKind::kContainer, "registry.example.com",
       "trt-detector", "jetson", ""},
      {"localhost/a:1", ImageKind::kContainer, "localhost", "a", "1", ""},
      {"host:5000/a/b:1", ImageKind::kContainer, "host:5000", "a/b", "1", ""},
      {"[::1]:5000/a:1", ImageKind::kContainer, "[::1]:5000", "a", "1", ""},
      {"team/app:v1.2_3-x", ImageKind::kContainer, "", "team/app", "v1.2_3-x", ""},
      {"a__b/c--d.e:1", ImageKind::kContainer, "", "a__b/c--d.e", "1", ""},
  };
  for (const Case& wanted : cases) {
    Image image;
    std::string why;
    ASSERT_TRUE(ParseImage(wanted.text, &image, &why)) << wanted.text << ": " << why;
    EXPECT_EQ(image.kind, wanted.kind) << wanted.text;
    EXPECT_EQ(image.host, wanted.host) << wanted.text;
    EXPECT_EQ(image.repository, wanted.repository) << wanted.text;
    EXPECT_EQ(image.digest, wanted.digest) << wanted.text;
    EXPECT_EQ(image.text, wanted.text);
    EXPECT_EQ(wanted.digest.empty() ? image.tag : "", wanted.tag) << wanted.text;
  }
}

TEST(ParseImage, RefusesWhatIsNone) {
  for (const std::string& text : {std::string(),
                                  std::string("a"),
                                  std::string("a/b"),
                                  std::string("a:"),
                                  std::string("A:1"),
                                  std::string("a//b:1"),
                                  std::string("/a:1"),
                                  std::string("a/:1"),
                                  std::string("a:-1"),
                                  std::string("a:1 2"),
                                  std::string("../a:1"),
                                  std::string("a..b:1"),
                                  std::string("a___b:1"),
                                  std::string("a@sha256:12"),
                                  std::string("a@md5:") + std::string(64, 'a'),
                                  std::string("pipeline:host.example/a:1"),
                                  std::string("pipeline:"),
                                  std::string("-h.x/a:1"),
                                  "a:" + std::string(129, 'x'),
                                  std::string(256, 'a') + ":1"}) {
    Image image;
    std::string why;
    EXPECT_FALSE(ParseImage(text, &image, &why)) << text;
    EXPECT_FALSE(why.empty()) << text;
  }
}

TEST(Image, QualifiedRepositoryNamesTheHostOfAnother) {
  EXPECT_EQ((Image{.host = "h.example", .repository = "a/b"}).QualifiedRepository(),
            "h.example/a/b");
  EXPECT_EQ((Image{.repository = "a/b"}).QualifiedRepository(), "a/b");
}

TEST(Microservice, PrefersTheArchitectureOverAny) {
  Microservice service;
  service.images["any"].text = "any";
  service.images["x86"].text = "x86";
  ASSERT_NE(service.ImageFor("x86"), nullptr);
  EXPECT_EQ(service.ImageFor("x86")->text, "x86");
  EXPECT_EQ(service.ImageFor("arm64")->text, "any");
  service.images.erase("any");
  EXPECT_EQ(service.ImageFor("arm64"), nullptr);
}

}  // namespace
}  // namespace selvedge
