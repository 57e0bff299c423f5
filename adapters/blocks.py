"""What the kinds' catalogue blocks have in common: objects without other keys, durations, and a word for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


def strict(required: str, /, **properties: Any) -> dict[str, Any]:
    """A JSON Schema object without other keys; `required` are names separated by blanks. A key that is a Python word ends in `_` here."""
    named = {name.removesuffix("_"): schema for name, schema in properties.items()}
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": named}


def seconds(duration: str) -> float:
    """`8s`, `500ms`, `10m`, `6h`, `35d` -> seconds; a schema has checked the form."""
    digits = duration.rstrip("dhms")
    return float(Decimal(digits) * UNITS[duration[len(digits) :]])


def instead(word: str, allowed: Iterable[str]) -> str:
    """What was perhaps meant, to end a sentence about an unknown word."""
    words = sorted(allowed)
    close = get_close_matches(word, words, 1)
    return f"; did you mean '{close[0]}'?" if close else f"; allowed: {', '.join(words) or 'none'}"
