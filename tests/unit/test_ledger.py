"""What a process has seen reaches the store whole, in portions, once; and while the store is away it stays within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import pytest

from tests.unit.small import moving
from wrapper.ledger import MOST, PORTION, RECENT, SAMPLES, Ledger
from wrapper.migration.facts import Batch, Epoch, Sample
from wrapper.policy.keys import Caller
from wrapper.problems import NotReady, Unsure

EPOCH = Epoch("things.get", "1", "c", "")


class Told:
    """A store that adds up what it takes; `faults` come first. An Unsure one has taken it all the same."""

    def __init__(self, *faults: Exception | None) -> None:
        self.faults, self.batches, self.away = list(faults), list[Batch](), False

    def record(self, batch: Batch, within: float = 0.0) -> None:
        if self.away:
            raise NotReady("away")
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or isinstance(fault, Unsure):
            self.batches.append(batch)
        if fault is not None:
            raise fault

    def keys(self) -> dict[str, bool]:
        found: dict[str, bool] = {}
        for batch in self.batches:
            for (_, _, _, key), differed in batch.keys.items():
                found[key] = differed or found.get(key, False)
        return found

    def sum(self, name: str) -> float:
        return sum(number for batch in self.batches for (_, counted), number in batch.counts.items() if counted == name)


def put(ledger: Ledger, keys: Sequence[int], differed: bool = False) -> None:
    for n in keys:
        ledger.key(EPOCH, "modern", "things", str(n), differed)


@pytest.fixture
def store() -> Told:
    return Told()


def made(store: Told, clock: Callable[[], float] = time.time) -> Ledger:
    """Without its thread: the test says when it tells."""
    ledger = Ledger(store, clock)
    ledger.close()
    return ledger


@pytest.fixture
def ledger(store: Told) -> Ledger:
    return made(store)


def test_no_caller_has_a_name_that_the_store_can_not_write() -> None:
    for name in ("a\ud800", "\udcff"):
        with pytest.raises(ValueError, match="surrogates"):
            Caller(name)
        with pytest.raises(ValueError, match="surrogates"):
            Caller("ann", tenant=name)
    assert Caller("ünter", tenant="north").principal == "north/ünter"


def test_a_backlog_is_told_in_portions_and_goes_on_where_it_was_broken_off(store: Told, ledger: Ledger) -> None:
    put(ledger, range(3 * PORTION))
    ledger.count(EPOCH, {"equal": 3.0})
    store.faults = [None, NotReady("busy")]
    assert not ledger.flush()
    assert max(len(batch.keys) for batch in store.batches) <= PORTION
    assert ledger.flush()
    assert len(store.keys()) == sum(len(batch.keys) for batch in store.batches) == 3 * PORTION
    assert store.sum("equal") == 3


def test_what_the_store_may_have_taken_is_added_up_once(store: Told, ledger: Ledger) -> None:
    put(ledger, range(3), differed=True)
    ledger.count(EPOCH, {"different": 3.0})
    store.faults = [Unsure("cut off"), Unsure("cut off"), Unsure("cut off")]
    for _ in range(3):
        assert not ledger.flush()
    assert ledger.flush()
    assert (store.sum("different"), store.keys()) == (3, {"0": True, "1": True, "2": True})


def test_what_waits_while_the_store_is_away_is_bounded_and_no_difference_is_lost(store: Told) -> None:
    now = [1_800_000_000.0]
    ledger = made(store, lambda: now[0])
    store.away = True
    operation = moving()
    for part in range(4):
        put(ledger, range(part * MOST // 2, (part + 1) * MOST // 2))
        for n in range(SAMPLES):
            ledger.sample(Sample(EPOCH, "value", {"n": n}))
        ledger.served(operation, "alice", "modern", 0.1, failed=False, tracked=True)
        assert not ledger.flush()
        now[0] += RECENT / 2
    put(ledger, [7, 3 * MOST], differed=True)
    store.away = False
    assert ledger.flush()
    keys = store.keys()
    assert len(keys) == MOST + 1
    assert {key for key, differed in keys.items() if differed} == {"7", str(3 * MOST)}
    assert store.sum("dropped") == MOST
    assert sum(len(batch.samples) for batch in store.batches) == SAMPLES
    assert sum(sum(batch.recent.values()) for batch in store.batches) < 4
    assert sum(calls.calls for batch in store.batches for calls in batch.consumers.values()) == 4
