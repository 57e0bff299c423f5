"""The `migration` block of a schema-valid endpoint file -> Migration: defaults filled in, units turned into numbers.

What can't be read at all (no such day, an interval that ends before it begins) is told here, and left out of what is made; whether the
rest makes sense is for check_migration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from adapters.blocks import seconds
from wrapper.catalogue.found import Path
from wrapper.operation import Gates, Migration, RollBack, Span

Report = Callable[[Path, str], None]


def share(text: str) -> Decimal:
    """`99.9%` -> 0.999, exactly."""
    return Decimal(text.removesuffix("%")) / 100


def texts(values: Any) -> tuple[str, ...]:
    """One value or a list, as JSON has them."""
    listed = values if isinstance(values, list) else [values]
    return tuple(str(value).lower() if isinstance(value, bool) else str(value) for value in listed)


def migration(endpoint: Mapping[str, Any], report: Report) -> Migration | None:
    """Of the whole file, since the key may be told by its parameters. None when it has no such block."""
    if "migration" not in endpoint:
        return None
    raw = endpoint["migration"]
    compare = raw.get("compare", {})
    given: dict[str, Any] = {name: raw[name] for name in ("writes", "successor") if name in raw}
    given |= {name: float(share(compare[name])) for name in ("sample", "sample_modern", "self_sample") if name in compare}
    if "steps" in raw:
        given["steps"] = tuple(share(step) for step in raw["steps"])
    if "decision" in compare:
        given["decision"] = float(compare["decision"])
    return Migration(
        highest=raw["highest_stage"],
        key=_key(endpoint),
        compare=compare,
        gates=_gates(raw["promote_when"]) if "promote_when" in raw else None,
        roll_back=_roll_back(raw["roll_back_when"]) if "roll_back_when" in raw else None,
        automatic=raw.get("promotion") == "automatic",
        freezes=_spans(raw, "freeze", report),
        deprecated=_day(raw, "deprecated", report),
        sunset=_day(raw, "sunset", report),
        brown_outs=_spans(raw, "brown_outs", report),
        **given,
    )


def _key(endpoint: Mapping[str, Any]) -> str:
    """Left out, the one parameter that auth.object names, or else the only one in the path; "" where there is no such."""
    bound = [name for name in endpoint["auth"].get("object", {}) if "." not in name]
    placed = [name for name, param in endpoint.get("request", {}).items() if param["in"] == "path"]
    told: str = endpoint["migration"].get("key", "")
    return told or next((names[0] for names in (bound, placed) if len(names) == 1), "")


def _gates(raw: Mapping[str, Any]) -> Gates:
    def number(name: str) -> float | None:
        return float(raw[name]) if name in raw else None

    return Gates(
        limit=float(1 - share(raw["parity_at_least"])),
        confidence=float(share(raw["confidence"])),
        period=seconds(raw["period_at_least"]),
        unseen=float(share(raw.get("unseen_at_most", "5%"))),
        must_have_seen={name: texts(values) for name, values in raw.get("must_have_seen", {}).items()},
        errors=_share(raw, "errors_at_most"),
        p95_ratio=number("p95_ratio_at_most"),
        score_drift=number("score_drift_at_most"),
        score_flips=_share(raw, "score_flips_at_most"),
    )


def _roll_back(raw: Mapping[str, Any]) -> RollBack:
    return RollBack(seconds(raw["within"]), raw.get("min_count", 1), _share(raw, "errors_over"), _share(raw, "parity_below"))


def _share(raw: Mapping[str, Any], name: str) -> float | None:
    return float(share(raw[name])) if name in raw else None


def _day(raw: Mapping[str, Any], name: str, report: Report) -> date | None:
    try:
        return date.fromisoformat(raw[name]) if name in raw else None
    except ValueError:
        report(("migration", name), f"{raw[name]} is not a day of the calendar")
        return None


def _spans(raw: Mapping[str, Any], name: str, report: Report) -> tuple[Span, ...]:
    """FROM/TO, without those that are none."""
    made = list[Span]()
    for n, text in enumerate(raw.get(name, ())):
        try:
            begin, end = (datetime.fromisoformat(moment) for moment in text.split("/"))
        except ValueError:
            report(("migration", name, n), f"{text} is not in the calendar or on the clock")
            continue
        if begin < end:
            made.append((begin, end))
        else:
            report(("migration", name, n), f"{text} ends before it begins")
    return tuple(made)
