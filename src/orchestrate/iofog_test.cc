#include "orchestrate/iofog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace selvedge {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// The user's own manifest, as docs/formats/application.md has it.
constexpr std::string_view kExample = R"(apiVersion: iofog.org/v3
kind: Application
metadata:
  name: safety-monitor
spec:
  microservices:
  - name: object-detector
    images:
      x86: registry.example.com/trt-detector:x86
      arm64: registry.example.com/trt-detector:jetson
    config:
      model_path: "/models/engine.trt"
      confidence_threshold: 0.7
    resources:
      gpu: 1
    ports:
    - external: 5000
      internal: 5000
    volumes:
    - host: "/var/edge-models"
      container: "/models"
  placements:
  - type: constraint
    key: hardware
    operator: ==
    value: jetson
  - type: constraint
    key: tpu
    operator: exists
)";

// One service; `extra` is further lines of it, `placements` of the specification.
std::string Manifest(const std::string& extra, const std::string& placements = {},
                     const std::string& image = "pipeline:a/b:1") {
  return "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: app}\nspec:\n"
         "  microservices:\n  - name: one\n    images: {any: '" +
         image + "'}\n" + extra + placements;
}

std::string ErrorOf(std::string_view text) {
  const auto documents = ParseDeployment(text, "m.yaml");
  EXPECT_FALSE(documents) << text;
  if (documents) return "";
  EXPECT_EQ(documents.error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(documents.error().message().find('\n'), std::string::npos);
  return documents.error().message();
}

TEST(ParseDeployment, ReadsTheUsersOwn) {
  const auto documents = ParseDeployment(kExample, "edge-deployment.yaml");
  ASSERT_TRUE(documents) << documents.error().ToString();
  ASSERT_EQ(documents->size(), 1U);
  EXPECT_EQ(documents->front().text, kExample);
  const Application& application = documents->front().application;
  EXPECT_EQ(application.name, "safety-monitor");
  ASSERT_EQ(application.microservices.size(), 1U);
  const Microservice& service = application.microservices[0];
  EXPECT_EQ(service.name, "object-detector");
  EXPECT_EQ(service.ImageFor("arm64")->tag, "jetson");
  EXPECT_EQ(service.ImageFor("x86")->host, "registry.example.com");
  EXPECT_EQ(service.config_json,
            R"({"model_path":"/models/engine.trt","confidence_threshold":0.7})");
  EXPECT_EQ(service.resources, (ServiceResources{.gpu = 1}));
  EXPECT_THAT(service.ports, ElementsAre(ServicePort{5000, 5000}));
  EXPECT_THAT(service.volumes, ElementsAre(ServiceVolume{"/var/edge-models", "/models", false}));
  EXPECT_THAT(application.placements,
              ElementsAre(Constraint{"hardware", ConstraintOperator::kEqual, {"jetson"}},
                          Constraint{"tpu", ConstraintOperator::kExists, {}}));
}

TEST(ParseDeployment, ReadsEveryOptionalKey) {
  const auto documents = ParseDeployment(
      Manifest("    config: {list: [1, two, 3.5, true, null, '4'], deep: {a: {b: []}}}\n"
               "    env: [{key: A, value: 1}, {key: _b, value: 'x y'}]\n"
               "    resources: {gpu: 1, tpu: 2, memory: 512Mi, cpus: 1.5}\n"
               "    volumes: [{host: /a, container: /b, readOnly: true}]\n",
               "  placements:\n"
               "  - {type: constraint, key: zone, operator: in, value: [a, 1, true]}\n"
               "  - {type: constraint, key: cores, operator: '>=', value: 4}\n"),
      "m.yaml");
  ASSERT_TRUE(documents) << documents.error().ToString();
  const Application& application = documents->front().application;
  const Microservice& service = application.microservices[0];
  EXPECT_EQ(service.config_json, R"({"list":[1,"two",3.5,true,null,"4"],"deep":{"a":{"b":[]}}})");
  EXPECT_THAT(service.env, ElementsAre(Pair("A", "1"), Pair("_b", "x y")));
  EXPECT_EQ(service.resources, (ServiceResources{1, 2, std::int64_t{512} << 20, 1.5}));
  EXPECT_TRUE(service.volumes[0].read_only);
  EXPECT_THAT(application.placements[0].values, ElementsAre("a", "1", "true"));
  EXPECT_THAT(application.placements[1].values, ElementsAre("4"));
}

TEST(ParseDeployment, ReadsAmountsOfMemory) {
  const std::pair<const char*, std::int64_t> cases[] = {{"2Gi", std::int64_t{2} << 30},
                                                        {"500M", 500'000'000},
                                                        {"1048576", 1 << 20},
                                                        {"1.5Mi", 1'572'864}};
  for (const auto& [text, bytes] : cases) {
    const auto documents =
        ParseDeployment(Manifest(std::string("    resources: {memory: ") + text + "}\n"), "m.yaml");
    ASSERT_TRUE(documents) << text;
    EXPECT_EQ(documents->front().application.microservices[0].resources.memory_bytes, bytes);
  }
}

TEST(ParseDeployment, ReadsSeveralDocumentsAndKeepsTheirText) {
  const std::string second =
      "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: two}\n"
      "spec: {microservices: [{name: s, images: {any: 'a:1'}}]}\n";
  const auto documents = ParseDeployment(
      "# first\n---\n" + Manifest("") + "--- # second\n" + second + "...\n", "m.yaml");
  ASSERT_TRUE(documents) << documents.error().ToString();
  ASSERT_EQ(documents->size(), 2U);
  EXPECT_EQ(documents->at(0).application.name, "app");
  EXPECT_EQ(documents->at(1).application.name, "two");
  EXPECT_THAT(documents->at(1).text, HasSubstr(second));
  EXPECT_THAT(documents->at(1).text, Not(HasSubstr("name: app")));
}

TEST(ParseDeployment, LinesAreThoseOfTheWholeFile) {
  const std::string bad = "apiVersion: iofog.org/v3\nkind: Aplication\n";
  EXPECT_THAT(ErrorOf(Manifest("") + "---\n" + bad), HasSubstr("m.yaml:10: kind: "));
}

struct Wrong {
  const char* name;
  std::string text;
  const char* message;  // part of it
};

class ManifestErrors : public testing::TestWithParam<Wrong> {};

TEST_P(ManifestErrors, NameFileLineKeyAndTheNearest) {
  EXPECT_THAT(ErrorOf(GetParam().text), HasSubstr(GetParam().message));
}

const std::string kPlace = "  placements:\n  - ";

INSTANTIATE_TEST_SUITE_P(
    Cases, ManifestErrors,
    testing::Values(
        Wrong{"Empty", "", "m.yaml: no document in it"},
        Wrong{"OnlyComments", "# nothing\n---\n", "no document in it"},
        Wrong{
            "Kind", "apiVersion: iofog.org/v3\nkind: Aplication\n",
            R"(m.yaml:2: kind: "Aplication" is not one of Application; did you mean "Application"?)"},
        Wrong{"Version", "apiVersion: iofog.org/v2\nkind: Application\n", "m.yaml:1: apiVersion: "},
        Wrong{"Name", "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: A_b}\n",
              "m.yaml:3: metadata.name: a name is 1 to 63"},
        Wrong{"UnknownKey", Manifest("    volume: []\n"),
              R"(m.yaml:8: spec.microservices[0].volume: unknown key; did you mean "volumes"?)"},
        Wrong{"UnknownOfPort", Manifest("    ports: [{external: 1, internal: 1, proto: udp}]\n"),
              "m.yaml:8: spec.microservices[0].ports[0].proto: unknown key"},
        Wrong{"NoServices",
              "apiVersion: iofog.org/v3\nkind: Application\nmetadata: {name: a}\nspec: "
              "{microservices: []}\n",
              "at least one microservice"},
        Wrong{"TwiceTheSame", Manifest("  - {name: one, images: {any: 'a:1'}}\n"),
              R"(there is a microservice "one" already)"},
        Wrong{"Architecture", Manifest("").replace(Manifest("").find("any"), 3, "x68"),
              R"("x68" is not one of x86, arm64, arm, any; did you mean "x86"?)"},
        Wrong{"Image", Manifest("", "", "Bad Image"), R"(images.any: "Bad Image" is no image: )"},
        Wrong{"PortRange", Manifest("    ports: [{external: 0, internal: 1}]\n"),
              "between 1 and 65535"},
        Wrong{"PortTwice",
              Manifest("    ports: [{external: 1, internal: 1}, {external: 1, internal: 2}]\n"),
              "port 1 is taken"},
        Wrong{"VolumeRelative", Manifest("    volumes: [{host: a, container: /b}]\n"),
              "absolute path"},
        Wrong{"VolumeUpwards", Manifest("    volumes: [{host: /a/../b, container: /b}]\n"),
              "absolute path"},
        Wrong{"VolumeRoot", Manifest("    volumes: [{host: /a, container: /}]\n"), "absolute path"},
        Wrong{"VolumeTwice",
              Manifest("    volumes: [{host: /a, container: /c}, {host: /b, container: /c}]\n"),
              "mounted there already"},
        Wrong{"EnvName", Manifest("    env: [{key: 1A, value: x}]\n"), "a variable is"},
        Wrong{"EnvOurs", Manifest("    env: [{key: SELVEDGE_X, value: x}]\n"), "set by the agent"},
        Wrong{"EnvTwice", Manifest("    env: [{key: A, value: x}, {key: A, value: y}]\n"),
              "there already"},
        Wrong{"Memory", Manifest("    resources: {memory: 5 apples}\n"), "such as 512Mi"},
        Wrong{"Gpu", Manifest("    resources: {gpu: 0.5}\n"), "whole number"},
        Wrong{"Cpus", Manifest("    resources: {cpus: 0}\n"), "must be between"},
        Wrong{"Threshold", Manifest("    config: {confidence_threshold: 7}\n"),
              "must be between 0 and 1"},
        Wrong{"ConfigOfText", Manifest("    config: hello\n"), "expected a map"},
        Wrong{"ConfigSize", Manifest("    config: {a: " + std::string(70'000, 'x') + "}\n"),
              "above 64 KiB"},
        Wrong{"PlacementType",
              Manifest("", kPlace + "{type: constrain, key: a, operator: exists}\n"),
              R"(did you mean "constraint"?)"},
        Wrong{
            "Operator", Manifest("", kPlace + "{type: constraint, key: a, operator: exist}\n"),
            R"(m.yaml:9: spec.placements[0].operator: "exist" is not one of ==, !=, in, notin, exists, notexists, <, <=, >, >=; did you mean "exists"?)"},
        Wrong{"NoValue", Manifest("", kPlace + "{type: constraint, key: a, operator: ==}\n"),
              "required and missing"},
        Wrong{"ValueOfExists",
              Manifest("", kPlace + "{type: constraint, key: a, operator: exists, value: 1}\n"),
              "exists takes no value"},
        Wrong{"InWithoutList",
              Manifest("", kPlace + "{type: constraint, key: a, operator: in, value: 1}\n"),
              "in takes a list"},
        Wrong{"EmptyList",
              Manifest("", kPlace + "{type: constraint, key: a, operator: notin, value: []}\n"),
              "empty"},
        Wrong{"OrderOfText",
              Manifest("", kPlace + "{type: constraint, key: a, operator: <, value: b}\n"),
              "expected a number"},
        Wrong{"SecondOfOneName", Manifest("") + "---\n" + Manifest(""),
              R"(a second application "app")"}),
    [](const auto& test_case) { return std::string(test_case.param.name); });

// An alias costs a few bytes and stands for many.
TEST(ParseDeployment, AliasesDoNotExpandBeyondTheLimit) {
  std::string list;
  for (int i = 0; i < 1000; ++i) list += "*a, ";
  EXPECT_THAT(ErrorOf(Manifest("    config: {a: &a " + std::string(30'000, 'x') + ", b: [" + list +
                               "]}\n")),
              HasSubstr("above 64 KiB"));
}

TEST(ParseDeployment, RefusesMoreThanItsLimits) {
  std::string many;
  for (int i = 0; i < 65; ++i) many += "---\na: 1\n";
  EXPECT_THAT(ErrorOf(many), HasSubstr("m.yaml:129: more than 64 documents"));
  EXPECT_THAT(ErrorOf(std::string(kMaxDeploymentBytes + 1, ' ')), HasSubstr("at most 1048576"));
  std::string services;
  for (int i = 0; i < 64; ++i) {
    services += "  - {name: s" + std::to_string(i) + ", images: {any: 'a:1'}}\n";
  }
  EXPECT_THAT(ErrorOf(Manifest(services)), HasSubstr("more than 64 microservices"));
}

TEST(WriteDeployment, ReadsBackAsTheSame) {
  for (const std::string& text :
       {std::string(kExample),
        Manifest("    config: {list: [1, two, 3.5, true, null, '4', [], {}, [[1], {a: b}]], 'odd "
                 "key: #': \"x\\u0001\\n\"}\n"
                 "    env: [{key: A, value: 'yes'}, {key: B, value: '# no'}]\n"
                 "    resources: {gpu: 1, tpu: 2, memory: 1500K, cpus: 0.1}\n"
                 "    volumes: [{host: '/a b', container: /b, readOnly: true}]\n",
                 "  placements:\n"
                 "  - {type: constraint, key: 'a b', operator: in, value: ['1', 'true', 'x: y']}\n"
                 "  - {type: constraint, key: cores, operator: '>=', value: 4}\n"
                 "  - {type: constraint, key: v, operator: '!=', value: ''}\n")}) {
    const auto first = ParseDeployment(text, "m.yaml");
    ASSERT_TRUE(first) << first.error().ToString();
    const std::string written = WriteDeployment(first->front().application);
    const auto second = ParseDeployment(written, "written.yaml");
    ASSERT_TRUE(second) << second.error().ToString() << "\n" << written;
    EXPECT_EQ(second->front().application, first->front().application) << written;
    EXPECT_EQ(WriteDeployment(second->front().application), written);
  }
}

TEST(WriteDeployment, WritesSeveralDocuments) {
  const auto one = ParseDeployment(kExample, "m.yaml");
  ASSERT_TRUE(one);
  Application other = one->front().application;
  other.name = "other";
  const auto both =
      ParseDeployment(WriteDeployment(std::vector{one->front().application, other}), "m.yaml");
  ASSERT_TRUE(both) << both.error().ToString();
  EXPECT_EQ(both->at(1).application, other);
}

}  // namespace
}  // namespace selvedge
