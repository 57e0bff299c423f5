"""When an endpoint goes back by itself: a pure function of what the last minutes have shown."""

from __future__ import annotations

from collections.abc import Mapping

from wrapper.operation import RollBack
from wrapper.units import percent


def fires(rule: RollBack, recent: Mapping[str, float]) -> str:
    """Why it goes back, or "". `recent` has `served:modern`, `failed:modern` of these, `compared`, `different` of these. Each share counts
    only where there is enough of what it is a share of."""
    served, failed = recent.get("served:modern", 0), recent.get("failed:modern", 0)
    if rule.errors is not None and served >= rule.min_count and failed > rule.errors * served:
        return f"{percent(failed / served, 2)} of modern's last {served:,.0f} answers were errors; at most {percent(rule.errors)}"
    compared, different = recent.get("compared", 0), recent.get("different", 0)
    if rule.parity is not None and compared >= rule.min_count and compared - different < rule.parity * compared:
        return f"{percent(1 - different / compared, 2)} of the last {compared:,.0f} comparisons were equal; at least {percent(rule.parity)}"
    return ""
