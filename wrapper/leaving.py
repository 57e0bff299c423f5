"""The last step of every answer, kept ones too: what this caller may see of it, and what it says of where it came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from wrapper.operation import Operation, Side
from wrapper.policy.keys import Caller
from wrapper.policy.mask import Masks
from wrapper.request import Answer
from wrapper.rows import Rows


def explained(stage: str, answer: Answer) -> Answer:
    """With the endpoint's stage and who served it."""
    sides = {str(source["side"]) for source in answer.body["meta"].get("sources", ()) if "side" in source}
    said = {"Figway-Stage": stage, "Figway-Served-By": ", ".join(sorted(sides))}
    return replace(answer, headers={**answer.headers, **{name: value for name, value in said.items() if value}})


def shown(answer: Answer, masks: Masks | None, caller: Caller) -> Answer:
    """The answer as this caller may see it. Without its endpoint nobody can tell what is to be masked: then no data are shown."""
    data = answer.body["data"]
    seen = None if masks is None else masks.shown(data, caller)
    return answer if seen is data else Answer(answer.status, {**answer.body, "data": seen}, answer.headers)


def meta(operation: Operation, side: Side, rows: Rows) -> dict[str, Any]:
    """Of an answer that is made of one side's rows."""
    source: dict[str, Any] = {"system": rows.backend, "side": side, **origin(rows)}
    counts: dict[str, Any] = {"count": len(rows.good)} if operation.shape == "items" else {}
    if rows.bad:
        counts["rejected"] = [{"row": bad.index, "reasons": list(bad.reasons)} for bad in rows.bad]
    return {"sources": [source], **counts}


def origin(rows: Rows) -> dict[str, Any]:
    """What an answer's `meta.sources` says of rows, beside where they are from."""
    return {**({"as_of": rows.as_of} if rows.as_of else {}), **({"stale": True} if rows.stale else {})}
