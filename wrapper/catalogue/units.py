"""Durations and percentages, as catalogue files write them."""

from __future__ import annotations

from decimal import Decimal

SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}
DURATION = "^[1-9][0-9]{0,5}(ms|s|m|h|d)$"
PERCENT = "^(100|[1-9]?[0-9](\\.[0-9]{1,4})?)%$"
RATE = "^[1-9][0-9]{0,5}/(s|m|h)$"


def seconds(text: str) -> float:
    """`8s`, `500ms`, `10m`, `6h`, `35d` -> seconds."""
    digits = text.rstrip("dhms")
    return float(Decimal(digits) * SECONDS[text[len(digits) :]])


def share(text: str) -> Decimal:
    """`99.9%` -> 0.999, exactly."""
    return Decimal(text.removesuffix("%")) / 100
