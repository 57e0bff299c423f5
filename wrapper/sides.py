"""One side of an endpoint: asked through its adapter, and its reply as canonical rows that are about who was asked for.

Knows no caller, no quota and no cache: whether a side may be asked now is decided in service.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from adapters.base import Adapter, Call, Reply
from adapters.errors import AdapterError, OutcomeUnknown
from wrapper import functions
from wrapper.operation import SIDES, Catalogue, Operation, Source
from wrapper.problems import NoSuchThing, RequestError
from wrapper.quality import gate
from wrapper.request import Side, Terms
from wrapper.rows import Reader, Rows
from wrapper.telemetry import Telemetry
from wrapper.truth import echo, echoed, one


class Adapters(Protocol):
    """Live adapters by system name."""

    def __getitem__(self, name: str) -> Adapter: ...


class Sides:
    """Those of all endpoints, compiled once. Thread-safe."""

    def __init__(self, catalogue: Catalogue, adapters: Adapters, packages: Sequence[str], telemetry: Telemetry) -> None:
        self._adapters = adapters
        operations = catalogue.operations.values()
        sides = [(op, side, source) for op in operations for side in SIDES if (source := op.source(side)) is not None]
        self._readers = {(op.name, side): Reader(op.fields, source.read, packages, source.transform_records) for op, side, source in sides}
        self._given = {(op.name, side): functions.of_params(source.transform_params, packages) for op, side, source in sides}
        self._asking = {(op.name, side): telemetry.asking(op, side, source) for op, side, source in sides}
        self._echoed = {op.name: echoed(op) for op in operations}

    def call(self, operation: Operation, side: Side, params: Mapping[str, Any], terms: Terms, background: bool) -> tuple[Source, Call]:
        """What is to be asked, and of which source. Raises Invalid."""
        source = source_of(operation, side)
        given = self._given[operation.name, side](params, source.system)
        call = Call(
            operation.name, source.target, given, terms.deadline, terms.trace, operation.effect, source.repeat == "allowed", terms.acting,
            background=background, key=terms.key,
        )  # fmt: skip
        return source, call

    def asked(self, operation: Operation, side: Side, source: Source, call: Call) -> Reply:
        """The system's reply. Raises AdapterError."""
        return self._asking[operation.name, side](self._adapters[source.system], call)

    def read(self, operation: Operation, side: Side, params: Mapping[str, Any], reply: Reply) -> Rows:
        """As gated(), and about what was asked for. A write whose answer can't be read has happened."""
        try:
            rows = self.gated(operation, side, reply)
            echo(self._echoed[operation.name], params, rows)
        except (RequestError, AdapterError) as error:
            if operation.effect == "read":
                raise
            raise OutcomeUnknown("the back end took the write, but its answer can't be read", backend=reply.backend) from error
        return rows

    def gated(self, operation: Operation, side: Side, reply: Reply) -> Rows:
        """Canonical rows that have passed the quality gate; an object is exactly one."""
        rows = self._readers[operation.name, side].read(reply)
        gate(rows, operation.quality)
        one(operation, rows)
        return rows

    def dumped(self, operation: Operation, side: Side, rows: Rows) -> Any:
        """JSON-ready, as the endpoint shows them."""
        dumped = self._readers[operation.name, side].dump(rows.good)
        return dumped if operation.shape == "items" else dumped[0]

    def dumped_row(self, operation: Operation, row: Mapping[str, Any]) -> Any:
        """One canonical row: those are the same on both sides."""
        side: Side = "legacy" if operation.legacy is not None else "modern"
        return self._readers[operation.name, side].dump([row])[0]


def source_of(operation: Operation, side: Side) -> Source:
    """Raises NoSuchThing."""
    source = operation.source(side)
    if source is None:
        raise NoSuchThing(f"{operation.name} has no {side} side")
    return source
