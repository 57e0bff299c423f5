"""Who still calls: each endpoint's consumers, from what was counted of them day by day. Knows no store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from wrapper.units import day, iso, minute

WEEK, MONTH = 7, 30


@dataclass(frozen=True, slots=True)
class Consumption:
    """A consumer's calls of an endpoint on a day (UTC), answered by `side`: how many, back-end seconds, the first and the last."""

    endpoint: str
    consumer: str
    side: str
    day: str
    calls: int
    seconds: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Consumer:
    """One caller of one endpoint: calls on each side in the last 7 and 30 days, today among them, and its first and last call ever."""

    endpoint: str
    consumer: str
    legacy_week: int
    modern_week: int
    legacy_month: int
    modern_month: int
    first: float
    last: float


def consumers(rows: Iterable[Consumption], now: float) -> list[Consumer]:
    """By endpoint; who called last comes first."""
    ordered = sorted(rows, key=lambda row: (row.endpoint, row.consumer))
    found = [_consumer(*who, list(those), now) for who, those in groupby(ordered, lambda row: (row.endpoint, row.consumer))]
    return sorted(found, key=lambda one: (one.endpoint, -one.last, one.consumer))


def _consumer(endpoint: str, consumer: str, rows: Sequence[Consumption], now: float) -> Consumer:
    def calls(side: str, days: int) -> int:
        return sum(row.calls for row in rows if row.side == side and row.day > day(now, -days))

    return Consumer(
        endpoint, consumer,
        calls("legacy", WEEK), calls("modern", WEEK), calls("legacy", MONTH), calls("modern", MONTH),
        min(row.first for row in rows), max(row.last for row in rows),
    )  # fmt: skip


def lines(found: Iterable[Consumer]) -> list[str]:
    """For a person, in columns."""
    head = ("endpoint", "consumer", "legacy 7d", "modern 7d", "legacy 30d", "modern 30d", "first call (UTC)", "last call (UTC)")
    rows = [
        (c.endpoint, c.consumer, f"{c.legacy_week:,}", f"{c.modern_week:,}", f"{c.legacy_month:,}", f"{c.modern_month:,}",
         minute(c.first), minute(c.last))
        for c in found
    ]  # fmt: skip
    return columns([head, *rows], left=2) if rows else ["nobody has called yet"]


def data(found: Iterable[Consumer]) -> list[dict[str, Any]]:
    """JSON-ready."""
    return [
        {
            "endpoint": c.endpoint, "consumer": c.consumer,
            "last_7_days": {"legacy": c.legacy_week, "modern": c.modern_week},
            "last_30_days": {"legacy": c.legacy_month, "modern": c.modern_month},
            "first": iso(c.first), "last": iso(c.last),
        }
        for c in found
    ]  # fmt: skip


def columns(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Cells under each other: the first `left` columns begin on one line, the others end on one."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if n < left else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
