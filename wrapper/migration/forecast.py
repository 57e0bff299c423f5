"""When the rest will have come, told by the pace so far, and never without saying how unsure that is.

Gamma-Poisson: moves to modern are taken to come at a constant unknown rate, of which a Gamma(n + 1/2, T) is believed after n of them in the
time T (Jeffreys' prior), so the number that comes in the next t is negative binomial and the forecast is the t in which it reaches what
is left. Endpoints that came in one move, as the writes of a group do, are one event: they do not show a pace.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SURE = 0.8
"""The share of forecasts whose interval holds what then happens."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds since 1970: SURE between early and late, even odds of before and after the middle."""

    early: float
    middle: float
    late: float


def forecast(reached: Sequence[float], left: int, since: float, now: float) -> Forecast | None:
    """From when each endpoint reached modern, how many have not, and since when it was looked at; None when fewer than two moves show
    no pace."""
    moves, past = len(set(reached)), now - since
    if moves < 2 or past <= 0:
        return None
    wanted = math.ceil(left * moves / len(reached))
    early, middle, late = (now + past * _quantile(share, wanted, moves + 0.5) for share in ((1 - SURE) / 2, 0.5, (1 + SURE) / 2))
    return Forecast(early, middle, late)


def _quantile(share: float, wanted: int, shape: float) -> float:
    """The time, in units of the past, within which `wanted` events come with probability `share`."""
    few, many = 0.0, 1.0
    while _probability(many, wanted, shape) < share:
        few, many = many, 2 * many
    for _ in range(25):
        middle = (few + many) / 2
        few, many = (middle, many) if _probability(middle, wanted, shape) < share else (few, middle)
    return many


def _probability(time: float, wanted: int, shape: float) -> float:
    """Of at least `wanted` events in that time."""
    none, more = -shape * math.log1p(time), math.log(time) - math.log1p(time)
    fewer = (math.lgamma(shape + k) - math.lgamma(shape) - math.lgamma(k + 1) + none + k * more for k in range(wanted))
    return 1 - math.fsum(map(math.exp, fewer))
