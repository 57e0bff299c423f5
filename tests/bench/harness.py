"""Ratios against a named yardstick measured in the same run.

Rounds of both sides in turn, and medians, so that a noisy machine harms both alike.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. Times are seconds per call, `spread` the quartile distance of the ratio over rounds."""

    what: str
    ours: float
    yardstick: str
    theirs: float
    spread: tuple[float, float]

    @property
    def ratio(self) -> float:
        """How many times faster ours is; below 1 it is slower."""
        return self.theirs / self.ours


def compare(
    what: str, ours: Callable[[], object], yardstick: str, theirs: Callable[[], object], *, calls: tuple[int, int], rounds: int = 9
) -> Row:
    """`calls` of each a round, ours and theirs in turn after one warm-up round."""
    _round(ours, calls[0]), _round(theirs, calls[1])
    pairs = [(_round(ours, calls[0]), _round(theirs, calls[1])) for _ in range(rounds)]
    ratios = sorted(b / a for a, b in pairs)
    quartiles = statistics.quantiles(ratios, n=4)
    return Row(
        what, statistics.median(a for a, _ in pairs), yardstick, statistics.median(b for _, b in pairs), (quartiles[0], quartiles[2])
    )


def _round(work: Callable[[], object], calls: int) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        work()
    return (time.perf_counter() - began) / calls


def table(rows: list[Row]) -> str:
    """A Markdown table, as the README has it."""
    lines = ["| what | Figway | yardstick | its time | ratio (quartiles) |", "|---|---|---|---|---|"]
    for r in rows:
        lines.append(
            f"| {r.what} | {_time(r.ours)} | {r.yardstick} | {_time(r.theirs)} | **{r.ratio:.2g}x** ({r.spread[0]:.2g}-{r.spread[1]:.2g}) |"
        )
    return "\n".join(lines)


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"
