"""Looking at the trail: records by who, by endpoint, by time; by a person through the keys that the store still has of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from wrapper.audit import lines
from wrapper.audit.tokens import token
from wrapper.subjects import Subject


def tokens(keys: Callable[[Subject], list[bytes]], subject: Subject) -> list[str]:
    """All that a person appears as; none once they were forgotten."""
    return [token(key, subject) for key in keys(subject)]


def records(
    folder: Path, who: str | None = None, operation: str | None = None, tokens: Collection[str] | None = None, since: str = ""
) -> Iterator[dict[str, Any]]:
    """Those that all of this is true of, with their writers. What is no record is passed over: verify tells of it."""
    wanted = None if tokens is None else frozenset(tokens)
    for writer in lines.writers(folder):
        for file in lines.segments(writer):
            with file.open("rb") as opened:
                for line in opened:
                    record = _read(line)
                    if record.get("at", "") < since or (who is not None and not _is(who, str(record.get("who")))):
                        continue
                    if operation is not None and record.get("op") != operation:
                        continue
                    if wanted is None or not wanted.isdisjoint(record.get("subjects", ())):
                        yield {"writer": writer.name, **record}


def _is(who: str, said: str) -> bool:
    """By the bare name too, whatever issuer or tenant it is of: whoever looks for what a name has seen must not miss it."""
    return said == who or said.endswith((f":{who}", f"/{who}"))


def _read(line: bytes) -> dict[str, Any]:
    try:
        made: dict[str, Any] = json.loads(line)
    except ValueError:
        return {}
    return made
