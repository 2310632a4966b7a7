"""Runs clang-tidy over compile_commands.json in parallel, skipping what was clean before.

A file is clean when clang-tidy found nothing, and stays so as long as its text, the text of every file of ours
that it includes (directly or not), its compile command, .clang-tidy and clang-tidy itself are the same: their
hash names an empty file in the cache. So a second run takes a moment, and a header checks its includers again.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import time

TOOL = "clang-tidy-19"
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
# GCC's names of warnings and what libFuzzer's flags mean are no concern of clang-tidy.
EXTRA = ("--extra-arg=-Wno-unknown-warning-option", "--extra-arg=-Wno-unused-command-line-argument")


class Tree:
    """The sources below a root, and what includes what."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self._hashes = {}
        self._includes = {}

    def text(self, path):
        return path.read_text(encoding="utf-8", errors="replace")

    def hash_of(self, path):
        if path not in self._hashes:
            self._hashes[path] = hashlib.sha256(self.text(path).encode()).hexdigest()
        return self._hashes[path]

    def resolve(self, include, beside):
        for folder in (self.root / "src", self.root, beside.parent):
            path = folder / include
            if path.is_file():
                return path.resolve()
        return None

    def includes(self, path):
        if path not in self._includes:
            found = (self.resolve(name, path) for name in INCLUDE.findall(self.text(path)))
            self._includes[path] = [other for other in found if other]
        return self._includes[path]

    def closure(self, path):
        """The file and every file of ours that it includes, directly or not; sorted."""
        seen = set()
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current not in seen:
                seen.add(current)
                waiting += self.includes(current)
        return sorted(seen)


def read_commands(build_dir, tree):
    """{source of ours: compile command} from compile_commands.json; generated files are left out."""
    commands = {}
    entries = json.loads((pathlib.Path(build_dir) / "compile_commands.json").read_text())
    for entry in entries:
        path = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
        inside = any(path.is_relative_to(tree.root / folder) for folder in ("src", "test"))
        if inside and path.is_file():
            commands[path] = entry.get("command") or shlex.join(entry.get("arguments", []))
    return commands


def fingerprint(path, command, tree, environment):
    """Changes with everything that clang-tidy's answer depends on. `environment` is the tool and its settings."""
    digest = hashlib.sha256(environment.encode())
    # Where the tree lies must not matter: a fresh clone is as clean as the old one.
    digest.update(command.replace(str(tree.root), "").encode())
    for file in tree.closure(path):
        digest.update(file.relative_to(tree.root).as_posix().encode())
        digest.update(tree.hash_of(file).encode())
    return digest.hexdigest()


def changed_files(root, base):
    """Files that differ from commit `base`, new and uncommitted ones included."""
    def git(*arguments):
        output = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
        return output.stdout.splitlines()

    names = git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard")
    return {(pathlib.Path(root) / name).resolve() for name in names}


def newest_first(root, paths):
    """Recently committed files first, so that a bounded run looks at what is new."""
    log = subprocess.run(["git", "-C", str(root), "log", "--format=", "--name-only", "-n", "400"],
                         capture_output=True, text=True, check=False).stdout.splitlines()
    order = {}
    for number, name in enumerate(log):
        order.setdefault((pathlib.Path(root) / name).resolve(), number)
    # Files that no commit names are the newest of all.
    return sorted(paths, key=lambda path: (order.get(path, -1), str(path)))


def check_file(path, build_dir):
    """clang-tidy's words about one file, "" where it is clean."""
    result = subprocess.run([TOOL, "--quiet", "-p", str(build_dir), *EXTRA, str(path)],
                            capture_output=True, text=True, check=False)
    if result.returncode == 0 and "warning:" not in result.stdout:
        return ""
    return (result.stdout + result.stderr).strip() or f"{path}: {TOOL} exited {result.returncode}"


def run(tree, build_dir, work, cache, jobs, seconds, say):
    """Checks [(path, fingerprint)]; returns (files with findings, files left for lack of time)."""
    cache.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds if seconds else None
    findings = 0
    left = 0

    def one(item):
        path, key = item
        if deadline and time.monotonic() > deadline:
            return path, None
        words = check_file(path, build_dir)
        if not words:
            (cache / key).touch()
        return path, words

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for number, (path, words) in enumerate(pool.map(one, work), 1):
            if words is None:
                left += 1
            elif words:
                findings += 1
                say(words)
            else:
                say(f"[{number}/{len(work)}] {path.relative_to(tree.root)}")
    return findings, left


def environment_text(root):
    version = subprocess.run([TOOL, "--version"], capture_output=True, text=True, check=True).stdout
    return version + (pathlib.Path(root) / ".clang-tidy").read_text()


def default_cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "selvedge" / "tidy"
