"""Both sides of one question, and what their comparison counts for: a pure function of what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wrapper.migration.compare import Difference, Failure, Said, Verdict
from wrapper.migration.facts import bucket
from wrapper.operation import Migration
from wrapper.rows import Rows


@dataclass(frozen=True, slots=True)
class Answered:
    """What a side said, in how many seconds; or why it was not asked."""

    said: Said | None
    seconds: float = 0.0
    unasked: str = ""


@dataclass(frozen=True, slots=True)
class Pair:
    """Both sides of one question, and how they compare. `skew`: not before both were asked again were they equal."""

    legacy: Answered
    modern: Answered
    verdict: Verdict
    skew: bool = False


def counted(pair: Pair, migration: Migration, score: Callable[[Rows], Any] | None) -> dict[str, float]:
    """The counts of Facts that grow by a pair that was compared. `score` is the score of an answer with these rows."""
    legacy, modern, verdict = pair.legacy.said, pair.modern.said, pair.verdict
    failed = isinstance(modern, Failure) and modern.status >= 500
    counts = {verdict.outcome: 1.0, "skew": float(pair.skew), "asked_modern": 1.0, "failed_modern": float(failed)}
    counts |= Counter(f"class:{kind_of(met)}" for met in verdict.differences)
    counts |= {**_took(pair), **_held(legacy, migration)}
    if score is not None and isinstance(legacy, Rows) and isinstance(modern, Rows):
        counts |= _apart(score(legacy), score(modern), migration.decision)
    return counts


def kind_of(met: Difference) -> str:
    """Class, path and detail: what differences are counted and kept by."""
    return f"{met.kind} {met.path} {met.detail}".strip()


def _took(pair: Pair) -> dict[str, float]:
    """The latencies of those that answered."""
    sides = (("legacy", pair.legacy), ("modern", pair.modern))
    return {f"took:{name}:{bucket(answer.seconds)}": 1.0 for name, answer in sides if isinstance(answer.said, Rows)}


def _held(said: Said | None, migration: Migration) -> dict[str, float]:
    """What the file wants to have been compared, and this answer of legacy held."""
    held: dict[str, float] = {}
    for name, values in (migration.gates.must_have_seen if migration.gates else {}).items():
        if name == "status":
            there = {str(said.status if isinstance(said, Failure) else 200)}
        elif not isinstance(said, Rows):
            continue
        elif name == "pages":
            there = {value for value in values if said.pages >= int(value)}
        else:
            there = {_text(row.get(name)) for row in said.good}
        held |= {f"{name}={value}": 1.0 for value in values if value in there}
    return held


def _text(value: Any) -> str:
    """As the file says it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _apart(control: Any, candidate: Any, decision: float) -> dict[str, float]:
    """Counts for Facts: `scored`, `score_distance` in all, and `score_flips`: customers who would be treated otherwise. Scores are an
    answer's `score`: a mapping with `value`, None where there is none, or a list of these. One that is there on one side only is a flip."""
    pairs = (
        list(zip(control, candidate, strict=False)) if isinstance(control, list) and isinstance(candidate, list) else [(control, candidate)]
    )
    counts = {"scored": 0.0, "score_distance": 0.0, "score_flips": 0.0}
    for this, that in pairs:
        here, there = _number(this), _number(that)
        if here is None and there is None:
            continue
        counts["scored"] += 1
        if here is None or there is None:
            counts["score_flips"] += 1
            continue
        counts["score_distance"] += abs(here - there)
        counts["score_flips"] += (here >= decision) != (there >= decision)
    return counts


def _number(score: Any) -> float | None:
    return float(score["value"]) if isinstance(score, Mapping) and score.get("value") is not None else None
