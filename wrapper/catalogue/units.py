"""Durations and percentages, as catalogue files write them."""

from __future__ import annotations

from decimal import Decimal

DURATION = "^[1-9][0-9]{0,5}(ms|s|m|h|d)$"
PERCENT = "^(100|[1-9]?[0-9](\\.[0-9]{1,4})?)%$"
RATE = "^[1-9][0-9]{0,5}/(s|m|h)$"


def share(text: str) -> Decimal:
    """`99.9%` -> 0.999, exactly."""
    return Decimal(text.removesuffix("%")) / 100
