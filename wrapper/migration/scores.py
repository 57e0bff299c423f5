"""How far apart two scores are: the same model, fed by either side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def distances(control: Any, candidate: Any, decision: float) -> dict[str, float]:
    """Counts for Facts: `scored`, `score_distance` in all, and `score_flips`: customers who would be treated otherwise. Scores are an
    answer's `score`: a mapping with `value`, None where there is none, or a list of these. One that is there on one side only is a flip."""
    pairs = (
        list(zip(control, candidate, strict=False)) if isinstance(control, list) and isinstance(candidate, list) else [(control, candidate)]
    )
    counts = {"scored": 0.0, "score_distance": 0.0, "score_flips": 0.0}
    for this, that in pairs:
        here, there = _value(this), _value(that)
        if here is None and there is None:
            continue
        counts["scored"] += 1
        if here is None or there is None:
            counts["score_flips"] += 1
            continue
        counts["score_distance"] += abs(here - there)
        counts["score_flips"] += (here >= decision) != (there >= decision)
    return counts


def _value(score: Any) -> float | None:
    return float(score["value"]) if isinstance(score, Mapping) and score.get("value") is not None else None
