"""Where a planted value has got to: every way in which it could have been written down, searched for in whatever was written.

A value is looked for as text in several encodings (EBCDIC among them), as hex, packed decimal, base64 at each of its three alignments,
percent-encoded; in the bytes as they lie and in every gzip, zlib or raw deflate stream that begins in them, so in SQLite's free pages and
its write-ahead log too. What is encrypted can't be found by this, and that is the point.
"""

from __future__ import annotations

import base64
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TEXTS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be", "cp037", "cp273", "cp500", "cp1140")
MOST = 4 * 2**20  # bytes that one compressed stream is followed for


def needles(value: str) -> dict[bytes, str]:
    """What to look for, and how it is called."""
    made: dict[bytes, str] = {}
    for name, text in {"": value, "small ": value.lower(), "capital ": value.upper(), "title ": value.title()}.items():
        made |= {text.encode(code): f"{name}{code}" for code in TEXTS if _fits(text, code)}
    raw = value.encode()
    for data, name in {raw: "", **({value.encode("cp037"): "EBCDIC in "} if _fits(value, "cp037") else {})}.items():
        made |= {data.hex().encode(): f"{name}hex", data.hex().upper().encode(): f"{name}capital hex"}
        made |= dict.fromkeys(_base64(data), f"{name}base64")
    made |= {urllib.parse.quote(value).encode(): "percent", urllib.parse.quote_plus(value).encode(): "plus"}
    made |= {repr(value).encode("unicode_escape")[1:-1]: "escaped"}
    if value.isdigit():
        packed = bytes.fromhex(value if len(value) % 2 == 0 else f"0{value}")
        made |= {packed: "packed", bytes.fromhex(f"{'' if len(value) % 2 else '0'}{value}c"): "COMP-3"}
    return made


def found(value: str, data: bytes) -> str:
    """How it is written in there; '' when it is not."""
    looked = needles(value)
    for part in _readable(data):
        for needle, how in looked.items():
            if needle in part:
                return how
    return ""


def everything(*places: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below, links not followed, with its name, which is written down too."""
    for place in places:
        for file in sorted(place.rglob("*")):
            data = file.read_bytes() if file.is_file() and not file.is_symlink() else b""
            yield str(file.relative_to(place.parent)), str(file.relative_to(place)).encode() + b"\0" + data


def _readable(data: bytes) -> Iterator[bytes]:
    yield data
    for magic, bits in ((b"\x1f\x8b\x08", 31), (b"\x78\x01", 15), (b"\x78\x9c", 15), (b"\x78\xda", 15)):
        at = data.find(magic)
        while at >= 0:
            with suppress(zlib.error):
                yield zlib.decompressobj(bits).decompress(data[at:], MOST)
            at = data.find(magic, at + 1)


def _base64(data: bytes) -> Iterator[bytes]:
    """Its base64 wherever it begins within three bytes: the characters that are of nothing else; of both alphabets."""
    for before in range(3):
        text = base64.b64encode(bytes(before) + data)
        whole = text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def _fits(text: str, code: str) -> bool:
    try:
        text.encode(code)
    except UnicodeEncodeError:
        return False
    return True
