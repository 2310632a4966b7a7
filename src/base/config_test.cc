#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/bounded_queue.h"
#include "base/config_tree.h"

namespace selvedge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct Options {
  std::string name = "nobody";
  int threads = 2;
  double ratio = 0.5;
  bool live = false;
  std::int64_t timeout = 7;
  int policy = 1;
  std::vector<std::string> tags = {"default"};
  std::vector<double> points;
  std::string uri = "none";
  int rules = 0;
  std::vector<std::string> labels;
};

// The schema of testdata/config_messages.txt.
Status ReadOptions(std::string_view text, Options* options) {
  auto document = ConfigDocument::Parse(text, "f.yaml");
  if (!document) return document.error();
  ConfigMap map = document->Root();
  map.Required("name", &options->name);
  map.Optional("threads", &options->threads, Range{1, 64});
  map.Optional("ratio", &options->ratio, Range{0, 1});
  map.Optional("live", &options->live);
  map.OptionalDuration("timeout", &options->timeout);
  map.OptionalChoice("policy", {"block", "drop-oldest", "drop-newest"}, &options->policy);
  map.Optional("tags", &options->tags);
  map.Optional("points", &options->points);
  if (auto source = map.OptionalMap("source")) {
    source->Required("uri", &options->uri);
    int retries = 0;
    source->Optional("retries", &retries, Range{0, 10});
  }
  for (const ConfigValue& rule : map.OptionalSequence("rules")) {
    auto rule_map = rule.Map();
    if (!rule_map) continue;
    std::string zone;
    rule_map->Required("zone", &zone);
    int count = 0;
    rule_map->Optional("count", &count, Range{0, 1000});
    ++options->rules;
  }
  if (auto labels = map.OptionalMap("labels")) {
    for (const auto& [key, value] : labels->Entries()) {
      options->labels.push_back(key + "=" + value.String().value_or("?"));
    }
  }
  return document->status();
}

struct MessageCase {
  std::string name;
  std::string yaml;
  std::string expected;
};

std::vector<MessageCase> LoadCases() {
  std::ifstream file(SELVEDGE_SOURCE_DIR "/src/base/testdata/config_messages.txt");
  std::vector<MessageCase> cases;
  bool expecting = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("== ")) {
      cases.push_back({line.substr(3), "", ""});
      expecting = false;
    } else if (cases.empty() || (expecting && line.empty())) {
      continue;
    } else if (line == "--") {
      expecting = true;
    } else {
      (expecting ? cases.back().expected : cases.back().yaml) += line + (expecting ? "" : "\n");
    }
  }
  return cases;
}

TEST(ConfigMessages, AreAsWritten) {
  const std::vector<MessageCase> cases = LoadCases();
  ASSERT_GT(cases.size(), 50U) << "testdata/config_messages.txt was not read";
  for (const MessageCase& c : cases) {
    Options options;
    const Status status = ReadOptions(c.yaml, &options);
    EXPECT_EQ(status.ok() ? "ok" : status.message(), c.expected) << "== " << c.name;
    EXPECT_TRUE(status.ok() || status.code() == StatusCode::kInvalidArgument) << "== " << c.name;
  }
}

TEST(Config, ReadsEveryKind) {
  Options o;
  const Status status = ReadOptions(
      "name: gate\nthreads: 4\nratio: 2.5e-1\nlive: true\ntimeout: 1.5s\npolicy: block\n"
      "tags: [a, 'b c']\npoints: [1, -2.5, 1e3]\nsource: {uri: 'rtsp://h/'}\n"
      "rules: [{zone: a}, {zone: b}]\nlabels: {z: 1, a: two}\n",
      &o);
  EXPECT_EQ(status, OkStatus());
  EXPECT_EQ(o.name, "gate");
  EXPECT_EQ(o.threads, 4);
  EXPECT_EQ(o.ratio, 0.25);
  EXPECT_TRUE(o.live);
  EXPECT_EQ(o.timeout, 1'500'000'000);
  EXPECT_EQ(o.policy, 0);
  EXPECT_THAT(o.tags, ElementsAre("a", "b c"));
  EXPECT_THAT(o.points, ElementsAre(1, -2.5, 1000));
  EXPECT_EQ(o.uri, "rtsp://h/");
  EXPECT_EQ(o.rules, 2);
  EXPECT_THAT(o.labels, ElementsAre("z=1", "a=two")) << "in the order of the file";
}

TEST(Config, MissingKeysLeaveDefaults) {
  Options o;
  EXPECT_EQ(ReadOptions("name: a\n", &o), OkStatus());
  EXPECT_EQ(o.threads, 2);
  EXPECT_EQ(o.timeout, 7);
  EXPECT_EQ(o.policy, 1);
  EXPECT_THAT(o.tags, ElementsAre("default"));
}

TEST(Config, AnErrorLeavesTheDefault) {
  Options o;
  const char* wrong =
      "name: a\nthreads: 1000\nlive: maybe\nratio: 3\ntags: [a, [b]]\npoints: x\ntimeout: 5\n";
  EXPECT_FALSE(ReadOptions(wrong, &o).ok());
  EXPECT_THAT(o.tags, ElementsAre("default"));
  EXPECT_THAT(o.points, IsEmpty());
  EXPECT_EQ(o.timeout, 7);
  EXPECT_EQ(o.threads, 2);
  EXPECT_EQ(o.ratio, 0.5);
  EXPECT_FALSE(o.live);
}

TEST(Config, DurationsOfEveryUnit) {
  const std::pair<const char*, std::int64_t> cases[] = {{"250ms", 250'000'000},
                                                        {"0.5ms", 500'000},
                                                        {"1.5s", 1'500'000'000},
                                                        {"2m", 120'000'000'000},
                                                        {"1h", 3'600'000'000'000},
                                                        {"0s", 0},
                                                        {"2562047h", 9'223'369'200'000'000'000}};
  for (const auto& [text, nanos] : cases) {
    Options o;
    EXPECT_EQ(ReadOptions(std::string("name: a\ntimeout: ") + text + "\n", &o), OkStatus()) << text;
    EXPECT_EQ(o.timeout, nanos) << text;
  }
  for (const char* text : {"ms", ".ms", "1.2.3s", "1 s", "s1", "1S", "1e3s", "\"\""}) {
    Options o;
    EXPECT_FALSE(ReadOptions(std::string("name: a\ntimeout: ") + text + "\n", &o).ok()) << text;
  }
}

TEST(Config, BlockTextIsText) {
  auto document = ConfigDocument::Parse("text: |\n  12\n", "f");
  ASSERT_TRUE(document);
  ConfigMap map = document->Root();
  std::string text;
  map.Optional("text", &text);
  EXPECT_EQ(text, "12\n");
  int number = 0;
  map.Optional("text", &number, Range{0, 100});
  EXPECT_FALSE(document->status().ok());
}

TEST(Config, ErrorsOfCallersNameThePlace) {
  auto document = ConfigDocument::Parse("a:\n  b: [1, 2]\n", "x/y.yaml");
  ASSERT_TRUE(document);
  ConfigMap root = document->Root();
  auto a = root.OptionalMap("a");
  ASSERT_TRUE(a);
  const auto list = a->OptionalSequence("b");
  ASSERT_THAT(list, SizeIs(2));
  EXPECT_EQ(list[1].line(), 2);
  list[1].Error("must be odd");
  EXPECT_EQ(document->status().message(), "x/y.yaml:2: a.b[1]: must be odd");
}

TEST(Config, ErrorOfAMissingKeyNamesItsMap) {
  auto document = ConfigDocument::Parse("\na:\n  b: 1\n", "f");
  ASSERT_TRUE(document);
  ConfigMap root = document->Root();
  auto a = root.OptionalMap("a");
  a->Has("b");
  a->Error("c", "is needed with b");
  EXPECT_EQ(document->status().message(), "f:3: a.c: is needed with b");
}

TEST(Config, StatusFinishesMapsThatAreAlive) {
  auto document = ConfigDocument::Parse("a: 1\nb: 2\n", "f");
  ASSERT_TRUE(document);
  ConfigMap root = document->Root();
  EXPECT_TRUE(root.Has("a"));
  EXPECT_EQ(document->status().message(), "f:2: b: unknown key");
}

TEST(Config, MapsFinishWhenDestroyedAndMoved) {
  auto document = ConfigDocument::Parse("a: {x: 1}\n", "f");
  ASSERT_TRUE(document);
  {
    ConfigMap root = document->Root();
    auto a = root.OptionalMap("a");
    const ConfigMap moved = *std::move(a);
  }
  EXPECT_EQ(document->status().message(), "f:1: a.x: unknown key");
}

TEST(Config, TheDocumentMayGoFirst) {
  auto document = std::make_unique<Result<ConfigDocument>>(ConfigDocument::Parse("a: b\n", "f"));
  ConfigMap map = (**document).Root();
  document.reset();
  std::string a;
  map.Required("a", &a);
  EXPECT_EQ(a, "b");
}

TEST(Config, ValuesTellTheirKind) {
  auto document = ConfigDocument::Parse("s: x\nm: {}\nl: []\nn:\n", "f");
  ASSERT_TRUE(document);
  ConfigMap map = document->Root();
  EXPECT_TRUE(map.Value("s")->IsScalar());
  EXPECT_TRUE(map.Value("m")->IsMap());
  EXPECT_TRUE(map.Value("l")->IsSequence());
  const auto nothing = map.Value("n");
  EXPECT_FALSE(nothing->IsScalar() || nothing->IsMap() || nothing->IsSequence());
  EXPECT_FALSE(map.Value("other").has_value());
  EXPECT_EQ(document->status(), OkStatus());
}

// ---- limits ----

std::string MessageOf(const std::string& text) {
  const auto document = ConfigDocument::Parse(text, "f");
  return document ? "ok" : document.error().message();
}

TEST(ConfigLimits, Depth) {
  const auto nested = [](int depth) {
    return "a: " + std::string(depth - 1, '[') + std::string(depth - 1, ']');
  };
  EXPECT_EQ(MessageOf(nested(ConfigLimits::kDepth)), "ok");
  EXPECT_EQ(MessageOf(nested(ConfigLimits::kDepth + 1)), "f:1: nested deeper than 32 levels");
  // Far too deep for a parser that recurses, were it let.
  EXPECT_THAT(MessageOf(std::string(500'000, '[')), StartsWith("f:1: "));
  EXPECT_THAT(MessageOf(std::string(500'000, '{')), StartsWith("f:1: "));
}

TEST(ConfigLimits, Values) {
  std::string list = "a:\n";
  for (std::size_t i = 0; i + 2 < ConfigLimits::kNodes; ++i) list += "- x\n";
  EXPECT_EQ(MessageOf(list), "ok");
  EXPECT_THAT(MessageOf(list + "- x\n"), StartsWith("f:100000: more than 100000 values"));
}

TEST(ConfigLimits, TextSize) {
  const std::string most(ConfigLimits::kTextBytes - 6, 'x');
  EXPECT_EQ(MessageOf("a: \"" + most + "\"\n"), "ok");
  EXPECT_EQ(MessageOf("a: \"" + most + "x\"\n"),
            "f: larger than 1 MiB; this is no configuration file");
}

TEST(ConfigLimits, AliasesDoNotMultiply) {
  // "Billion laughs": nine levels of nine aliases each.
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string n = std::to_string(i);
    const std::string alias = "*a" + std::to_string(i - 1);
    bomb.append("a").append(n).append(": &a").append(n).append(" [").append(alias);
    for (int j = 1; j < 9; ++j) bomb += ", " + alias;
    bomb += "]\n";
  }
  EXPECT_THAT(MessageOf(bomb), HasSubstr("more than 100000 values"));
}

TEST(ConfigLimits, AliasesCountTheirDepth) {
  const std::string deep = "a: &a " + std::string(20, '[') + std::string(20, ']') + "\nb: ";
  EXPECT_EQ(MessageOf(deep + std::string(11, '[') + "*a" + std::string(11, ']')), "ok");
  EXPECT_EQ(MessageOf(deep + std::string(12, '[') + "*a" + std::string(12, ']')),
            "f:2: nested deeper than 32 levels");
}

TEST(ConfigLimits, BinaryIsRefused) {
  EXPECT_EQ(MessageOf(std::string("a: b\n\0c", 7)), "f:2: not UTF-8 text; this is no YAML file");
  EXPECT_EQ(MessageOf("a: b\n\nc: \xff\n"), "f:3: not UTF-8 text; this is no YAML file");
  EXPECT_EQ(MessageOf("\xFF\xFE"
                      "a"),
            "f:1: not UTF-8 text; this is no YAML file");
  EXPECT_EQ(MessageOf("\xEF\xBB\xBF"
                      "a: b"),
            "ok")
      << "a byte order mark is harmless";
}

TEST(ConfigLimits, ManyKeysAreReadInReasonableTime) {
  std::string text;
  for (int i = 0; i < 90'000; ++i) text += "k" + std::to_string(i) + ": 1\n";
  auto document = ConfigDocument::Parse(text, "f");
  ASSERT_TRUE(document);
  ConfigMap map = document->Root();
  EXPECT_THAT(map.Entries(), SizeIs(90'000));
  EXPECT_EQ(document->status(), OkStatus());
}

TEST(ConfigFile, ErrorsNameTheFile) {
  EXPECT_EQ(ConfigDocument::ParseFile("/no/such.yaml").error().message(),
            "cannot open /no/such.yaml: No such file or directory");
  EXPECT_EQ(ConfigDocument::ParseFile("/no/such.yaml").error().code(), StatusCode::kNotFound);
  EXPECT_EQ(ConfigDocument::ParseFile("/dev").error().code(), StatusCode::kInvalidArgument);
}

// ---- NearestWord ----

TEST(NearestWord, FindsWhatWasMeant) {
  const std::vector<std::string> words = {"source", "sink", "threads", "fps"};
  EXPECT_EQ(NearestWord("sorce", words), "source");
  EXPECT_EQ(NearestWord("soucre", words), "source") << "a swap is one edit";
  EXPECT_EQ(NearestWord("SOURCE", words), "source");
  EXPECT_EQ(NearestWord("fp", words), "fps");
  EXPECT_EQ(NearestWord("thread", words), "threads");
}

TEST(NearestWord, IsEmptyWhereNothingIsNear) {
  EXPECT_THAT(NearestWord("colour", {"source", "sink"}), IsEmpty());
  EXPECT_THAT(NearestWord("x", {"y"}), IsEmpty());
  EXPECT_THAT(NearestWord("anything", {}), IsEmpty());
  EXPECT_THAT(NearestWord(std::string(1 << 20, 'a'), {"source"}), IsEmpty());
}

TEST(NearestWord, PrefersTheNearest) {
  EXPECT_EQ(NearestWord("heigth", {"width", "weight", "height"}), "height");
}

// ---- messages ----

TEST(ConfigMessageParts, QuotesWhatOthersWrote) {
  EXPECT_EQ(QuoteForMessage("a\nb\x01"), "\"a\\x0ab\\x01\"");
  EXPECT_EQ(QuoteForMessage("\xff"), "\"\\xff\"");
  EXPECT_EQ(QuoteForMessage("größe"), "\"größe\"");
  EXPECT_EQ(QuoteForMessage(std::string(100, 'x')), "\"" + std::string(60, 'x') + "…\"");
}

TEST(ConfigMessageParts, PathsQuoteOddKeys) {
  EXPECT_EQ(ConfigPath("", "a"), "a");
  EXPECT_EQ(ConfigPath("a.b[2]", "c-d_e"), "a.b[2].c-d_e");
  EXPECT_EQ(ConfigPath("a", "b.c"), "a.\"b.c\"");
  EXPECT_EQ(ConfigPath("a", ""), "a.\"\"");
}

}  // namespace
}  // namespace selvedge
