"""The caller's values -> typed parameters, by the same marshmallow fields that read back ends.

Values come as the transport found them: path, query and headers as text, the body as JSON. Unknown names are refused: a
misspelt filter that is ignored answers another question than the one asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from wrapper import compiled
from wrapper.operation import Field, Operation, Where
from wrapper.problems import Invalid
from wrapper.request import Given
from wrapper.rows import sentences
from wrapper.schema import schema

MOST_TOLD = 50  # errors of one request: a body has room for very many
_WHERES: tuple[Where, ...] = ("path", "query", "header", "body")


class Params:
    """Loads one operation's parameters. Made once per operation; thread-safe."""

    def __init__(self, operation: Operation) -> None:
        self._fields: dict[Where, list[Field]] = {w: [p.field for p in operation.params if p.where == w] for w in _WHERES}
        self._schemas = {where: schema(fields, {}, strict=True) for where, fields in self._fields.items()}
        self._loads = {where: compiled.loader(made, strict=True) for where, made in self._schemas.items()}

    def load(self, given: Given) -> dict[str, Any]:
        """All parameters by name; an optional one that was not given is None. Raises Invalid with every fault found."""
        loaded: dict[str, Any] = {}
        try:
            for where, load in self._loads.items():
                loaded |= load(getattr(given, where))
        except Exception:  # noqa: BLE001 - whatever its doubt is, the schemas know
            return self._load_slowly(given)
        return loaded

    def _load_slowly(self, given: Given) -> dict[str, Any]:
        loaded: dict[str, Any] = {}
        errors: list[dict[str, str]] = []
        for where, made in self._schemas.items():
            try:
                loaded |= made.load(getattr(given, where))
            except ma.ValidationError as error:
                errors += [_error(where, line) for line in sentences(error.messages)]
        if errors:
            raise Invalid("; ".join(f"{e['in']} {e['name']}: {e['reason']}" for e in errors[:3]), errors=errors[:MOST_TOLD])
        return loaded

    def place(self, values: Mapping[str, Any]) -> Given:
        """Values by name only, put where the operation wants them; a name it does not know goes to the query, which refuses it."""
        places: dict[Where, dict[str, Any]] = {w: {} for w in _WHERES}
        for name, value in values.items():
            where: Where = next((w for w, fields in self._fields.items() if any(f.name == name for f in fields)), "query")
            places[where][name] = value
        return Given(**places)


def _error(where: str, line: str) -> dict[str, str]:
    name, _, reason = line.partition(": ")
    return {"in": where, "name": name, "reason": "is not a parameter of this endpoint" if reason == "Unknown field." else reason}
