"""What a caller may not see whole: fields with a `mask` leave Figway masked, unless the caller has the scope `pii:read`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wrapper.operation import Field
from wrapper.policy.keys import Caller

MASKS: Mapping[str, Callable[[str], str]] = {
    "last4": lambda text: "*" * (len(text) - 4) + text[-4:] if len(text) > 4 else "*" * len(text),
    "initials": lambda text: " ".join(word[0] + "." for word in text.split()),
    "hidden": lambda _text: "***",
}


def sees_all(fields: Sequence[Field], caller: Caller) -> bool:
    """Whether rows of these fields leave as they are."""
    return "pii:read" in caller.scopes or not any(f.mask or f.of for f in fields)


def masked(rows: Sequence[Mapping[str, Any]], fields: Sequence[Field], caller: Caller) -> list[dict[str, Any]]:
    """JSON-ready rows as this caller may see them."""
    if sees_all(fields, caller):
        return [dict(row) for row in rows]
    return [{f.name: _masked(row.get(f.name), f, caller) for f in fields} for row in rows]


def left(fields: Sequence[Field], caller: Caller) -> tuple[list[str], list[str]]:
    """Names of the fields that this caller gets clear, and of those that leave masked; of nested ones as `outer.inner`."""
    clear, hidden, all = list[str](), list[str](), sees_all(fields, caller)
    for f in fields:
        if f.of:
            inner = left(f.of, caller)
            clear += [f"{f.name}.{name}" for name in inner[0]]
            hidden += [f"{f.name}.{name}" for name in inner[1]]
        else:
            (hidden if f.mask and not all else clear).append(f.name)
    return clear, hidden


def _masked(value: Any, field: Field, caller: Caller) -> Any:
    if value is None:
        return None
    if field.of:
        inner = masked(value if field.type == "list" else [value], field.of, caller)
        return inner if field.type == "list" else inner[0]
    return MASKS[field.mask](str(value)) if field.mask else value
