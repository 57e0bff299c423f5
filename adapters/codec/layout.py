"""Where the items of a record lie: offsets and lengths, groups flattened, one view chosen where items redefine each other.

Names are flat. A plain group disappears into its items; a group that OCCURS stays, as a Table with names of its own. A name declared
twice in one scope is qualified as COBOL does it, `AMOUNT OF DEBIT`; where that is not enough the copybook is refused.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from adapters.codec.copybook import Item
from adapters.codec.picture import Picture
from adapters.codec.source import CopybookError


@dataclass(frozen=True, slots=True)
class Field:
    """An elementary item: `length` is of one occurrence, `count` None unless it OCCURS. `offset` is from its scope's start."""

    name: str
    offset: int
    length: int
    picture: Picture
    item: Item
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A group that OCCURS `count` times, each time `length` bytes; offsets of its `parts` are from the start of one occurrence."""

    name: str
    offset: int
    length: int
    count: int
    parts: tuple[Part, ...]
    item: Item


Part = Field | Table


@dataclass(frozen=True, slots=True)
class Layout:
    """A record of `length` bytes."""

    name: str
    length: int
    parts: tuple[Part, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its values, FILLER left out."""
        return tuple(part.name for part in self.parts if part.name)


def lay_out(record: Item, views: Collection[str] = ()) -> Layout:
    """`views` names the redefining items to read instead of what they redefine; by default the first declaration counts. The area
    is as long as its longest view. Raises CopybookError."""
    wanted = set(views)
    length, parts = _group(record, 0, wanted)
    if wanted:
        raise CopybookError(record.line, f"no item named {', '.join(sorted(wanted))} redefines another")
    return Layout(record.name, length, _distinct(parts))


@dataclass(slots=True)
class _Area:
    """One run of bytes and the item that is read from it; `start` counts from the scope."""

    start: int
    length: int
    chosen: Item


_Placed = tuple[Part, str]  # a part and the group it stands in


def _group(group: Item, start: int, wanted: set[str]) -> tuple[int, list[_Placed]]:
    """The length of a group that begins at `start`, and its parts."""
    areas: dict[str, _Area] = {}
    order: list[_Area] = []
    at = start
    for item in group.items:
        length = _size(item)
        if item.redefines is not None:
            area = areas.get(item.redefines)
            if area is None or area is not order[-1]:
                raise CopybookError(item.line, f"{item.redefines} is not the item right before, at the same level")
            if item.name in wanted:
                wanted.discard(item.name)
                area.chosen = item
            area.length = max(area.length, length)
            areas[item.name] = area
        else:
            area = _Area(at, length, item)
            order.append(area)
            areas[item.name] = area
        at = area.start + area.length
    return at - start, [placed for area in order for placed in _parts(area.chosen, area.start, group.name, wanted)]


def _parts(item: Item, at: int, parent: str, wanted: set[str]) -> Iterator[_Placed]:
    if item.picture is not None:
        yield Field(item.name, at, _size(item) // (item.occurs or 1), item.picture, item, item.occurs), parent
    elif item.occurs is not None:
        length, parts = _group(item, 0, wanted)
        if not item.name:
            raise CopybookError(item.line, "a group that OCCURS needs a name")
        yield Table(item.name, at, length, item.occurs, _distinct(parts), item), parent
    else:
        yield from _group(item, at, wanted)[1]


def _size(item: Item) -> int:
    """Bytes of an item with all its occurrences."""
    if item.picture is None:
        return _group(item, 0, set())[0] * (item.occurs or 1)
    return _bytes(item, item.picture) * (item.occurs or 1)


def _bytes(item: Item, picture: Picture) -> int:
    if picture.kind == "text":
        return picture.length
    match item.usage:
        case "packed":
            return picture.digits // 2 + 1
        case "binary" | "native":
            return 2 if picture.digits <= 4 else 4 if picture.digits <= 9 else 8
    return picture.digits + (1 if item.separate and picture.signed else 0)


def _distinct(placed: Sequence[_Placed]) -> tuple[Part, ...]:
    """The parts with names that are distinct within their scope."""
    met = Counter(part.name for part, _ in placed)
    parts = tuple(replace(part, name=f"{part.name} OF {parent}") if part.name and met[part.name] > 1 else part for part, parent in placed)
    seen: set[str] = set()
    for part in parts:
        if part.name and part.name in seen:
            raise CopybookError(part.item.line, f"{part.item.name} is declared twice here")
        seen.add(part.name)
    return parts
