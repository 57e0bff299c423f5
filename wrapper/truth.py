"""What must be true of an answer's rows, whichever side gave them: it is exactly one thing, and the thing that was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.errors import Misread, Missing
from wrapper.operation import Operation
from wrapper.rows import Rows


def fact(operation: Operation, rows: Rows) -> Any:
    """Rows as scores and joins read them."""
    return rows.good if operation.shape == "items" else rows.good[0]


def one(operation: Operation, rows: Rows) -> None:
    """An object is exactly one row."""
    if operation.shape == "object" and not rows.good:
        raise Missing(f"{operation.name} has nothing under this key", backend=rows.backend)
    if operation.shape == "object" and len(rows.good) > 1:
        raise Misread(f"{operation.name} expected one record, met {len(rows.good)}", backend=rows.backend)


def echoed(operation: Operation) -> tuple[str, ...]:
    """Path parameters whose name a field of the answer bears."""
    fields = {f.name for f in operation.fields}
    return tuple(p.field.name for p in operation.params if p.where == "path" and p.field.name in fields)


def echo(names: Sequence[str], params: Mapping[str, Any], rows: Rows) -> None:
    """Such a field must show the value asked for: another customer's answer is never passed on."""
    for name in names:
        if any(row[name] != params[name] for row in rows.good):
            raise Misread(f"the answer's {name} is not the one asked for", backend=rows.backend)
