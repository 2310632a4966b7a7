#include "vision/model_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace selvedge {
namespace {

ModelCard PersonCard() {
  ModelCard card;
  card.task = "detection";
  card.input.width = 300;
  card.input.height = 300;
  card.decoder.kind = DecoderKind::kSsd;
  card.decoder.boxes = "boxes";
  card.decoder.scores = "scores";
  card.decoder.anchors.grids = {19, 10, 5, 3, 2, 1};
  card.decoder.background_classes = 1;
  card.labels = {"person"};
  return card;
}

struct Model {
  std::vector<TensorSpec> inputs = {{.name = "images", .shape = {1, 300, 300, 3}}};
  std::vector<TensorSpec> outputs = {{.name = "boxes", .shape = {1, 1917, 1, 4}},
                                     {.name = "scores", .shape = {1, 1917, 2}}};
};

std::string Complaint(const ModelCard& card, const Model& model) {
  return CheckCardAgainstModel(card, model.inputs, model.outputs).message();
}

TEST(ModelCheckTest, ACardThatFitsPasses) {
  EXPECT_EQ(Complaint(PersonCard(), Model{}), "");
  Model open;
  open.inputs[0].shape = {-1, -1, -1, 3};
  open.outputs[0].shape = {-1, -1, 4};
  open.outputs[1].shape = {-1, -1, -1};
  EXPECT_EQ(Complaint(PersonCard(), open), "");
}

TEST(ModelCheckTest, EveryDisagreementIsOneSentence) {
  ModelCard card = PersonCard();
  card.input.name = "image";
  EXPECT_EQ(Complaint(card, Model{}),
            "the card's input.name is \"image\", but the model has no such input; it has: "
            "images float32 [1,300,300,3]");
  EXPECT_EQ(CheckCardAgainstModel(card, Model{}.inputs, Model{}.outputs).code(),
            StatusCode::kNotFound);

  card = PersonCard();
  card.input.layout = TensorLayout::kNchw;
  EXPECT_EQ(Complaint(card, Model{}),
            "the card describes a picture [1,3,300,300] (nchw), but the model's input is images "
            "float32 [1,300,300,3]; set input.layout to nhwc");

  card = PersonCard();
  card.input.width = 320;
  EXPECT_EQ(Complaint(card, Model{}),
            "the card describes a picture [1,300,320,3] (nhwc), but the model's input is images "
            "float32 [1,300,300,3]; correct input.width and input.height");

  Model model;
  model.inputs[0].shape = {4, 300, 300, 3};
  EXPECT_NE(Complaint(PersonCard(), model).find("batch of 1"), std::string::npos);
  model.inputs[0].shape = {1, 300, 300, 1};
  EXPECT_NE(Complaint(PersonCard(), model).find("3 colour channels"), std::string::npos);
  model.inputs[0].shape = {1, 270000};
  EXPECT_NE(Complaint(PersonCard(), model).find("rank 4"), std::string::npos);
  model = Model{};
  model.inputs[0].type = DataType::kInt64;
  EXPECT_NE(Complaint(PersonCard(), model).find("float16"), std::string::npos);
  model = Model{};
  model.inputs.push_back({.name = "state", .shape = {1, 8}});
  card = PersonCard();
  EXPECT_EQ(Complaint(card, model),
            "the card's input.name is empty and the model has 2 inputs; set it to one of: images "
            "float32 [1,300,300,3], state float32 [1,8]");
  card.input.name = "images";
  EXPECT_EQ(Complaint(card, model),
            "the model has 2 inputs, but a picture fills only \"images\"; nothing fills "
            "\"state\"");
}

TEST(ModelCheckTest, OutputsAreTheDecodersMatter) {
  Model model;
  model.outputs[0].shape = {1, 1900, 4};
  EXPECT_NE(Complaint(PersonCard(), model).find("1917 anchors"), std::string::npos);
  model = Model{};
  model.outputs[1].shape = {1, 1917, 91};
  EXPECT_NE(Complaint(PersonCard(), model).find("1 labels"), std::string::npos);
}

TEST(ModelCheckTest, NumbersThatCannotBe) {
  ModelCard card = PersonCard();
  card.input.std = {1, 0, 1};
  EXPECT_NE(Complaint(card, Model{}).find("input.std"), std::string::npos);
  card = PersonCard();
  card.input.width = 0;
  EXPECT_NE(Complaint(card, Model{}).find("input.width"), std::string::npos);
  Model quantised;
  quantised.inputs[0].type = DataType::kInt8;
  quantised.inputs[0].scale = 1e-36F;
  EXPECT_NE(Complaint(PersonCard(), quantised).find("no float32 holds"), std::string::npos);
  card = PersonCard();
  card.temperature = 0;
  EXPECT_NE(Complaint(card, Model{}).find("temperature"), std::string::npos);
}

TEST(ModelCheckTest, ARawModelNeedsNoPicture) {
  ModelCard card;
  card.task = "raw";
  card.decoder.kind = DecoderKind::kRaw;
  Model model;
  model.inputs = {{.name = "input", .shape = {1, 576}}, {.name = "state", .shape = {2, 1, 128}}};
  EXPECT_EQ(Complaint(card, model), "");
  card.input.width = card.input.height = 192;
  EXPECT_NE(Complaint(card, model), "");
}

}  // namespace
}  // namespace selvedge
