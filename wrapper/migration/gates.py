"""What must be shown before an endpoint goes on, gate by gate, in words: what is there, what is asked, and how long it will take. Pure.

Where nothing was seen yet a gate is not met: no evidence is no evidence of anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from wrapper.migration.compare import DATED
from wrapper.migration.decide import Standing
from wrapper.migration.evidence import missing
from wrapper.migration.facts import NOTHING, Epoch, Facts, quantile
from wrapper.operation import Gates
from wrapper.units import DAY, HOUR, instant, percent, spell


@dataclass(frozen=True, slots=True)
class Gate:
    """`ahead` says what is still to come or to be done; `wait`, in how many seconds it will be met at today's traffic: 0.0 when it is, None
    when nobody can tell."""

    name: str
    met: bool
    there: str
    asked: str
    ahead: str = ""
    wait: float | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.there}; {self.asked}" + (f": {self.ahead}" if self.ahead else "")


def look(endpoint: str, facts: Facts | None, gates: Gates, now: float) -> list[Gate]:
    """Every gate that the file has for this endpoint, met or not. `facts`: those of its present build, text and rules."""
    known = facts or NOTHING
    made = [_parity(endpoint, known, gates, now), _unseen(known, gates.unseen), _period(known, gates.period)]
    if gates.must_have_seen:
        made.append(_must_have_seen(known, gates.must_have_seen))
    if gates.errors is not None:
        made.append(_errors(known, gates.errors))
    if gates.p95_ratio is not None:
        made.append(_slower(known, gates.p95_ratio))
    if gates.score_drift is not None:
        made.append(_drift(known, gates.score_drift))
    if gates.score_flips is not None:
        made.append(_flips(known, gates.score_flips))
    return made


def look_at_write(stuck: int, reads: Mapping[str, Standing], wanted: Standing) -> list[Gate]:
    """A write is never shadowed, so nothing is compared: `reads`, those of its group that have a modern side, must be trusted there first,
    and no write may be `stuck` on its way to the other side."""
    behind = sorted(name for name, standing in reads.items() if more(wanted, standing))
    there = f"{', '.join(behind)} not yet" if behind else f"{len(reads)} of {len(reads)}"
    asked = "each read of the group on the modern side for at least this share"
    return [
        _gate("writes", stuck == 0, f"{stuck:,} that one side has and the other lacks", "none", "see `figway migrate reconcile`"),
        _gate("reads", not behind, there, asked, "move these first"),
    ]


def more(this: Standing, that: Standing) -> bool:
    """Whether anybody has a larger share of keys on the modern side in `this` than in `that`."""
    return any(_share(this, name) > _share(that, name) for name in ("", *this.consumers, *that.consumers))


def anew(now: Epoch, before: Epoch, began: float) -> str:
    """Why evidence of the epoch `before` counts no more: a line to tell."""
    builds = f"{before.build or 'unnamed'}, now {now.build or 'unnamed'}"
    changed = [
        f"another build of the modern side ({builds})" if now.build != before.build else "",
        "another text of the endpoint's file" if now.catalogue != before.catalogue else "",
        f"other rules ({before.rules}, now {now.rules})" if now.rules != before.rules else "",
    ]
    return f"evidence began anew {instant(began)}: {', '.join(filter(None, changed))}"


def _share(standing: Standing, consumer: str) -> Decimal:
    if standing.stage == "canary":
        return standing.consumers.get(consumer, standing.share)
    return Decimal(standing.stage in ("modern", "retired"))


def _gate(name: str, met: bool, there: str, asked: str, ahead: str = "", wait: float | None = None) -> Gate:
    return Gate(name, met, there, asked, "" if met else ahead, 0.0 if met else wait)


def _parity(endpoint: str, facts: Facts, gates: Gates, now: float) -> Gate:
    seen, noise = facts.seen, facts.noise
    keys, an_hour = missing(seen, gates.limit, gates.confidence), _an_hour(facts, now)
    wait = keys / an_hour * HOUR if keys and an_hour else None
    if keys is None:
        ahead = f"will not be shown at this rate; look at `figway migrate samples {endpoint}`"
    elif wait:
        ahead = f"needs about {keys:,} more keys like these: {spell(wait)} {_rate(facts, an_hour, now)}"
    else:
        ahead = f"needs about {keys:,} more keys{' like these' if seen.keys else ''}, and none came today"
    if noise.differed > noise.keys * gates.limit:
        ahead += f"; legacy differs with itself for {noise.differed:,} of {noise.keys:,} keys asked twice, which is more than the limit:"
        ahead += " while that is so this can't be met, for a reason that is not the modern side's"
    there = f"{seen.keys - seen.differed:,} distinct keys agree, {seen.differed:,} differ"
    asked = f"at least {percent(1 - gates.limit)} at {percent(gates.confidence)} confidence"
    return _gate("parity", keys == 0, there, asked, ahead, wait)


def _an_hour(facts: Facts, now: float) -> float:
    """How many new keys come at today's traffic."""
    return facts.day / _so_far(facts, now) * HOUR


def _so_far(facts: Facts, now: float) -> float:
    """Seconds of today's traffic that this evidence has seen."""
    return min(DAY, max(now - facts.began, 1.0))


def _rate(facts: Facts, an_hour: float, now: float) -> str:
    """By which it was reckoned: a minute of traffic says nothing of an hour."""
    seen = _so_far(facts, now)
    return f"at today's {an_hour:,.0f} new keys an hour" if seen >= HOUR else f"at the rate of the last {spell(seen)}"


def _unseen(facts: Facts, limit: float) -> Gate:
    """Rows of another date are due too: a modern side that lags where it is wrong must not be let off for it."""
    dropped, unasked = (facts.counts.get(name, 0) for name in ("dropped", "unasked"))
    dated = sum(facts.counts.get(f"skipped:{why}", 0) for why in DATED)
    due = dropped + unasked + dated + facts.counts.get("equal", 0) + facts.counts.get("different", 0)
    share = (dropped + unasked + dated) / due if due else 1.0
    counts = f"{dropped:,.0f} dropped, {unasked:,.0f} unasked" + (f", {dated:,.0f} of another date" if dated else "")
    there = f"{percent(share, 2)} of comparisons due were not made ({counts})"
    return _gate("unseen", share <= limit, there if due else "no comparison yet", f"at most {percent(limit)}")


def _period(facts: Facts, asked: float) -> Gate:
    """From the first to the last comparison: time in which nothing is compared shows nothing."""
    left = asked - (facts.last - facts.began)
    there = f"compared for {spell(facts.last - facts.began)}"
    return _gate("period", left <= 0, there, f"at least {spell(asked)}", f"{spell(left)} more", left)


def _must_have_seen(facts: Facts, asked: Mapping[str, tuple[str, ...]]) -> Gate:
    wanted = [(name, value) for name, values in asked.items() for value in values]
    lacking = [f"{name}={value}" for name, value in wanted if not facts.counts.get(f"{name}={value}")]
    there = f"no answer of {', '.join(lacking)} yet" if lacking else f"{len(wanted)} of {len(wanted)}"
    return _gate("must have seen", not lacking, there, f"each of {', '.join(f'{name}={value}' for name, value in wanted)}")


def _errors(facts: Facts, limit: float) -> Gate:
    asked, failed = (facts.counts.get(name, 0) for name in ("asked_modern", "failed_modern"))
    there = f"modern failed {percent(failed / asked, 2)} of {asked:,.0f}" if asked else "modern was not asked yet"
    return _gate("errors", asked > 0 and failed <= limit * asked, there, f"at most {percent(limit)}")


def _slower(facts: Facts, limit: float) -> Gate:
    modern, legacy = (quantile(facts.counts, side, 0.95) for side in ("modern", "legacy"))
    if modern is None or legacy is None:
        return _gate("p95", False, f"no answer of {'modern' if modern is None else 'legacy'} was timed yet", _times(limit))
    there = f"modern {modern * 1000:,.0f} ms, legacy {legacy * 1000:,.0f} ms: {modern / legacy:.3g} times"
    return _gate("p95", modern <= limit * legacy, there, _times(limit))


def _times(limit: float) -> str:
    return f"at most {limit:g} times"


def _drift(facts: Facts, limit: float) -> Gate:
    scored, apart = (facts.counts.get(name, 0) for name in ("scored", "score_distance"))
    there = f"scores are {apart / scored:.3g} apart on average of {scored:,.0f}" if scored else "no two scores were compared yet"
    return _gate("score drift", scored > 0 and apart <= limit * scored, there, f"at most {limit:g}")


def _flips(facts: Facts, limit: float) -> Gate:
    scored, flips = (facts.counts.get(name, 0) for name in ("scored", "score_flips"))
    there = f"{percent(flips / scored, 2)} of {scored:,.0f} decisions differ" if scored else "no two scores were compared yet"
    return _gate("score flips", scored > 0 and flips <= limit * scored, there, f"at most {percent(limit)}")
