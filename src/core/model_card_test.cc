#include "core/model_card.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"

namespace selvedge {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const std::string kSource = SELVEDGE_SOURCE_DIR;

// The cards that testdata/model_card_messages.txt starts from.
const std::map<std::string, std::string>& Cards() {
  static const std::string variants = "variants: [{name: fp32, path: a.onnx, precision: fp32}]\n";
  static const std::string input = "input: {layout: nhwc, width: 30, height: 20}\n";
  static const std::map<std::string, std::string> cards = {
      {"ssd", "name: d\nversion: 1.0\ntask: detection\n" + variants + input +
                  "decoder:\n  {kind: ssd, boxes: b, anchors: {grids: [2, 1]}, scores: "
                  "s}\n\nlabels: [a]\n"},
      {"yolo", "name: y\nversion: 1.0\ntask: detection\n" + variants + input +
                   "decoder:\n  {kind: yolov8}\n\nlabels: [a]\n"},
      {"classifier", "name: c\nversion: 1.0\ntask: classification\n" + variants + input +
                         "decoder:\n  {kind: classification, activation: none}\n\nlabels: [a]\n"},
      {"raw",
       "name: r\nversion: 1.0\ntask: raw\n" + variants + input + "decoder:\n  {kind: raw}\n"}};
  return cards;
}

std::string WithLineBreaks(std::string text) {
  for (std::size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;)
    text.replace(at, 2, "\n");
  return text;
}

struct MessageCase {
  std::string name;
  std::string card;
  std::string expected;
};

std::vector<MessageCase> LoadCases() {
  std::ifstream file(kSource + "/src/core/testdata/model_card_messages.txt");
  std::vector<MessageCase> cases;
  bool expecting = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("== ")) {
      cases.push_back({line.substr(3), "", ""});
      expecting = false;
    } else if (cases.empty() || line.empty()) {
      continue;
    } else if (line == "--") {
      expecting = true;
    } else if (expecting) {
      cases.back().expected = line;
    } else if (line.starts_with("card ")) {
      cases.back().card = Cards().at(line.substr(5));
    } else {
      const std::size_t arrow = line.find(" => ");
      const std::string from = WithLineBreaks(line.substr(0, arrow));
      const std::size_t at = cases.back().card.find(from);
      EXPECT_NE(at, std::string::npos)
          << "== " << cases.back().name << ": the card has no " << from;
      if (at == std::string::npos) continue;
      cases.back().card.replace(at, from.size(), WithLineBreaks(line.substr(arrow + 4)));
    }
  }
  return cases;
}

TEST(ModelCardMessages, AreAsWritten) {
  const std::vector<MessageCase> cases = LoadCases();
  ASSERT_GT(cases.size(), 50U) << "testdata/model_card_messages.txt was not read";
  for (const MessageCase& c : cases) {
    const auto card = ModelCard::Parse(c.card, "card.yaml");
    EXPECT_EQ(card ? "ok" : card.error().message(), c.expected) << "== " << c.name << "\n"
                                                                << c.card;
  }
}

TEST(ModelCard, TheShippedDetector) {
  const auto card = ModelCard::Load(kSource + "/assets/models/person-ssdlite.card.yaml");
  ASSERT_TRUE(card) << card.error().message();
  EXPECT_EQ(card->name, "person-ssdlite");
  EXPECT_EQ(card->task, "detection");
  ASSERT_THAT(card->variants, SizeIs(1));
  EXPECT_EQ(card->variants[0].path, "person-ssdlite-mobilenetv2.onnx");
  EXPECT_EQ(card->variants[0].accuracy, 0.57);
  EXPECT_EQ(card->accuracy_metric, "ap50");
  EXPECT_EQ(card->input.name, "Preprocessor/sub:0");
  EXPECT_EQ(card->input.layout, TensorLayout::kNhwc);
  EXPECT_EQ(card->input.color, ColorOrder::kRgb);
  EXPECT_EQ(card->input.width, 300);
  EXPECT_EQ(card->input.height, 300);
  EXPECT_EQ(card->input.resize, ResizeMode::kSquash);
  EXPECT_THAT(card->input.mean, ElementsAre(127.5F, 127.5F, 127.5F));
  EXPECT_THAT(card->input.std, ElementsAre(127.5F, 127.5F, 127.5F));
  EXPECT_EQ(card->decoder.kind, DecoderKind::kSsd);
  EXPECT_EQ(card->decoder.boxes, "concat:0");
  EXPECT_EQ(card->decoder.scores, "concat_1:0");
  EXPECT_THAT(card->decoder.anchors.grids, ElementsAre(19, 10, 5, 3, 2, 1));
  EXPECT_THAT(card->decoder.box_scale, ElementsAre(10, 10, 5, 5));
  EXPECT_EQ(card->decoder.activation, "sigmoid");
  EXPECT_EQ(card->decoder.background_classes, 1);
  EXPECT_FLOAT_EQ(card->decoder.score_threshold, 0.3F);
  EXPECT_FLOAT_EQ(card->decoder.nms_iou, 0.6F);
  EXPECT_THAT(card->labels, ElementsAre("person"));
}

TEST(ModelCard, TheCenterNetOfTheTests) {
  const auto card = ModelCard::Load(kSource + "/src/core/testdata/coco80-centernet.card.yaml");
  ASSERT_TRUE(card) << card.error().message();
  EXPECT_EQ(card->decoder.kind, DecoderKind::kCenterNet);
  EXPECT_EQ(card->decoder.boxes, "tower_0/detections:0");
  EXPECT_EQ(card->decoder.activation, "none");
  ASSERT_THAT(card->labels, SizeIs(80));
  EXPECT_EQ(card->labels.front(), "person");
  EXPECT_EQ(card->labels.back(), "toothbrush");
}

TEST(ModelCard, Defaults) {
  const auto card = ModelCard::Parse(Cards().at("yolo"), "card.yaml");
  ASSERT_TRUE(card) << card.error().message();
  EXPECT_EQ(card->version, "1.0") << "a version is text";
  EXPECT_EQ(card->variants[0].accuracy, -1);
  EXPECT_THAT(card->variants[0].engines, SizeIs(0));
  EXPECT_EQ(card->input.color, ColorOrder::kRgb);
  EXPECT_EQ(card->input.resize, ResizeMode::kSquash);
  EXPECT_EQ(card->input.pad, 114);
  EXPECT_THAT(card->input.mean, ElementsAre(0, 0, 0));
  EXPECT_THAT(card->input.std, ElementsAre(1, 1, 1));
  EXPECT_EQ(card->decoder.activation, "none");
  EXPECT_FLOAT_EQ(card->decoder.score_threshold, 0.3F);
  EXPECT_FLOAT_EQ(card->decoder.nms_iou, 0.6F);
  EXPECT_EQ(card->decoder.max_detections, 100);
  EXPECT_EQ(card->temperature, 1);
  EXPECT_EQ(ModelCard::Parse(Cards().at("ssd"), "card.yaml")->decoder.activation, "sigmoid");
}

// Every example of docs/formats/model-card.md is a card that reads.
TEST(ModelCard, ExamplesOfTheDocumentation) {
  const auto text = ReadFile(kSource + "/docs/formats/model-card.md", 1 << 20);
  ASSERT_TRUE(text) << text.error().message();
  std::string pattern = (fs::temp_directory_path() / "selvedge-card-XXXXXX").string();
  const fs::path folder = ::mkdtemp(pattern.data());
  fs::copy(kSource + "/src/core/testdata/coco80.labels.txt", folder);
  std::ofstream imagenet(folder / "imagenet.labels.txt");
  for (int i = 0; i < 1000; ++i) imagenet << "class " << i << '\n';
  imagenet.close();
  std::vector<std::string> names;
  const std::string fence = "```yaml\n";
  for (std::size_t at = text->find(fence); at != std::string::npos; at = text->find(fence, at)) {
    at += fence.size();
    const std::string example = text->substr(at, text->find("```", at) - at);
    const auto card = ModelCard::Parse(example, (folder / "card.yaml").string());
    EXPECT_TRUE(card) << card.error().message();
    if (card) names.push_back(card->name + '/' + std::to_string(card->labels.size()));
  }
  fs::remove_all(folder);
  EXPECT_THAT(names, ElementsAre("person-ssdlite/1", "coco80-centernet/80", "yard-yolo/80",
                                 "efficientnet-lite0/1000", "pose/0"));
}

// The first example is the shipped card, word for word.
TEST(ModelCard, TheDocumentationShowsTheShippedCard) {
  const auto text = ReadFile(kSource + "/docs/formats/model-card.md", 1 << 20);
  const auto card = ReadFile(kSource + "/assets/models/person-ssdlite.card.yaml", 1 << 20);
  ASSERT_TRUE(text && card);
  EXPECT_THAT(*text, HasSubstr(card->substr(card->find('\n') + 1)));
}

class LabelFile : public testing::Test {
 protected:
  LabelFile() {
    std::string pattern = (fs::temp_directory_path() / "selvedge-labels-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~LabelFile() override { fs::remove_all(folder_); }

  // The labels, or the message in place of the only one.
  std::vector<std::string> Read(std::string_view content) const {
    std::ofstream(folder_ / "l.txt", std::ios::binary) << content;
    std::string yaml = Cards().at("ssd");
    yaml.replace(yaml.find("[a]"), 3, "l.txt");
    auto card = ModelCard::Parse(yaml, (folder_ / "card.yaml").string());
    return card ? card->labels : std::vector<std::string>{card.error().message()};
  }

  fs::path folder_;
};

TEST_F(LabelFile, OneLabelALine) {
  EXPECT_THAT(Read("a\nb c\ngröße\n"), ElementsAre("a", "b c", "größe"));
  EXPECT_THAT(Read("a\r\nb\r\n\r\n\n"), ElementsAre("a", "b"))
      << "of any system, with blank lines at the end";
  EXPECT_THAT(Read("crane\ncrane"), ElementsAre("crane", "crane")) << "ImageNet has two cranes";
}

TEST_F(LabelFile, Mistakes) {
  EXPECT_THAT(Read("a\n\nb\n"),
              ElementsAre(HasSubstr("l.txt:2: an empty line; expected one label per line")));
  EXPECT_THAT(Read("a\n\xff\n"), ElementsAre(HasSubstr("l.txt: not UTF-8 text")));
  EXPECT_THAT(Read(""), ElementsAre(HasSubstr("there is no label")));
  EXPECT_THAT(Read(std::string((1 << 20) + 1, 'x')),
              ElementsAre(HasSubstr("larger than the limit")));
}

TEST(ModelCard, LoadErrorsNameTheFile) {
  EXPECT_EQ(ModelCard::Load("/no/card.yaml").error().message(),
            "cannot open /no/card.yaml: No such file or directory");
  EXPECT_EQ(ModelCard::Parse("", "c.yaml").error().message(),
            "c.yaml:1: the file is empty; expected a map of keys and values");
}

}  // namespace
}  // namespace selvedge
