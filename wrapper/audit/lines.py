"""What an audit trail is made of: lines of JSON, each numbered and bound to the one before it by that one's SHA-256.

    <audit folder>/<writer>/000001.log      {"n":1,"prev":"00...","kind":"segment","writer":...}
                                            {"n":2,"prev":"<SHA-256 of the line above>","kind":"read","at":...}

A chain goes on over its segments. Whoever changes, takes away or moves a line breaks all that follow; see verify.py. Pure.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

START = "0" * 64
"""What the first line of a chain is bound to."""


def packed(about: Mapping[str, Any]) -> bytes:
    """A record, without its place in a chain."""
    try:
        return orjson.dumps(about)
    except TypeError:  # half a character, which no caller should be able to fail the trail with
        return json.dumps(about, default=str, separators=(",", ":")).encode("ascii")


def linked(n: int, prev: str, body: bytes) -> bytes:
    """A record at its place, without the newline."""
    return b"%s%s" % (beginning(n, prev), body[1:])


def beginning(n: int, prev: str) -> bytes:
    """How the line at this place must begin."""
    return b'{"n":%d,"prev":"%s",' % (n, prev.encode())


def digest(line: bytes) -> str:
    """What the next line is bound to."""
    return hashlib.sha256(line).hexdigest()


def now() -> str:
    """For a record."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def segment(number: int) -> str:
    """The file's name."""
    return f"{number:06}.log"


def segments(writer: Path) -> list[Path]:
    """A writer's files, in order; a name that is none of ours is left alone."""
    return sorted(path for path in writer.glob("[0-9]*.log") if path.stem.isdecimal() and path.name == segment(int(path.stem)))


def writers(folder: Path) -> list[Path]:
    """The folders of all writers, in order of their starts."""
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
