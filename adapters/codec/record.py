"""Records to values and back, by closures compiled once per layout.

Values are int for whole numbers, Decimal at the picture's own scale, str for text (trailing blanks are the padding and are dropped),
a list where an item OCCURS, and of mappings where a group does. Nothing is rounded, cut or replaced: what does not fit
is an EncodeError, what is no such value a DecodeError. Neither ever shows the value.

A numeric field full of blanks or of low-values is a fault too, unless `blank` says that it stands for None there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adapters.codec.ebcdic import SPACE, CodePage, code_page
from adapters.codec.layout import Field, Layout, Part, Table
from adapters.codec.leaf import FILLS, Blank, Read, Write, leaf
from adapters.codec.numeric import Unfit
from adapters.codec.source import CopybookError


class DecodeError(ValueError):
    """Bytes that are not what the copybook says: in which field, of which record, at which byte of the data."""

    def __init__(self, field: str, record: int, offset: int, reason: str) -> None:
        super().__init__(f"{field or 'record'} of record {record}, byte {offset}: {reason}")
        self.field, self.record, self.offset, self.reason = field, record, offset, reason


class EncodeError(ValueError):
    """A value that the field does not take."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class _Spoilt(Exception):
    """A DecodeError that does not yet know which record it is in."""

    def __init__(self, field: str, at: int, reason: str) -> None:
        self.field, self.at, self.reason = field, at, reason


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RecordCodec:
    """What compile_record() makes. `constants` are the named fields that have a VALUE, as decode() would give them."""

    layout: Layout
    constants: Mapping[str, Any]
    _read: Read
    _write: Write
    _fields: Mapping[str, tuple[slice, Write]]

    @property
    def length(self) -> int:
        """Bytes of a record."""
        return self.layout.length

    def decode(self, data: bytes, record: int = 1, offset: int = 0) -> dict[str, Any]:
        """The record that begins at `offset` of `data`; `record` is its number for errors. Raises DecodeError."""
        if len(data) - offset < self.length:
            raise DecodeError("", record, offset, f"expected {self.length} bytes, met {max(0, len(data) - offset)}")
        try:
            values: dict[str, Any] = self._read(data, offset)
        except _Spoilt as bad:
            raise DecodeError(bad.field, record, bad.at, bad.reason) from None
        return values

    def encode(self, values: Mapping[str, Any]) -> bytes:
        """Every named field needs a value, save those with a VALUE; an absent text may be None. Raises EncodeError."""
        out = bytearray([SPACE]) * self.length
        self._write(out, 0, values)
        return bytes(out)

    def where(self, name: str) -> slice:
        """The bytes of a field that does not occur several times. Raises KeyError."""
        return self._fields[name][0]

    def field_bytes(self, name: str, value: Any) -> bytes:
        """What where(name) must hold for this value. Raises EncodeError, KeyError."""
        place, write = self._fields[name]
        out = bytearray(place.stop)
        try:
            write(out, place.start, value)
        except Unfit as bad:
            raise EncodeError(name, str(bad)) from None
        return bytes(out[place])


def compile_record(layout: Layout, codepage: str, blank: Mapping[str, Collection[Blank]] | None = None) -> RecordCodec:
    """`blank` names the numeric fields that may be all SPACES or all LOW-VALUES and then are None. Raises ValueError."""
    page, blanks = code_page(codepage), blank or {}
    for name, kinds in blanks.items():
        _check_blank(layout, name, kinds)
    constants: dict[str, Any] = {}
    read, write = _scope(layout.parts, page, blanks, constants)
    fields = {
        part.name: (slice(part.offset, part.offset + part.length), leaf(part, page, blanks.get(part.name, ()))[1])
        for part in layout.parts
        if isinstance(part, Field) and part.name and part.count is None
    }
    return RecordCodec(layout, constants, read, write, fields)


def _check_blank(layout: Layout, name: str, kinds: Collection[Blank]) -> None:
    field = next((part for part in layout.parts if part.name == name), None)
    if not isinstance(field, Field) or field.picture.kind != "number":
        raise ValueError(f"{name} is not a numeric field of the copybook")
    if field.item.usage in ("binary", "native"):
        raise ValueError(f"{name} is binary: blanks and low-values are numbers there")
    if unknown := set(kinds) - {"SPACES", "LOW-VALUES"}:
        raise ValueError(f"{name}: {', '.join(sorted(unknown))} is neither SPACES nor LOW-VALUES")


def _scope(parts: Sequence[Part], page: CodePage, blanks: Mapping[str, Collection[Blank]], constants: dict[str, Any]) -> tuple[Read, Write]:
    """Reader and writer of the fields of a record, or of one occurrence of a table."""
    reads: list[tuple[str, int, Read]] = []
    writes: list[tuple[str, int, Write, bytes | None]] = []
    for part in parts:
        if isinstance(part, Table):
            read, write = _many(*_scope(part.parts, page, {}, {}), part.length, part.count)
            constant = None
        else:
            read, write = leaf(part, page, blanks.get(part.name, ()))
            constant = _constant(part, page, write)
            if constant is not None and part.name and part.count is None:
                constants[part.name] = read(constant, 0)
            if part.count is not None:
                constant = constant and constant * part.count
                read, write = _many(read, write, part.length, part.count)
        if part.name:
            reads.append((part.name, part.offset, read))
        if part.name or constant is not None:
            writes.append((part.name, part.offset, write, constant))
    return _reader(reads), _writer(writes)


def _reader(reads: Sequence[tuple[str, int, Read]]) -> Read:
    def read_all(data: bytes, at: int) -> dict[str, Any]:
        values = {}
        for name, offset, read in reads:
            try:
                values[name] = read(data, at + offset)
            except Unfit as bad:
                raise _Spoilt(name, at + offset, str(bad)) from None
        return values

    return read_all


def _writer(writes: Sequence[tuple[str, int, Write, bytes | None]]) -> Write:
    names = frozenset(name for name, _, _, _ in writes if name)

    def write_all(out: bytearray, at: int, values: Any) -> None:
        if not isinstance(values, Mapping):
            raise Unfit("expected a mapping of fields to values")
        if unknown := values.keys() - names:
            raise EncodeError(min(unknown), "the copybook has no such field")
        for name, offset, write, constant in writes:
            if name in values:
                try:
                    write(out, at + offset, values[name])
                except Unfit as bad:
                    raise EncodeError(name, str(bad)) from None
            elif constant is not None:
                out[at + offset : at + offset + len(constant)] = constant
            else:
                raise EncodeError(name, "has no value")

    return write_all


def _many(read: Read, write: Write, length: int, count: int) -> tuple[Read, Write]:
    def read_many(data: bytes, at: int) -> list[Any]:
        return [read(data, start) for start in range(at, at + count * length, length)]

    def write_many(out: bytearray, at: int, values: Any) -> None:
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) != count:
            raise Unfit(f"expected a list of {count}")
        for n, value in enumerate(values):
            write(out, at + n * length, value)

    return read_many, write_many


def _constant(field: Field, page: CodePage, write: Write) -> bytes | None:
    """The bytes of one occurrence by its VALUE; zeros for a numeric FILLER, so that the record stays readable; None otherwise."""
    item = field.item
    if item.figurative is not None and (field.picture.kind == "text" or item.figurative != "ZEROS"):
        return bytes([FILLS[item.figurative]]) * field.length
    value = 0 if item.figurative == "ZEROS" or (item.value is None and not item.name and field.picture.kind == "number") else item.value
    if value is None:
        return None
    out = bytearray(field.length)
    try:
        write(out, 0, value)
    except Unfit as bad:
        raise CopybookError(item.line, f"{item.name or 'FILLER'}: its VALUE: {bad}") from None
    return bytes(out)
