"""What a comparison overlooks, as the catalogue's `migration.compare` states it. A rule is something a person has accepted: nothing is
overlooked that no rule names, and a rule reads the same in the file, in a proposal and in a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from adapters.blocks import seconds

Tolerance = Decimal | timedelta
_MS = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Rules:
    """Paths are the catalogue's: `items.opened`, `items.address.line1`.

    `ignore`: not compared, with all that is below. `decimal`: how far apart decimals may be; `tolerance`: the same for one path, a
    Decimal for numbers and a timedelta for dates and times. `order_by`: the field by which rows are matched, instead of the contract's
    keys; their order is still compared, except that of lists that are `unordered`.
    """

    ignore: frozenset[str] = frozenset()
    decimal: Decimal = Decimal(0)
    order_by: str | None = None
    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    unordered: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for limit in (self.decimal, *self.tolerance.values()):
            if not (limit >= timedelta(0) if isinstance(limit, timedelta) else limit.is_finite() and limit >= 0):
                raise ValueError("expected a tolerance of 0 or more")

    def __or__(self, other: Rules) -> Rules:
        """What either overlooks, by the wider tolerance of the two. The other's `order_by` wins."""
        limits = dict(self.tolerance)
        for path, limit in other.tolerance.items():
            met = limits.get(path)
            limits[path] = max(met, limit) if type(met) is type(limit) else limit
        return Rules(
            self.ignore | other.ignore,
            max(self.decimal, other.decimal),
            other.order_by or self.order_by,
            limits,
            self.unordered | other.unordered,
        )

    def __str__(self) -> str:
        """The catalogue's own words, always in the same order: what a person pastes, and what evidence is bound to."""
        said = {
            "ignore": _listed(self.ignore),
            "decimal": format(self.decimal, "f") if self.decimal else "",
            "order_by": self.order_by or "",
            "tolerance": ", ".join(f"{path}: {_limit(limit)}" for path, limit in sorted(self.tolerance.items())),
            "unordered": _listed(self.unordered),
        }
        said["tolerance"] = said["tolerance"] and f"{{{said['tolerance']}}}"
        return "compare: {" + ", ".join(f"{key}: {text}" for key, text in said.items() if text) + "}"


def rules(block: Mapping[str, Any]) -> Rules:
    """The `migration.compare` block of a checked file. Times have a unit (`5s`), numbers have none."""
    return Rules(
        frozenset(block.get("ignore", ())),
        Decimal(str(block.get("decimal", 0))),
        block.get("order_by"),
        {path: _read(limit) for path, limit in block.get("tolerance", {}).items()},
        frozenset(block.get("unordered", ())),
    )


def _read(limit: Any) -> Tolerance:
    return timedelta(seconds=seconds(limit)) if isinstance(limit, str) else Decimal(str(limit))


def _limit(limit: Tolerance) -> str:
    if isinstance(limit, Decimal):
        return format(limit, "f")
    whole = -(limit // -_MS)  # up to the next millisecond, the least a file can say
    return f"{whole // 1000}s" if whole % 1000 == 0 else f"{whole}ms"


def _listed(paths: frozenset[str]) -> str:
    return f"[{', '.join(sorted(paths))}]" if paths else ""
