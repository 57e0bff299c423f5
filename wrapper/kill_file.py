"""The local kill switch: a file beside the state store that holds endpoints at legacy while the store can't be told, on this host only.

One endpoint a line, or `*` for all of them: its first word. What follows a `#` is for people: who, when and why. Any editor will do. A file
that is there and can't be read, is no plain text, or is empty, holds everything: whoever made it wanted less of modern, not more.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

NAME = "legacy-only"
ALL = "*"


def read(folder: Path) -> Mapping[str, str]:
    """What is held, each with what was said about it."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except OSError as error:
        return {ALL: f"the file can't be read ({type(error).__name__})"}
    except UnicodeDecodeError:
        return {ALL: "the file is not UTF-8"}
    if not text.strip():
        return {ALL: "the file is empty"}
    if not all(letter.isprintable() or letter.isspace() for letter in text):
        return {ALL: "the file is not plain text"}
    parts = [line.partition("#") for line in text.splitlines()]
    return {name.split()[0]: " ".join(said.split()) for name, _, said in parts if name.strip()}


def holds(held: Collection[str], endpoint: str) -> bool:
    return ALL in held or endpoint in held


def write(folder: Path, held: Mapping[str, str]) -> None:
    """The whole file at once, or not at all; nothing held is no file. Raises OSError."""
    if not held:
        (folder / NAME).unlink(missing_ok=True)
        return
    number, fresh = tempfile.mkstemp(prefix=f"{NAME}.", dir=folder)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as out:
            out.writelines(f"{name}  # {said}\n" for name, said in held.items())
            out.flush()
            os.fsync(out.fileno())
        os.chmod(fresh, 0o644)  # the facade may run as somebody else
        os.replace(fresh, folder / NAME)
    except BaseException:
        os.unlink(fresh)
        raise
