"""Proves that the layer check goes red for each thing that it forbids, and stays green otherwise."""

import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import check_layers  # noqa: E402  (the path must be known first)


class TreeTest(unittest.TestCase):
    """Writes a small tree and checks it as a whole."""

    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            (pathlib.Path(root) / "src").mkdir()
            for name, text in files.items():
                path = pathlib.Path(root) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return [str(problem) for problem in check_layers.check_tree(root)]

    def assert_red(self, files, *words):
        problems = self.check(files)
        self.assertEqual(len(problems), 1, problems)
        for word in words:
            self.assertIn(word, problems[0])

    def test_lower_layers_and_own_folder_are_green(self):
        self.assertEqual([], self.check({
            "src/base/status.h": "#include <string>\n",
            "src/core/tensor.h": '#include "base/status.h"\n',
            "src/core/tensor.cc": '#include "core/tensor.h"\n#include "proto/event.pb.h"\n',
            "src/cmd/run/main.cc": '#include "core/tensor.h"\n#include <CLI/CLI.hpp>\n',
        }))

    def test_include_of_an_upper_layer_is_red(self):
        self.assert_red({
            "src/core/tensor.h": "",
            "src/base/status.h": '\n#include "core/tensor.h"\n',
        }, "src/base/status.h:2:", "base may not include core", "above")

    def test_base_may_not_include_proto(self):
        self.assert_red({"src/base/a.cc": '#include "proto/event.pb.h"\n'}, "base may not include proto")

    def test_include_of_a_neighbour_is_red(self):
        self.assert_red({
            "src/vision/nms.h": "",
            "src/engine/engine.h": '#include "vision/nms.h"\n',
        }, "engine may not include vision", "beside")

    def test_subfolders_see_each_other_only_as_declared(self):
        files = {"src/device/capture/source.h": "", "src/device/decide/rule.h": ""}
        pipeline = {"src/device/pipeline/pipeline.h": '#include "device/capture/source.h"\n'}
        self.assertEqual([], self.check(files | pipeline))
        self.assert_red(files | {"src/device/decide/rule.h": '#include "device/capture/source.h"\n'},
                        "device/decide may not include device/capture")

    def test_engine_interface_may_not_know_an_engine(self):
        self.assert_red({
            "src/engine/fake/fake.h": "",
            "src/engine/engine.cc": '#include "engine/fake/fake.h"\n',
        }, "engine may not include engine/fake")

    def test_a_test_may_use_the_double(self):
        files = {"src/engine/fake/fake.h": ""}
        self.assertEqual([], self.check(files | {
            "src/engine/tune_test.cc": '#include "engine/fake/fake.h"\n'}))
        self.assert_red(files | {"src/engine/onnxruntime/onnx_test.cc": '#include "engine/fake/fake.h"\n'},
                        "engine/onnxruntime may not include engine/fake")

    def test_trust_lies_below_engine(self):
        self.assertEqual([], self.check({
            "src/trust/digest.h": "", "src/engine/tune.cc": '#include "trust/digest.h"\n'}))
        self.assert_red({"src/engine/engine.h": "", "src/trust/digest.cc": '#include "engine/engine.h"\n'},
                        "trust may not include engine", "above")

    def test_unknown_folder_is_red(self):
        self.assert_red({"src/utils/a.h": ""}, '"utils" is no layer')

    def test_undeclared_subfolder_is_red(self):
        self.assert_red({
            "src/device/capture/source.h": "",
            "src/device/other/a.h": '#include "device/capture/source.h"\n',
        }, "not declared in SUBFOLDERS")

    def test_vendor_headers_outside_their_folder_are_red(self):
        for header in ("gst/gst.h", "opencv2/core.hpp", "boost/asio.hpp", "openssl/evp.h", "CLI/CLI.hpp",
                       "yaml-cpp/yaml.h", "spdlog/spdlog.h", "onnxruntime/onnxruntime_c_api.h",
                       "openvino/c/openvino.h", "tensorflow/lite/c/c_api.h", "Eigen/Dense", "sqlite3.h"):
            with self.subTest(header):
                self.assert_red({"src/core/a.cc": f"#include <{header}>\n"}, f"<{header}> belongs to")

    def test_vendor_headers_in_their_place_are_green(self):
        self.assertEqual([], self.check({
            "src/device/capture/a.cc": "#include <gst/gst.h>\n",
            "src/vision/a.cc": "#include <opencv2/core.hpp>\n#include <Eigen/Dense>\n",
            "src/net/a.cc": "#include <boost/asio.hpp>\n#include <openssl/evp.h>\n",
            "src/base/config.cc": "#include <yaml-cpp/yaml.h>\n",
            "src/base/log.cc": "#include <spdlog/spdlog.h>\n",
            "src/engine/onnxruntime/a.cc": "#include <onnxruntime/onnxruntime_c_api.h>\n",
        }))

    def test_yaml_is_for_the_config_files_only(self):
        self.assert_red({"src/base/file.cc": "#include <yaml-cpp/yaml.h>\n"}, "base/config*")

    def test_relative_and_unrooted_includes_are_red(self):
        files = {"src/vision/nms.h": ""}
        self.assert_red(files | {"src/vision/nms.cc": '#include "../vision/nms.h"\n'}, "relative")
        self.assert_red(files | {"src/vision/nms.cc": '#include "./nms.h"\n'}, "relative")
        self.assert_red(files | {"src/vision/nms.cc": '#include "nms.h"\n'}, "is no file below src/")

    def test_includes_in_comments_do_not_count(self):
        self.assertEqual([], self.check({
            "src/base/a.h": '// #include "core/a.h"\n/*\n#include "core/a.h"\n*/\n'}))

    def test_long_file_is_red_unless_it_says_why(self):
        long = "int a;\n" * 501
        self.assertEqual([], self.check({"src/base/a.h": "int a;\n" * 500}))
        self.assert_red({"src/base/a.h": long}, "501 lines")
        self.assert_red({"test/unit/a.cc": long}, "501 lines")
        self.assertEqual([], self.check({"src/base/a.h": "// length: one table\n" + long}))

    def test_long_function_is_red_unless_it_says_why(self):
        body = "  Call();\n" * 69
        function = "int F(int a) {\n" + body + "}\n"
        self.assert_red({"src/base/a.cc": "\n" + function}, "src/base/a.cc:2:", "71 lines")
        self.assertEqual([], self.check({"src/base/a.cc": "// length: one switch\n" + function}))
        self.assertEqual([], self.check({"src/base/a.cc": function.replace("  Call();\n", "", 1)}))


class FunctionSpansTest(unittest.TestCase):
    def spans(self, text):
        return check_layers.function_spans(text)

    def test_finds_functions_inside_namespaces_and_classes(self):
        self.assertEqual([(3, 5), (7, 7)], self.spans(
            "namespace a {\nclass B : public C {\n  int F() const override {\n    return 1;\n  }\n"
            " public:\n  B() : x_{1} {}\n};\n}\n"))

    def test_counts_from_the_first_line_of_the_head(self):
        self.assertEqual([(1, 4)], self.spans("Result<int>\nF(int a,\n  int b) {\n}\n"))

    def test_a_lambda_belongs_to_its_function(self):
        self.assertEqual([(1, 5)], self.spans("void F() {\n  auto g = [](int a) {\n    return a;\n  };\n}\n"))

    def test_braces_in_strings_comments_and_macros_do_not_count(self):
        self.assertEqual([(3, 5)], self.spans(
            '#define X {\\\n  {\nvoid F() {  // {\n  G("}{", \'{\', R"x(}}{)x");\n}\n'))

    def test_a_table_or_a_type_is_no_function(self):
        self.assertEqual([], self.spans(
            "const int kTable[] = {1,\n 2};\nstruct S {\n int a{1};\n};\nenum class E { kA };\n"
            "class alignas(64) T { int b; };\n"))

    def test_test_macros_count(self):
        self.assertEqual([(1, 3)], self.spans("TEST(A, B) {\n  F();\n}\n"))


class CycleTest(unittest.TestCase):
    def test_finds_a_ring(self):
        self.assertEqual(["a", "b", "c", "a"],
                         check_layers.find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}))

    def test_a_diamond_is_no_ring(self):
        self.assertIsNone(check_layers.find_cycle({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}))


if __name__ == "__main__":
    unittest.main()
