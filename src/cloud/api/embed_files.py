#!/usr/bin/env python3
"""Writes the files that are part of the program as C++: embed_files.py OUT.cc PATH=FILE... FOLDER

A FOLDER's files go under "/". The same files give the same output.
"""

import gzip
import hashlib
import pathlib
import sys

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8",
}


def literal(content):
    """A C++ array of bytes."""
    rows = []
    for begin in range(0, len(content), 32):
        rows.append(",".join(str(byte) for byte in content[begin : begin + 32]))
    return "{" + ",\n".join(rows) + "}"


def main():
    out, *sources = sys.argv[1:]
    files = {}
    for source in sources:
        if "=" in source:
            path, _, name = source.partition("=")
            files[path] = pathlib.Path(name)
            continue
        folder = pathlib.Path(source)
        for name in sorted(folder.rglob("*")):
            if name.is_file():
                files["/" + name.relative_to(folder).as_posix()] = name
    text = ['#include "cloud/api/embedded_files.h"', "", "namespace selvedge {", "namespace {", ""]
    table = []
    for index, (path, name) in enumerate(sorted(files.items())):
        content = name.read_bytes()
        packed = gzip.compress(content, compresslevel=9, mtime=0)
        if len(packed) * 10 > len(content) * 9:
            packed = b""
        text.append(f"constexpr unsigned char kContent{index}[] = {literal(content or b' ')};")
        if packed:
            text.append(f"constexpr unsigned char kGzip{index}[] = {literal(packed)};")
        etag = '\\"' + hashlib.sha256(content).hexdigest()[:32] + '\\"'
        kind = TYPES.get(name.suffix, "application/octet-stream")
        view = f"View(kContent{index}, {len(content)})"
        gzip_view = f"View(kGzip{index}, {len(packed)})" if packed else "{}"
        table.append(f'    {{"{path}", "{kind}", {view}, {gzip_view}, "{etag}"}},')
    text += [
        "",
        "std::string_view View(const unsigned char* bytes, std::size_t size) {",
        "  return {reinterpret_cast<const char*>(bytes), size};",
        "}",
        "",
        "}  // namespace",
        "",
        "std::span<const EmbeddedFile> EmbeddedFiles() {",
        "  static const EmbeddedFile kFiles[] = {",
        *table,
        "  };",
        "  return kFiles;",
        "}",
        "",
        "}  // namespace selvedge",
        "",
    ]
    pathlib.Path(out).write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
