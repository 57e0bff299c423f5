"""The quality gate: is what came back good enough to answer with?"""

from __future__ import annotations

from wrapper.operation import Quality
from wrapper.problems import Inadequate
from wrapper.rows import Rows


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
