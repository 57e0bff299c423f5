"""What the kinds' catalogue blocks have in common: objects without other keys, durations, and a word for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

MOST = 24  # words listed in one message: all that a block or a field may say
UNITS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


def strict(required: str, /, **properties: Any) -> dict[str, Any]:
    """A JSON Schema object without other keys; `required` are names separated by blanks. A key that is a Python word ends in `_` here."""
    named = {name.removesuffix("_"): schema for name, schema in properties.items()}
    return {"type": "object", "additionalProperties": False, "required": required.split(), "properties": named}


def seconds(duration: str) -> float:
    """`8s`, `500ms`, `10m`, `6h`, `35d` -> seconds; a schema has checked the form."""
    digits = duration.rstrip("dhms")
    return float(Decimal(digits) * UNITS[duration[len(digits) :]])


def instead(word: object, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'? allowed: x, y`: what to write in place of `word`, if anything. At most MOST words are listed."""
    words = sorted(allowed)
    if not words:
        return ""
    close = get_close_matches(str(word), words, 1)
    meant = f"; did you mean '{close[0]}'?" if close else ";"
    listed = ", ".join(words[:MOST]) + (f" and {len(words) - MOST} more" if len(words) > MOST else "")
    return f"{meant} allowed: {listed}"
