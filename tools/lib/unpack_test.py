"""Tests of what tools/setup unpacks with, and of how it finds the machine's Debian mirror."""

import pathlib
import sys
import tempfile
import unittest
import zipfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import unpack  # noqa: E402  (the path must be known first)


class UnpackTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.archive = self.root / "a.whl"
        with zipfile.ZipFile(self.archive, "w") as package:
            package.writestr("engine/libs/libengine.so.1", "library")
            package.writestr("engine/include/engine/api.h", "header")
            package.writestr("engine/other.py", "script")
            package.writestr("engine/bad/../../../outside", "trap")

    def names(self):
        out = self.root / "out"
        return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())

    def test_takes_only_what_matches_and_renames_the_folder(self):
        unpack.unpack_zip(self.archive, self.root / "out", [
            "engine/libs/*.so.*=>lib", "engine/include/engine/*=>include/engine"])
        self.assertEqual(["include/engine/api.h", "lib/libengine.so.1"], self.names())

    def test_a_pattern_that_matches_nothing_fails(self):
        with self.assertRaisesRegex(SystemExit, "no file that matches"):
            unpack.unpack_zip(self.archive, self.root / "out", ["engine/lib/*"])

    def test_a_name_that_leaves_the_folder_fails(self):
        with self.assertRaisesRegex(SystemExit, "unsafe"):
            unpack.unpack_zip(self.archive, self.root / "out", ["engine/bad/*"])
        self.assertFalse((self.root / "outside").exists())

    def test_hash_of_a_folder_depends_on_names_and_contents_only(self):
        def tree(name, files):
            for file, text in files:
                path = self.root / name / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return unpack.content_hash(self.root / name)

        first = tree("1", [("a", "x"), ("b/c", "y")])
        self.assertEqual(first, tree("2", [("b/c", "y"), ("a", "x")]))
        self.assertNotEqual(first, tree("3", [("a", "x"), ("b/c", "z")]))
        self.assertNotEqual(first, tree("4", [("a", "x"), ("b/d", "y")]))


class MirrorTest(unittest.TestCase):
    def find(self, name, text):
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root) / "etc/apt" / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
            return unpack.find_mirror(pathlib.Path(root))

    def test_reads_stanzas(self):
        self.assertEqual("http://mirror.test/debian", self.find("sources.list.d/debian.sources", """
# the security archive has no trixie
Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://mirror.test/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""))

    def test_reads_lines(self):
        self.assertEqual("https://mirror.test/debian", self.find("sources.list", """
# deb http://old.test/debian bookworm main
deb-src http://sources.test/debian bookworm main
deb [arch=amd64 signed-by=/x.gpg] https://mirror.test/debian trixie main contrib  # ours
"""))

    def test_a_disabled_stanza_and_another_archive_do_not_count(self):
        self.assertIsNone(self.find("sources.list.d/a.sources", """
Enabled: no
Types: deb
URIs: http://mirror.test/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://other.test/tools
Suites: stable
Components: main
"""))


if __name__ == "__main__":
    unittest.main()
