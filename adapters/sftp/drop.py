"""File drops without I/O: what the files are called and hold, and what a half-done publication means.

Publishing is two renames. Everything is uploaded under temporary names first, the trigger file included, so that whether a rename has
happened can always be told afterwards: its source is there or it is gone. Nothing is ever written twice under its real name.

    ''  -- upload data and trigger, check size --> renaming -- rename data --> triggering -- rename trigger --> published

A step is recorded before its act. Where the files do not tell what happened, the outcome is unknown: a reply may still settle it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from adapters.codec.record import EncodeError, RecordCodec
from adapters.errors import Misconfigured, OutcomeUnknown, Refused
from adapters.template import Template

NEW, RENAMING, TRIGGERING, PUBLISHED = "", "renaming", "triggering", "published"
STEPS = (NEW, RENAMING, TRIGGERING, PUBLISHED)
BATCH_ID = re.compile(r"[A-Z0-9]{12}")


@dataclass(frozen=True, slots=True)
class Total:
    """`count(payments)` or `sum(payments.amount)` over the list of the request."""

    list: str
    field: str | None = None

    def value(self, params: Mapping[str, Any]) -> int | Decimal:
        items = params[self.list]
        return len(items) if self.field is None else sum((item[self.field] for item in items), Decimal(0))


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of record and how its fields are filled."""

    codec: RecordCodec
    map: Mapping[str, Template | Total]
    texts: frozenset[str]

    def fill(self, params: Mapping[str, Any]) -> bytes:
        """Raises EncodeError; Misconfigured when a value is of another type than the map says."""
        try:
            return self.codec.encode({name: self._value(name, source, params) for name, source in self.map.items()})
        except (TypeError, KeyError):
            raise Misconfigured("a value of the request does not have the type that the map of the drop needs") from None

    def _value(self, name: str, source: Template | Total, params: Mapping[str, Any]) -> Any:
        if isinstance(source, Template) and name in self.texts:
            return source.render(params)
        return source.value(params)


@dataclass(frozen=True, slots=True)
class Names:
    """Full paths of a drop's files; `done` is '' where the back end wants no trigger."""

    data: str
    data_tmp: str
    done: str
    done_tmp: str


@dataclass(frozen=True, slots=True)
class Drop:
    """A compiled `drop:`. `each` names the list of the request that makes the records, of whose items the map uses `item_uses`; None
    is one record of the request itself."""

    path: Template
    record: Form
    each: str | None
    item_uses: frozenset[str]
    trailer: Form | None
    write_as: str
    done_file: str

    def names(self, batch_id: str) -> Names:
        """Raises Misconfigured for an id that is none: it becomes part of a path."""
        data = path_of(self.path, batch_id)
        done = data + self.done_file if self.done_file else ""
        return Names(data, data + self.write_as, done, done + self.write_as if done else "")

    def encode(self, batch_id: str, params: Mapping[str, Any]) -> bytes:
        """The whole file. Raises Refused, with the record's number and field, for a value that does not fit."""
        items: Sequence[Mapping[str, Any]] = [params] if self.each is None else params[self.each]
        lines = []
        for number, item in enumerate(items, 1):
            if not self.item_uses <= item.keys():
                raise Misconfigured("the map of the drop names a field that an item of the request does not have")
            lines.append(_filled(self.record, {**item, "batch_id": batch_id, "sequence": number}, f"record {number}"))
        if self.trailer is not None:
            lines.append(_filled(self.trailer, {**params, "batch_id": batch_id}, "the trailer"))
        return b"".join(lines)


def _filled(form: Form, params: Mapping[str, Any], where: str) -> bytes:
    try:
        return form.fill(params)
    except EncodeError as bad:
        raise Refused(f"{where}: {bad}") from None


def path_of(template: Template, batch_id: str) -> str:
    """The path of a batch's file. Raises Misconfigured for an id that is none."""
    if not BATCH_ID.fullmatch(batch_id):
        raise Misconfigured("a batch id has 12 characters of A-Z and 0-9")
    return template.render({"batch_id": batch_id}) or ""


def must_rename(*, staged: bool, size: int | None, expected: int) -> bool:
    """Found at `renaming`: is the rename still to be done? `staged`: the temporary file is there; `size` is the real one's, if any."""
    if staged and size is None:
        return True
    if not staged and size == expected:
        return False
    raise OutcomeUnknown("it can't be told from the files whether the batch was published")


def must_trigger(*, staged: bool, done: bool, data: bool) -> bool:
    """Found at `triggering`: is the trigger still to be given? A trigger that is no longer staged was given, whoever took it since."""
    if not staged or done:
        return False
    if data:
        return True
    raise OutcomeUnknown("the batch was taken without its trigger")


def ready(names: frozenset[str], file: str, done_file: str) -> bool:
    """Whether a folder's listing says that a file is complete."""
    return file in names and file + done_file in names
