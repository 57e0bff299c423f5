"""What compared keys prove: that fewer than a stated share of them differ, however often somebody looks.

A share that "looks fine" promotes what is twice over the limit when it is looked at repeatedly, and so does a confidence bound made for one
look. This test is valid at any time (an e-process: Ville's inequality; Ramdas et al., "Game-theoretic statistics and safe anytime-valid
inference", 2023). It bets that the true share q is below the limit p: the bet's worth after k differences in n keys is

    E = mean over q of (q / p)^k * ((1 - q) / (1 - p))^(n - k)

for shares q spread evenly below p. If the truth is p or worse, E is not expected to grow, so the chance that it ever reaches
1 / (1 - confidence) is at most 1 - confidence, at whichever look. Keys are customers and the like, not requests, since differences cluster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

POINTS = 64  # any share below the limit is as likely as any other, beforehand: what leans towards 0 is sooner wrong at twice the limit
FAR = 10_000_000  # keys: what would take more is called out of reach


@dataclass(frozen=True, slots=True)
class Seen:
    """Distinct keys compared, and how many of them differed in any comparison. A key counts as clean once; a later difference counts."""

    keys: int = 0
    differed: int = 0


def proven(seen: Seen, limit: float, confidence: float) -> bool:
    """Whether it is shown, with this confidence, that less than `limit` (0 to 1) of all keys differ. Valid at every look."""
    return log_worth(seen, limit) >= -math.log1p(-confidence)


def missing(seen: Seen, limit: float, confidence: float) -> int | None:
    """How many more keys it takes when they differ as often as those seen: 0 when it is proven, None when it will not be at this rate."""
    if proven(seen, limit, confidence):
        return 0
    share = seen.differed / seen.keys if seen.keys else 0.0
    if share >= limit:
        return None
    few, many = seen.keys, max(2 * seen.keys, 64)
    while not _at(many, share, limit, confidence):
        few, many = many, 2 * many
        if few > FAR:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _at(middle, share, limit, confidence) else (middle, many)
    return many - seen.keys


def log_worth(seen: Seen, limit: float) -> float:
    """The logarithm of E above. Raises ValueError for a limit or counts that mean nothing."""
    if not 0 < limit < 1 or not 0 <= seen.differed <= seen.keys:
        raise ValueError(f"expected a limit between 0 and 1 and no more differences than keys, met {limit} and {seen}")
    clean = seen.keys - seen.differed
    terms = [seen.differed * differs + clean * agrees for differs, agrees in _bets(limit)]
    most = max(terms)
    return most + math.log(sum(math.exp(term - most) for term in terms) / POINTS)


def _at(keys: int, share: float, limit: float, confidence: float) -> bool:
    return proven(Seen(keys, math.ceil(keys * share)), limit, confidence)


@lru_cache(maxsize=256)
def _bets(limit: float) -> Sequence[tuple[float, float]]:
    """(log of q / p, log of (1 - q) / (1 - p)) for each point of the prior."""
    parts = [(n + 0.5) / POINTS for n in range(POINTS)]
    return tuple((math.log(part), math.log1p(-part * limit) - math.log1p(-limit)) for part in parts)
