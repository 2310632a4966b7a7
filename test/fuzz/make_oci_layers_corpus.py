#!/usr/bin/env python3
"""Writes the seeds of oci_layers_fuzz into corpus/oci_layers: layers that nobody honest would make.

The first byte says how the rest is packed (0 plain, 1 gzip, 2 zstd: modulo 3) and, from 128 on, that the second
half is another layer. Seeds are plain where they can be, so that the fuzzer's changes reach the tar.
"""

import gzip
import io
import pathlib
import tarfile

OUT = pathlib.Path(__file__).parent / "corpus" / "oci_layers"


def entry(name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"", link: str = "", **fields: object) -> tuple:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def tar(*entries: tuple, form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    for info, data in entries:
        out.write(info.tobuf(form))
        out.write(data + b"\0" * (-len(data) % 512))
    out.write(b"\0" * 1024)
    return out.getvalue()


def two_layers(first: bytes, second: bytes) -> bytes:
    """The fuzzer cuts in the middle, at a block."""
    size = max(len(first), len(second))
    return first.ljust(size, b"\0") + second.ljust(size, b"\0")


UP = "../" * 12
SYM, HARD, DIR = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE

PLAIN = {
    "files": tar(entry("./", DIR), entry("etc/", DIR), entry("etc/name", data=b"x" * 700), entry("a/b/c", data=b"1")),
    "dotdot": tar(entry("../secret", data=b"x"), entry("a/../../secret", data=b"x")),
    "absolute": tar(entry("/etc/passwd", data=b"x")),
    "link_out": tar(entry("l", SYM, link="/dev/shm"), entry("l/planted", data=b"x")),
    "link_up": tar(entry("l", SYM, link=UP + "dev/shm"), entry("l/x/planted", data=b"x")),
    "link_target": tar(entry("l", SYM, link="../target"), entry("l/secret", data=b"x"), entry("l/.wh.secret")),
    "link_loop": tar(entry("a", SYM, link="b"), entry("b", SYM, link="a"), entry("a/x", data=b"x")),
    "link_proc": tar(entry("p", SYM, link="/proc/self/root"), entry("p/dev/shm/x", data=b"x")),
    "hard_out": tar(entry("l", SYM, link="../outside"), entry("h", HARD, link="l/secret"), entry("h", data=b"x")),
    "hard_self": tar(entry("a", data=b"1"), entry("a", HARD, link="a"), entry("b", HARD, link="missing")),
    "replace": tar(entry("a/b", data=b"1"), entry("a", data=b"2"), entry("a", SYM, link="."), entry("a/c", data=b"3")),
    "whiteouts": tar(entry("d/x", data=b"1"), entry("d/.wh.x"), entry("d/.wh..wh..opq"), entry(".wh..."), entry(".wh.")),
    "devices": tar(entry("dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1), entry("f", tarfile.FIFOTYPE)),
    "setuid": tar(entry("su", data=b"x", mode=0o6755, uid=1 << 33), entry("s", DIR, mode=0o1777)),
    "long": tar(entry("d/" * 140 + "f", data=b"1"), entry("x" * 300, data=b"2"), form=tarfile.GNU_FORMAT),
    "pax": tar(entry("grö" * 60, data=b"1"), entry("l", SYM, link="文" * 90), entry("big", size=1 << 40)),
    "declared": tar(entry("huge", size=1 << 33)),
    "sparse": tar(
        entry("s", pax_headers={"GNU.sparse.size": str(1 << 40), "GNU.sparse.numblocks": "1", "GNU.sparse.map": f"{1 << 40},0"})
    ),
}
LATER = {
    "later_link": (tar(entry("l", SYM, link="../outside")), tar(entry("l/secret", data=b"x"), entry("l/.wh..wh..opq"))),
    "later_root": (tar(entry("l", SYM, link="/")), tar(entry("l/../l/x", data=b"x"), entry("l/l/l/y", data=b"y"))),
    "later_type": (tar(entry("a/b/c", data=b"1")), tar(entry("a/b", SYM, link="../.."), entry("a/b/x", data=b"x"))),
    "later_hide": (tar(entry("a/b", data=b"1"), entry("c", data=b"1")), tar(entry(".wh.a"), entry("a/n"), entry(".wh.c"))),
}


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for name, layer in PLAIN.items():
        (OUT / name).write_bytes(b"\0" + layer)
    for name, (first, second) in LATER.items():
        (OUT / name).write_bytes(b"\x81" + two_layers(first, second))  # 129 % 3 = 0, two layers
    (OUT / "gzip").write_bytes(b"\1" + gzip.compress(PLAIN["files"], mtime=0))
    (OUT / "gzip_bomb").write_bytes(b"\1" + gzip.compress(tar(entry("zeros", data=b"\0" * (4 << 20))), mtime=0))
    (OUT / "gzip_twice").write_bytes(b"\1" + gzip.compress(gzip.compress(PLAIN["files"], mtime=0), mtime=0))


if __name__ == "__main__":
    main()
