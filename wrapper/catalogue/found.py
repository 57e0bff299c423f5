"""What a catalogue check finds, and how it says where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indices from a file's top."""


@dataclass(frozen=True, slots=True, order=True)
class Found:
    """One line of a check: a fault or a note. `file` is relative to the catalogue."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


class CatalogueError(Exception):
    """A catalogue that can't be served, with all its faults."""

    def __init__(self, faults: Iterable[Found]) -> None:
        self.faults = sorted(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def spoken(path: Path) -> str:
    """A path as a person says it: `request.customer_id`, `examples[0].expect`; the top of the file is `the file`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return text or "the file"


def texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Every text in a block, with its path."""
    if isinstance(value, str):
        yield path, value
    inner = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from texts(part, (*path, key))
