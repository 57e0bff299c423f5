"""What the blocks of kind `sftp` compile to: data, for the adapter to act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.codec.record import RecordCodec
from adapters.errors import ErrorRule
from adapters.sftp.drop import Drop
from adapters.template import Template


@dataclass(frozen=True, slots=True)
class ReplyFile:
    """A compiled `reply:`. `expect_within` is in seconds, `archive` a folder or ''."""

    path: Template
    codec: RecordCodec
    done_file: str
    echo: Mapping[str, Template]
    expect_within: float
    archive: str


@dataclass(frozen=True, slots=True, eq=False)
class DropTarget:
    """A write through files: see drop.py."""

    drop: Drop
    reply: ReplyFile
    errors: tuple[ErrorRule, ...]
    uses: frozenset[str]
    deferred: bool = True

    @property
    def gives(self) -> frozenset[str] | None:
        return frozenset(part.name for part in self.reply.codec.layout.parts if part.name)


@dataclass(frozen=True, slots=True)
class Edge:
    """A header or trailer of an extract, and the field of it that counts: the business date, or how many records there are."""

    codec: RecordCodec
    field: str | None


@dataclass(frozen=True, slots=True, eq=False)
class ExtractTarget:
    """A lookup in a file of fixed records by one key."""

    path: str
    codec: RecordCodec
    key: str
    wanted: Template
    done_file: str
    header: Edge | None
    trailer: Edge | None
    errors: tuple[ErrorRule, ...] = ()
    deferred: bool = False

    @property
    def uses(self) -> frozenset[str]:
        return self.wanted.uses

    @property
    def gives(self) -> frozenset[str] | None:
        return frozenset(part.name for part in self.codec.layout.parts if part.name)
