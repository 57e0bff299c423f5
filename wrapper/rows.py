"""Reply -> Rows: raw records become canonical values, by the schema of their source.

A row that fails is kept with its reasons, never dropped in silence and never half-accepted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import marshmallow as ma

from adapters.base import Record, Reply
from wrapper import compiled, functions
from wrapper.operation import Field, ReadRule
from wrapper.schema import flat, schema


@dataclass(frozen=True, slots=True)
class BadRow:
    """A record that could not be read: its place in the reply and why, without values."""

    index: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rows:
    """Canonical rows. A `good` row has every field of the contract; None is a value that the back end does not have.

    `age` is in seconds for rows that were kept; `stale` ones are served because the back end is down. `build`, `pages`, `by`: see Reply.
    """

    good: tuple[Mapping[str, Any], ...] = field(repr=False)
    bad: tuple[BadRow, ...]
    backend: str
    as_of: str | None = None
    age: float | None = None
    stale: bool = False
    build: str = ""
    pages: int = 1
    by: str = ""


class Reader:
    """Reads one source's replies, their records as `transform` (a function's name) makes them. Made once per source; thread-safe."""

    def __init__(
        self, fields: Sequence[Field], rules: Mapping[str, ReadRule], packages: Sequence[str] = (), transform: str | None = None
    ) -> None:
        self._transform = functions.of_records(transform, packages)
        self._fields, self._rules = tuple(fields), rules
        self._schema = schema(self._fields, rules, packages)
        self._load, self._dump = compiled.loader(self._schema), compiled.dumper(self._schema)

    def read(self, reply: Reply) -> Rows:
        """Every record is in the result: good, or bad with its reasons. Raises Misread when the transformation fails."""
        good, bad = list[Mapping[str, Any]](), list[BadRow]()
        for n, record in enumerate(self._transform(reply.records, reply.backend)):
            try:
                good.append(self._load(record))
            except Exception:  # noqa: BLE001 - whatever its doubt is, the schema knows
                self._read_slowly(n, record, good, bad)
        return Rows(tuple(good), tuple(bad), reply.backend, reply.as_of, build=reply.build, pages=reply.pages, by=reply.by)

    def _read_slowly(self, n: int, record: Record, good: list[Mapping[str, Any]], bad: list[BadRow]) -> None:
        try:
            good.append(self._schema.load(flat(record, self._fields, self._rules)))
        except ma.ValidationError as error:
            bad.append(BadRow(n, tuple(sentences(error.messages))))

    def dump(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """JSON-ready: decimals as text with their scale, dates as ISO."""
        try:
            return [self._dump(row) for row in rows]
        except Exception:  # noqa: BLE001 - as above
            return self._schema.dump(rows, many=True)  # type: ignore[no-any-return]


def sentences(messages: Any, path: str = "") -> list[str]:
    """marshmallow's nested messages as `field.inner: what is wrong` lines."""
    if isinstance(messages, Mapping):
        return [line for key, inner in messages.items() for line in sentences(inner, f"{path}.{key}" if path else str(key))]
    return [f"{path}: {'missing' if m.startswith(('Missing data', 'Field may not')) else m}" for m in messages]
