"""What shadowing costs the caller: one mainframe enquiry at half saturation, its endpoint at legacy, and at shadow with the modern side
healthy and stalled for ever. All of them in one facade, in turn; the endpoint at legacy is asked twice a round, as an A/A control."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import yaml

from tests.bench import estate
from tests.bench.rounds import Load, Slice, Target
from tests.bench.table import Row
from wrapper.migration.decide import Standing
from wrapper.state.store import Store

CONNECTIONS = 8
NAMES = {"legacy": "moved.first", "again": "moved.first", "healthy": "moved.healthy", "stalled": "moved.stalled"}
_SAID = {"again": "the endpoint at legacy again (A/A control)", "healthy": "shadowing", "stalled": "shadowing, modern stalled for ever"}


def rows(load: Load, state: str, targets: Mapping[str, Target], rounds: int, seconds: float) -> Iterator[Row]:
    """`targets` by the words of NAMES; `state` is the facade's store. Each round is told against its own slices at legacy."""
    with closing(Store(state)) as store:
        store.move(["moved.healthy", "moved.stalled"], Standing("shadow"), "bench", "what it costs")
    load.measure(targets["legacy"], CONNECTIONS, seconds)  # sessions sign on
    most = load.measure(targets["legacy"], CONNECTIONS, seconds).rate
    slices: dict[str, list[Slice]] = {name: [] for name in NAMES}
    for target in targets.values():
        load.measure(target, CONNECTIONS, seconds, rate=most / 2)
    names = list(NAMES)
    for n in range(rounds):
        for name in names[n % len(names) :] + names[: n % len(names)]:  # nobody always comes after the same one
            slices[name].append(load.measure(targets[name], CONNECTIONS, seconds, rate=most / 2))
    control = [*zip(slices["legacy"], slices["again"], strict=True)]
    for name, what in _SAID.items():
        half, tail = (_more(control, slices[name], cut) if name != "again" else _apart(control, cut) for cut in ("p50", "p99"))
        at = f"at {most / 2:.0f} requests/s, p50 {statistics.median(s.p50 for s in slices[name]) * 1000:.1f} ms"
        if name == "again":
            yield Row("h", what, f"p50 {half:+.1%}, p99 {tail:+.1%}; {at}")
            continue
        yield Row("h", f"{what}: more p50 for the caller", f"{half:+.1%}; {at}", half * 100, None, 3, "less", "%")
        yield Row("h", f"{what}: more p99 for the caller", f"{tail:+.1%}", tail * 100, None, 10, "less", "%")


def _more(control: Sequence[tuple[Slice, Slice]], after: Sequence[Slice], what: str) -> float:
    """Against the mean of both slices at legacy of the same round."""
    pairs = zip(control, after, strict=True)
    return statistics.median(2 * getattr(met, what) / (getattr(one, what) + getattr(two, what)) for (one, two), met in pairs) - 1


def _apart(control: Sequence[tuple[Slice, Slice]], what: str) -> float:
    return statistics.median(getattr(two, what) / getattr(one, what) for one, two in control) - 1


def endpoint(name: str, modern: str) -> str:
    """customers.get under another name and path, with this modern side."""
    made = yaml.safe_load((estate.FIXTURES / "endpoints" / "customers.get.yaml").read_text(encoding="utf-8"))
    side = {"system": modern, "path": "/customers/{customer_id}"}
    gates = {"parity_at_least": "99%", "confidence": "95%", "period_at_least": "1s"}
    terms = {"highest_stage": "modern", "promote_when": gates, "compare": {"self_sample": "1%"}}
    route = f"GET /v1/{name.replace('.', '/')}/{{customer_id}}"
    return json.dumps({**made, "endpoint": name, "group": name, "route": route, "modern": side, "migration": terms})
