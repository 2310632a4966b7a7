#!/usr/bin/env python3
"""Unpacks parts of an archive and checks what was unpacked, for tools/setup.

  unpack.py zip ARCHIVE DEST PATTERN...   files whose name matches a glob PATTERN, into DEST. `PATTERN=>TO`
                                          puts them under DEST/TO, named by the part after the last
                                          folder that PATTERN spells out.
  unpack.py hash PATH                     sha256 of a file, or of a folder: of its sorted lines
                                          "sha256  relative/path".
  unpack.py mirror                        the Debian mirror this machine already uses: prints its URI, then
                                          the keyring that signs it. Exit 1 where there is none.

Fails (exit 1, one sentence) where a pattern matches nothing: a package that changed its layout must not
pass for unpacked.
"""

import fnmatch
import hashlib
import pathlib
import re
import sys
import zipfile

KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
)
GLOB_CHARS = re.compile(r"[*?\[]")


def fixed_folder(pattern):
    """The folders that `pattern` spells out, with a closing slash: "a/b/" for "a/b/*.so"."""
    parts = pattern.split("/")[:-1]
    fixed = []
    for part in parts:
        if GLOB_CHARS.search(part):
            break
        fixed.append(part)
    return "/".join(fixed) + "/" if fixed else ""


def unpack_zip(archive, dest, patterns):
    dest = pathlib.Path(dest)
    with zipfile.ZipFile(archive) as package:
        names = [name for name in package.namelist() if not name.endswith("/")]
        for spec in patterns:
            pattern, _, target = spec.partition("=>")
            matched = fnmatch.filter(names, pattern)
            if not matched:
                raise SystemExit(f"unpack.py: {archive} holds no file that matches {pattern}")
            for name in matched:
                relative = pathlib.PurePosixPath(name[len(fixed_folder(pattern)):])
                if relative.is_absolute() or ".." in relative.parts:
                    raise SystemExit(f"unpack.py: {archive} holds an unsafe name: {name}")
                path = dest / target / relative
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(package.read(name))


def file_hash(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def content_hash(path):
    path = pathlib.Path(path)
    if path.is_file():
        return file_hash(path)
    lines = [
        f"{file_hash(entry)}  {entry.relative_to(path).as_posix()}\n"
        for entry in path.rglob("*")
        if entry.is_file()
    ]
    # By relative path, so that the result does not depend on how the file system lists them.
    lines.sort(key=lambda line: line.split("  ", 1)[1])
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def deb822_entries(text):
    """Yields (types, uris, suites, components) of each stanza of a .sources file."""
    for stanza in re.split(r"\n\s*\n", text):
        fields = {}
        key = None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace() and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, _, value = line.partition(":")
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        yield tuple(fields.get(name, "").split() for name in ("types", "uris", "suites", "components"))


def one_line_entries(text):
    """Yields the same of each line of a classic sources.list."""
    for line in text.splitlines():
        line = re.sub(r"\[[^]]*\]", " ", line.split("#")[0])
        words = line.split()
        if len(words) >= 4:
            yield ([words[0]], [words[1]], [words[2]], words[3:])


def find_mirror(root=pathlib.Path("/")):
    apt = root / "etc/apt"
    texts = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.is_file() and path.suffix in (".list", ".sources"):
            parse = deb822_entries if path.suffix == ".sources" else one_line_entries
            texts += list(parse(path.read_text(errors="replace")))
    for types, uris, suites, components in texts:
        plain = [suite for suite in suites if re.fullmatch(r"[a-z]+", suite)]
        debian = [uri.rstrip("/") for uri in uris if re.search(r"/debian/?$", uri)]
        if "deb" in types and "main" in components and plain and debian:
            return debian[0]
    return None


def print_mirror():
    uri = find_mirror()
    keyring = next((path for path in KEYRINGS if pathlib.Path(path).is_file()), None)
    if not uri or not keyring:
        raise SystemExit("unpack.py: no Debian mirror with its keyring in /etc/apt/sources.list*")
    print(uri)
    print(keyring)


def main(arguments):
    match arguments:
        case ["zip", archive, dest, *patterns] if patterns:
            unpack_zip(archive, dest, patterns)
        case ["hash", path]:
            print(content_hash(path))
        case ["mirror"]:
            print_mirror()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
