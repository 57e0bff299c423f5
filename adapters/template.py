"""`"{name}"` and `"{name:format}"` in catalogue blocks: the one way a request parameter reaches a back end.

Closed on purpose: literal text, a parameter, and for dates a layout. Nothing is evaluated, and what a value may contain is the
business of the adapter that types or sends it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

_HOLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)(?::([a-z]+))?\}")
DATES = {"yyyymmdd": "%Y%m%d", "yymmdd": "%y%m%d", "ddmmyyyy": "%d%m%Y", "ddmmyy": "%d%m%y", "yyyyddd": "%Y%j", "iso": "%Y-%m-%d"}


@dataclass(frozen=True, slots=True)
class Template:
    """Alternating literals and (name, format) holes. `whole` is the parameter's name when the template is nothing but one plain hole."""

    source: str
    parts: tuple[str | tuple[str, str], ...]

    @property
    def uses(self) -> frozenset[str]:
        """The parameters it names, without what follows a dot."""
        return frozenset(p[0].partition(".")[0] for p in self.parts if isinstance(p, tuple))

    @property
    def whole(self) -> str | None:
        match self.parts:
            case ((str(name), ""),):
                return name
        return None

    def value(self, params: Mapping[str, Any]) -> Any:
        """The parameter itself, still typed, for a whole-hole template; the rendered text otherwise; None when a parameter is absent."""
        if self.whole is not None:
            return pick(params, self.whole, ".")
        return self.render(params)

    def render(self, params: Mapping[str, Any]) -> str | None:
        """The text, or None when a parameter it needs is absent."""
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
                continue
            value = pick(params, part[0], ".")
            if value is None:
                return None
            out.append(as_text(value, part[1]))
        return "".join(out)


def parse(source: str) -> Template:
    """Raises ValueError with what was expected."""
    parts: list[str | tuple[str, str]] = []
    at = 0
    for hole in _HOLE.finditer(source):
        parts.append(source[at : hole.start()])
        layout = hole[2] or ""
        if layout and layout not in DATES:
            raise ValueError(f"'{layout}' in {hole[0]} is not a date layout; allowed: {', '.join(DATES)}")
        parts.append((hole[1], layout))
        at = hole.end()
    parts.append(source[at:])
    kept = tuple(p for p in parts if p != "")
    if any(isinstance(p, str) and ("{" in p or "}" in p) for p in kept):
        raise ValueError(f"'{source}': a brace that is not a {{name}} or {{name:layout}}")
    return Template(source, kept)


def filled(texts: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name from templates by name; what needs an absent parameter is left out."""
    values = {name: parse(text).value(params) for name, text in texts.items()}
    return {name: value for name, value in values.items() if value is not None}


def pick(value: Any, path: str, between: str = "/") -> Any:
    """`Result/Limit` in a nested record; None where a step is absent."""
    for step in path.split(between):
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def as_text(value: Any, layout: str = "") -> str:
    """A value as a back end is sent it: plain decimals, ISO dates, true and false; with a layout, a date in that layout."""
    if layout:
        if not isinstance(value, date):
            raise TypeError(f"a date layout needs a date, met {type(value).__name__}")
        return value.strftime(DATES[layout].replace("%Y", f"{value.year:04d}"))  # %Y alone drops the zeros of an early year
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case datetime() | date():
            return value.isoformat()
    return str(value)
