"""Tests of when clang-tidy's answer may be taken from the cache, and of what counts as changed."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tidy  # noqa: E402  (the path must be known first)

FILES = {
    "src/base/status.h": "struct Status {};\n",
    "src/core/tensor.h": '#include "base/status.h"\n',
    "src/core/tensor.cc": '#include "core/tensor.h"\n',
    "src/core/other.cc": "int other;\n",
}


class TidyTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve() / "tree"
        self.write(self.root, FILES)

    def write(self, root, files):
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def key(self, name, root=None, command="c++ -O2", environment="19"):
        root = root or self.root
        return tidy.fingerprint(root / name, command, tidy.Tree(root), environment)

    def test_a_changed_header_changes_only_its_includers(self):
        before = self.key("src/core/tensor.cc"), self.key("src/core/other.cc")
        self.write(self.root, {"src/base/status.h": "struct Status { int code; };\n"})
        self.assertNotEqual(before[0], self.key("src/core/tensor.cc"))
        self.assertEqual(before[1], self.key("src/core/other.cc"))

    def test_command_and_settings_count(self):
        before = self.key("src/core/other.cc")
        self.assertNotEqual(before, self.key("src/core/other.cc", command="c++ -O3"))
        self.assertNotEqual(before, self.key("src/core/other.cc", environment="20"))

    def test_another_place_on_the_disk_does_not_count(self):
        clone = self.root.parent / "clone"
        self.write(clone, FILES)
        self.assertEqual(self.key("src/core/tensor.cc", command=f"c++ -I{self.root}/src"),
                         self.key("src/core/tensor.cc", root=clone, command=f"c++ -I{clone}/src"))

    def test_reads_only_our_sources(self):
        build = self.root / "build"
        build.mkdir()
        (build / "compile_commands.json").write_text(json.dumps([
            {"directory": str(build), "file": "../src/core/tensor.cc", "command": "c++ a"},
            {"directory": str(build), "file": "generated/event.pb.cc", "command": "c++ b"},
        ]))
        self.assertEqual({self.root / "src/core/tensor.cc": "c++ a"},
                         tidy.read_commands(build, tidy.Tree(self.root)))

    def test_changed_files_include_new_ones(self):
        def git(*arguments):
            subprocess.run(["git", "-C", str(self.root), "-c", "user.name=a", "-c", "user.email=a@b",
                            *arguments], check=True, capture_output=True)

        git("init", "-q")
        git("add", "-A")
        git("commit", "-q", "-m", "first")
        self.write(self.root, {"src/core/other.cc": "int changed;\n", "src/core/new.cc": "\n"})
        self.assertEqual({self.root / "src/core/other.cc", self.root / "src/core/new.cc"},
                         tidy.changed_files(self.root, "HEAD"))


class BoundedRunTest(unittest.TestCase):
    def test_clean_files_are_remembered_and_time_is_bounded(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            original = tidy.check_file
            self.addCleanup(setattr, tidy, "check_file", original)
            tidy.check_file = lambda path, build: "a.cc:1: warning: bad" if path.name == "a.cc" else ""
            said = []
            work = [(root / "a.cc", "key-a"), (root / "b.cc", "key-b")]
            self.assertEqual((1, 0), tidy.run(tidy.Tree(root), root, [(p.resolve(), k) for p, k in work],
                                              root / "cache", 1, 0, said.append))
            self.assertEqual(["key-b"], [path.name for path in (root / "cache").iterdir()])
            self.assertEqual((0, 2), tidy.run(tidy.Tree(root), root, work, root / "cache", 1, -1, said.append))


if __name__ == "__main__":
    unittest.main()
