"""The quality gate: is what came back good enough to answer with?"""

from __future__ import annotations

from wrapper.operation import Operation, Quality
from wrapper.problems import Inadequate
from wrapper.rows import Rows

STALE = "the back end is down, and what was kept of it is stale"


def too_old(operation: Operation, rows: Rows) -> bool:
    """Whether rows are not to be scored: stale ones are only where their endpoint says so."""
    return rows.stale and not (operation.cache and operation.cache.score_stale)


def gate(rows: Rows, quality: Quality) -> None:
    """Raises Inadequate when too many rows were rejected or a required field is missing in one. Names fields and reasons, no values."""
    total = len(rows.good) + len(rows.bad)
    if rows.bad and len(rows.bad) > quality.rejected_at_most * total:
        first = rows.bad[:5]
        raise Inadequate(
            f"{len(rows.bad)} of {total} rows of {rows.backend} were rejected, {quality.rejected_at_most:.1%} are allowed",
            errors=[{"row": str(bad.index), "reason": reason} for bad in first for reason in bad.reasons],
        )
    for name in quality.required:
        lacking = sum(row.get(name) is None for row in rows.good)
        if lacking:
            raise Inadequate(f"{lacking} of {total} rows of {rows.backend} have no '{name}', which the endpoint requires")
