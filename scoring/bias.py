"""Whether a model treats groups of people alike: measured on data with known outcomes, at the score from which on it decides otherwise.

For each group: how many were approved (scored below the decision) and how that compares with the group that is approved most (the
disparate impact ratio, held against four fifths); how many of those that turned out bad were declined (true positives), and how many of
those that turned out good (false positives); and whether the mean score is the rate that was observed. Intervals are at 95 %: Wilson's for
shares, Katz's for ratios. A group in which nothing could be told from chance is shown and not judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

FOUR_FIFTHS = 0.8
FEWEST = 10
"""Of each outcome, for a group to be judged."""
_Z = 1.959964
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `of`."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> Interval | None:
        """Wilson's, at 95 %."""
        if not self.of:
            return None
        p, n = self.hits / self.of, self.of
        middle, spread = p + _Z * _Z / (2 * n), _Z * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + _Z * _Z / n)), min(1.0, (middle + spread) / (1 + _Z * _Z / n))


@dataclass(frozen=True, slots=True)
class Group:
    """One group, counted. `ratio` is its approval rate over that of the group approved most; None where it is not judged."""

    name: str
    approved: Share
    true_positives: Share
    false_positives: Share
    bad: Share
    mean_score: float
    ratio: float | None = None
    ratio_interval: Interval | None = None

    @property
    def judged(self) -> bool:
        return FEWEST <= self.bad.hits <= self.bad.of - FEWEST

    @property
    def findings(self) -> tuple[str, ...]:
        """What is to be looked at, in words."""
        if not self.judged:
            return (f"too small to judge: fewer than {FEWEST} good or bad outcomes",)
        return tuple(filter(None, (self._impact(), self._calibration())))

    def _impact(self) -> str:
        if self.ratio is None or self.ratio_interval is None:
            return ""
        low, high = self.ratio_interval
        if high < FOUR_FIFTHS:
            return "approved less than four fifths as often"
        if self.ratio < FOUR_FIFTHS:
            return "approved less than four fifths as often here, by chance perhaps"
        return "may be approved less than four fifths as often" if low < FOUR_FIFTHS else ""

    def _calibration(self) -> str:
        low, high = self.bad.interval or (0.0, 1.0)
        if low <= self.mean_score <= high:
            return ""
        return "the scores are too high" if self.mean_score > high else "the scores are too low"


def groups(
    names: Sequence[str | None], scores: Sequence[float], bad: Sequence[bool], decision: float, order: Sequence[str] = ()
) -> list[Group]:
    """Counted by group, in this order and then by name; who has no value is a group of its own."""
    import numpy as np

    labels = np.array(["(missing)" if name is None else name for name in names])
    value, was_bad = np.asarray(scores, dtype=float), np.asarray(bad, dtype=bool)
    declined = value >= decision
    made = []
    for name in sorted(set(labels.tolist()), key=lambda one: (order.index(one) if one in order else len(order), one)):
        mine = labels == name
        made.append(
            Group(
                name,
                approved=_share(~declined[mine]),
                true_positives=_share(declined[mine & was_bad]),
                false_positives=_share(declined[mine & ~was_bad]),
                bad=_share(was_bad[mine]),
                mean_score=float(value[mine].mean()),
            )
        )
    return _compared(made)


def _share(flags: Any) -> Share:
    return Share(int(flags.sum()), int(flags.size))


def _compared(made: Sequence[Group]) -> list[Group]:
    judged = [group for group in made if group.judged]
    best = max(judged, key=lambda group: group.approved.value or 0.0, default=None)
    return [group if best is None or not group.judged else _against(group, best) for group in made]


def _against(group: Group, best: Group) -> Group:
    mine, theirs = group.approved, best.approved
    if not mine.hits or not theirs.hits:
        return replace(group, ratio=0.0 if theirs.hits else None)
    ratio = (mine.hits / mine.of) / (theirs.hits / theirs.of)
    spread = _Z * math.sqrt(1 / mine.hits - 1 / mine.of + 1 / theirs.hits - 1 / theirs.of)
    interval = (1.0, 1.0) if group is best else (ratio * math.exp(-spread), ratio * math.exp(spread))
    return replace(group, ratio=ratio, ratio_interval=interval)


def data(by: Mapping[str, Sequence[Group]]) -> dict[str, Any]:
    """JSON-ready, by feature and group."""
    return {feature: {group.name: _data(group) for group in found} for feature, found in by.items()}


def _data(group: Group) -> dict[str, Any]:
    def told(share: Share) -> dict[str, Any]:
        return {"value": _rounded(share.value), "interval": _pair(share.interval), "of": share.of}

    return {
        "n": group.bad.of,
        "approved": told(group.approved),
        "ratio": {"value": _rounded(group.ratio), "interval": _pair(group.ratio_interval)},
        "true_positives": told(group.true_positives),
        "false_positives": told(group.false_positives),
        "observed": told(group.bad),
        "mean_score": _rounded(group.mean_score),
        "judged": group.judged,
        "findings": list(group.findings),
    }


def _pair(interval: Interval | None) -> list[float | None] | None:
    return None if interval is None else [_rounded(end) for end in interval]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def table(feature: str, found: Sequence[Group]) -> list[str]:
    """For people: shares in percent, with their intervals."""
    head = [feature, "n", "approved", "ratio", "bad and declined", "good and declined", "observed bad", "mean score", ""]
    rows = [head, *(_row(group) for group in found)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(group: Group) -> list[str]:
    return [
        group.name,
        str(group.bad.of),
        _percent(group.approved),
        "-" if group.ratio is None else f"{group.ratio:.2f} {_between(group.ratio_interval, 2)}".strip(),
        _percent(group.true_positives),
        _percent(group.false_positives),
        _percent(group.bad),
        f"{group.mean_score:.1%}",
        "; ".join(group.findings),
    ]


def _percent(share: Share) -> str:
    if share.value is None or share.interval is None:
        return "-"
    return f"{share.value:.1%} ({share.interval[0]:.0%}-{share.interval[1]:.0%})"


def _between(interval: Interval | None, digits: int) -> str:
    return "" if interval is None else f"({interval[0]:.{digits}f}-{interval[1]:.{digits}f})"
