"""A 3270 screen as s3270's ReadBuffer(Ascii) tells it, and what definitions make of it. Sans-IO.

ReadBuffer prints one `data:` line per row and one token per cell: hexadecimal UTF-8 for a character, `SF(c0=xx,...)` for a field's
attribute byte (GA23-0059: 0x20 protected, 0x10 numeric, 0x0c hidden), `SA(...)` for a change of colour, which takes no cell, and
`GE(xx)` for a graphic escape.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.tn3270.definition import Definition, Field, Place, Table

_ORDER = re.compile(r"(?:SF\(c0=([0-9a-f]{2})[^)]*\)|GE\(([0-9a-f]+)\)|SA\([^)]*\)) ?")
_MARK = "01 "  # no cell holds it: s3270 shows a control character as a blank

Row = tuple[str, tuple[tuple[int, int], ...]]  # a row's characters, and its attribute bytes by column from 0


@dataclass(frozen=True, slots=True)
class Screen:
    """What is shown now. `lines` have one character per cell, attribute bytes and nulls as blanks; `attributes` are (cell, byte) in
    order, a cell being (row - 1) * columns + column - 1. Nothing of it is in its repr: it may be somebody's data."""

    rows: int
    columns: int
    lines: tuple[str, ...] = field(repr=False)
    attributes: tuple[tuple[int, int], ...] = field(repr=False)
    locked: bool

    def at(self, row: int, column: int, length: int) -> str:
        """The text at a position; short or '' where it leaves the screen."""
        return self.lines[row - 1][column - 1 : column - 1 + length] if row <= self.rows else ""

    def text(self, field: Field) -> str:
        """A field's text, blanks at its end stripped."""
        return self.at(field.row, field.column, field.length).rstrip()

    def room(self, field: Field) -> int:
        """How many characters the host's own field takes from here; 0 where it is protected."""
        if not self.attributes:
            return field.length
        start, cell, end = self.around(field.row, field.column)
        return 0 if self.attributes[start][1] & 0x20 else end - cell

    def around(self, row: int, column: int) -> tuple[int, int, int]:
        """The index of the attribute that rules a position, the position's cell, and the cell after its field."""
        cell = (row - 1) * self.columns + column - 1
        after = bisect_left(self.attributes, (cell, 0))
        first = self.attributes[0][0] + self.rows * self.columns
        return after - 1, cell, self.attributes[after][0] if after < len(self.attributes) else first


def typed(screen: Screen, entries: Sequence[tuple[int, int, str]]) -> Screen | None:
    """What it shows when each (row, column, text) was typed over a field that was erased from there on, which marks it (0x01). None
    where that can't be foretold."""
    cells, attributes = "".join(screen.lines), list(screen.attributes)
    for row, column, text in entries:
        if not attributes:
            return None
        rules, cell, end = screen.around(row, column)
        if not cell + len(text) <= end <= len(cells):
            return None
        cells = cells[:cell] + text.ljust(end - cell) + cells[end:]
        attributes[rules] = attributes[rules][0], attributes[rules][1] | 0x01
    lines = tuple(cells[at : at + screen.columns] for at in range(0, len(cells), screen.columns))
    return Screen(screen.rows, screen.columns, lines, tuple(attributes), screen.locked)


def parse(data: Sequence[bytes], status: str, known: Mapping[bytes, Row]) -> tuple[Screen, dict[bytes, Row]]:
    """The answer to ReadBuffer(Ascii) with its status line, and its rows, which save work when they are `known` to the next one: most
    of a screen stays. Raises ValueError for anything else."""
    words = status.split(" ")
    rows, columns = int(words[6]), int(words[7])
    if len(data) != rows:
        raise ValueError(f"{len(data)} rows of {rows}")
    parsed = {text: known.get(text) or _row(text.decode()) for text in data}
    if any(len(line) != columns for line, _ in parsed.values()):
        raise ValueError(f"a row that is not {columns} cells")
    shown = [parsed[text] for text in data]
    attributes = tuple((n * columns + at, byte) for n, (_, marks) in enumerate(shown) for at, byte in marks)
    return Screen(rows, columns, tuple(line for line, _ in shown), attributes, words[0] != "U"), parsed


def _row(text: str) -> Row:
    """Each attribute is one cell; it stands as a mark in the text until its column is known."""
    bytes_: list[int] = []

    def order(met: re.Match[str]) -> str:
        if met[1]:
            bytes_.append(int(met[1], 16))
            return _MARK
        return met[2] + " " if met[2] else ""

    plain = _ORDER.sub(order, text) if "(" in text else text
    line = bytes.fromhex(plain).decode().replace("\0", " ")
    if not bytes_:
        return line, ()
    columns = [at for at, character in enumerate(line) if character == "\1"]
    return line.replace("\1", " "), tuple(zip(columns, bytes_, strict=True))


def shows(screen: Screen, place: Place) -> bool:
    return place.row <= screen.rows and screen.lines[place.row - 1].startswith(place.text, place.column - 1)


def recognise(screen: Screen, definitions: Iterable[Definition]) -> Definition | None:
    """The screen whose identifying texts all hold; where several do, the one that asks for most."""
    fits = [d for d in definitions if d.columns == screen.columns and _identified(screen.lines, d)]
    return max(fits, key=lambda d: sum(len(place.text) for place in d.identify), default=None)


def _identified(lines: Sequence[str], definition: Definition) -> bool:
    """Asked of every screen there is, at every step: hence no generators."""
    if definition.rows > len(lines):
        return False
    for place in definition.identify:  # noqa: SIM110
        if not lines[place.row - 1].startswith(place.text, place.column - 1):
            return False
    return True


def whole(screen: Screen, definition: Definition, *, answer: bool) -> bool:
    """Whether all is painted: an answer, or else whatever one may type on."""
    last = definition.ready if answer else (*definition.ready, *definition.prompt)
    return not definition.ready or any(shows(screen, place) for place in last)


def record(screen: Screen, definition: Definition) -> dict[str, str | None]:
    """Every field that is not hidden; None where it is blank."""
    return {name: screen.text(f) or None for name, f in definition.fields.items() if not f.hidden}


def rows(screen: Screen, table: Table) -> list[dict[str, str | None]]:
    """The table's rows that are not blank."""
    found = (
        {c.name: screen.at(row, c.column, c.length).rstrip() or None for c in table.columns} for row in range(table.first, table.last + 1)
    )
    return [row for row in found if any(row.values())]


def told(screen: Screen, definitions: Mapping[str, Definition], expected: Iterable[str]) -> str:
    """What should identify the expected screens and what stands there. Only literal text of a definition is shown as it is, all other
    cells as their shape: there may be a customer's data."""
    places = {place for d in definitions.values() for place in (*d.identify, *d.ready, *d.prompt)}
    lines = []
    for name in expected:
        for place in definitions[name].identify:
            met = screen.at(place.row, place.column, len(place.text))
            shown = met if Place(place.row, place.column, met) in places else shape(met)
            lines.append(f"{name} has '{place.text}' at [{place.row}, {place.column}], met '{shown}'")
    return "; ".join(lines)


def shape(text: str) -> str:
    """Letters as A, digits as 9."""
    return "".join("A" if c.isalpha() else "9" if c.isnumeric() else c for c in text)
