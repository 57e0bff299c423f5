"""The small parts that the catalogue's schemas are made of: names, texts with a form, lists, durations, percentages, days."""

from __future__ import annotations

from typing import Any

NAME = "^[a-z][a-z0-9_]{0,63}$"
DURATION = "^[1-9][0-9]{0,5}(ms|s|m|h|d)$"
PERCENT = "^(100|[1-9]?[0-9](\\.[0-9]{1,4})?)%$"
RATE = "^[1-9][0-9]{0,5}/(s|m|h)$"


def named(of: Any, what: str, pattern: str = NAME) -> dict[str, Any]:
    """A map whose keys are names."""
    names = {"pattern": pattern, "patternErrorMessage": f"{what} is written in small letters, digits and _"}
    return {"type": "object", "minProperties": 1, "propertyNames": names, "additionalProperties": of}


def text(description: str = "", pattern: str = "", example: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {"type": "string", "minLength": 1}
    if description:
        made["description"] = description
    return {**made, "pattern": pattern, "patternErrorMessage": f"expected {example}"} if pattern else made


def said(schema: Any, description: str) -> dict[str, Any]:
    return {**schema, "description": description}


def listed(items: Any, description: str = "") -> dict[str, Any]:
    made = {"type": "array", "minItems": 1, "uniqueItems": True, "items": items}
    return said(made, description) if description else made


def whole(low: int, high: int, description: str = "") -> dict[str, Any]:
    made = {"type": "integer", "minimum": low, "maximum": high}
    return said(made, description) if description else made


def duration(description: str = "") -> dict[str, Any]:
    return text(description, DURATION, "a duration like 500ms, 8s, 10m, 6h or 35d")


def percent(description: str = "") -> dict[str, Any]:
    return text(description, PERCENT, "a percentage from 0% to 100%, like 99.9%")


FLAG = {"type": "boolean"}
WORD = text()
RATIO = text("", RATE, "a rate like 5/s, 100/m or 1000/h")
_MOMENT = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})"
SPAN = text("", f"^{_MOMENT}/{_MOMENT}$", "two times with Z or an offset, like 2026-12-20T00:00Z/2027-01-05T00:00Z")
DAY = text("", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$", "a date like 2026-12-01")
