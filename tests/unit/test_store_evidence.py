"""Evidence in the store: added up exactly whoever records it, and nothing acknowledged is lost, on either engine."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.unit.stores import Place, Time, on_sqlite
from wrapper.migration.evidence import Seen
from wrapper.migration.facts import SLICE, Batch, Calls, Epoch, Facts, Feed, Sample
from wrapper.state.evidence import EPOCHS, KEEPS, KINDS, PORTION, SAMPLES
from wrapper.state.store import Store

EPOCH = Epoch("loans.get", "build-1", "c0ffee", "")
NEXT = Epoch("loans.get", "build-2", "c0ffee", "")


def keys(*names: str, differed: bool = False, epoch: Epoch = EPOCH, feed: Feed = "modern", group: str = "loans") -> Batch:
    return Batch(keys={(epoch, feed, group, name): differed for name in names})


def facts(store: Store, endpoint: str = "loans.get") -> Facts:
    found = store.facts(endpoint)
    assert found is not None
    return found


def test_a_key_counts_once_and_once_it_differed_it_stays_so(store: Store) -> None:
    assert store.facts("loans.get") is None
    store.record(keys("1", "2", "3"))
    store.record(keys("1", "2"))
    assert facts(store).seen == Seen(3, 0)
    store.record(keys("2", "4", differed=True))
    store.record(keys("2", "4", differed=True))
    store.record(keys("2", "4", "5"))
    assert facts(store).seen == Seen(5, 2)
    assert facts(store).noise == Seen()


def test_feeds_groups_and_epochs_are_counted_apart(store: Store) -> None:
    store.record(keys("1"))
    store.record(keys("1", "2", differed=True, feed="self"))
    store.record(keys("1", group="cards"))
    store.record(keys("1", epoch=Epoch("cards.get", "", "", ""), differed=True))
    assert (facts(store).seen, facts(store).noise) == (Seen(2, 0), Seen(2, 2))
    assert facts(store, "cards.get").seen == Seen(1, 1)


def test_facts_are_of_the_epoch_that_was_recorded_last(place: Place) -> None:
    time = Time()
    with closing(place.open(time.clock)) as store:
        store.record(Batch(counts=defaultdict(float, {(EPOCH, "equal"): 2, (EPOCH, "scored"): 0.5})))
        began = facts(store).began
        time.wall += 10
        store.record(Batch(counts=defaultdict(float, {(NEXT, "equal"): 1})))
        time.wall += 10
        assert (facts(store).epoch, facts(store).counts) == (NEXT, {"equal": 1})
        store.record(Batch(counts=defaultdict(float, {(EPOCH, "equal"): 3})))
        assert (facts(store).epoch, facts(store).counts) == (EPOCH, {"equal": 5, "scored": 0.5})
        assert facts(store).began == began < facts(store).last
        assert [found.epoch for found in store.epochs("loans.get")] == [EPOCH, NEXT]


def test_the_keys_of_a_day_are_those_met_first_in_it(tmp_path: Path) -> None:
    """Where the store's time is the host's: only there can a test move it."""
    time = Time()
    with closing(on_sqlite(tmp_path).open(time.clock)) as store:
        store.record(keys("1", "2", "3"))
        time.wall += 23 * 3600 - 1
        store.record(keys("3", "4"))
        store.record(keys("5", feed="self"))
        assert facts(store).day == 4
        time.wall += 2 * 3600
        assert (facts(store).day, facts(store).seen) == (1, Seen(4, 0))


def test_no_key_and_no_sample_lies_open_in_the_store(store: Store, place: Place) -> None:
    store.record(keys("CUSTOMER77"))
    store.record(Batch(samples=[Sample(EPOCH, "value name", {"control": "SECRETNAME"})]))
    for table in ("epochs", "epoch_keys", "samples"):
        [row] = place.said(f"SELECT * FROM {table}")
        assert "CUSTOMER77" not in repr(row)
        assert b"SECRETNAME" not in b"".join(bytes(part) for part in row if isinstance(part, bytes | memoryview))
    [(_, sample)] = store.samples("loans.get")
    assert sample == Sample(EPOCH, "value name", {"control": "SECRETNAME"})


def test_samples_are_bounded_for_each_kind_and_in_all(store: Store) -> None:
    many = [Sample(EPOCH, "value a", {"n": n}) for n in range(SAMPLES - 1)]
    store.record(Batch(samples=many))
    store.record(Batch(samples=many))
    found = store.samples("loans.get")
    assert [sample.shown["n"] for _, sample in found] == [*range(SAMPLES - 1), 0]
    store.record(Batch(samples=[Sample(EPOCH, f"value {n}", {}) for n in range(KINDS + 5)]))
    assert len(store.samples("loans.get")) == SAMPLES + KINDS - 1
    store.record(Batch(samples=[Sample(NEXT, "value a", {})]))
    assert [sample.epoch for _, sample in store.samples("loans.get")] == [NEXT]
    assert store.samples("cards.get") == []


def test_the_recent_past_is_summed_from_a_moment_on(store: Store) -> None:
    for slice, many in ((100, 1), (101, 2), (102, 4)):
        store.record(Batch(recent=Counter({("a", slice, "served:modern"): many, ("a", slice, "compared"): 1, ("b", slice, "compared"): 9})))
    store.record(Batch(recent=Counter({("a", 102, "served:modern"): 8})))
    assert store.recent("a", 101 * SLICE) == {"served:modern": 14, "compared": 2}
    assert store.recent("a", 101 * SLICE + 1) == {"served:modern": 12, "compared": 1}  # what was before is not told apart in its slice
    assert store.recent("a", 103 * SLICE) == {}


def test_what_is_no_recent_past_any_more_is_deleted(store: Store) -> None:
    now = int(wall(store) // SLICE) // 120 * 120
    old = {("a", now - KEEPS - 200, "compared"): 1, ("a", now - KEEPS // 2, "compared"): 1}
    store.record(Batch(recent=Counter(old)))
    store.record(Batch(recent=Counter({("a", now, "compared"): 1})))
    assert store.recent("a", 0) == {"compared": 2}


def wall(store: Store) -> float:
    """The store's time of day."""
    store.record(keys("now", epoch=Epoch("now", "", "", "")))
    return facts(store, "now").last


def test_calls_of_a_consumer_are_added_up_by_day(store: Store) -> None:
    one = ("a", "claims-ui", "legacy", "2026-11-26")
    store.record(Batch(consumers={one: Calls(2, 0.5, 20.0, 30.0), ("b", *one[1:]): Calls(1, 0.0, 1.0, 1.0)}))
    store.record(Batch(consumers={one: Calls(1, 0.25, 10.0, 25.0), (*one[:3], "2026-11-27"): Calls(1, 0.0, 40.0, 40.0)}))
    first, second = store.consumers("a")
    assert (first.consumer, first.side, first.day) == one[1:]
    assert (first.calls, first.seconds, first.first, first.last) == (3, 0.75, 10.0, 30.0)
    assert second.day == "2026-11-27"
    assert len(store.consumers()) == 3


def test_what_many_record_at_once_is_added_up_exactly(place: Place) -> None:
    """Eight threads with overlapping keys, in other orders, through two stores as of two processes."""
    rounds = 4
    last = (rounds - 1) * 20 + 60
    with closing(place.open()) as one, closing(place.open()) as two:

        def go(n: int) -> None:
            for turn in range(rounds):
                names = [str(key) for key in range(turn * 20, turn * 20 + 60)]
                differs = {name: n == 1 and int(name) % 7 == 0 for name in names[:: 1 - 2 * (n % 2)]}  # only one of them meets differences
                batch = Batch({(epoch, "modern", "loans", name): differs[name] for epoch in (EPOCH, NEXT) for name in differs})
                batch.counts.update({(EPOCH, name): 1 for name in names})
                batch.recent["loans.get", 7 + turn % 2, "compared"] += 60
                batch.consumers["loans.get", "claims-ui", "legacy", str(turn)] = Calls(60, 30.0, n, n)
                (one, two)[n % 2].record(batch)

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(go, n) for n in range(8)]:
                done.result(30)
        told = one.epochs("loans.get")
        assert [found.seen for found in told] == [Seen(last, len(range(0, last, 7)))] * 2
        assert sum(sum(found.counts.values()) for found in told) == 8 * rounds * 60
        assert one.recent("loans.get", 0) == {"compared": 8 * rounds * 60}
        assert [(c.calls, c.seconds, c.first, c.last) for c in one.consumers()] == [(480, 240.0, 0.0, 7.0)] * rounds


def test_two_who_record_the_same_in_other_orders_do_not_wait_for_each_other(place: Place) -> None:
    """More than go into one statement, and nothing of an epoch, in which they would come one after the other anyway."""
    names = [f"{n:03}" for n in range(250)]
    rounds, barrier = 4, threading.Barrier(2)
    with closing(place.open()) as one, closing(place.open()) as two:

        def go(store: Store, order: list[str]) -> None:
            for _ in range(rounds):
                for batch in (
                    Batch(recent=Counter({(name, 7, "compared"): 1 for name in order})),
                    Batch(consumers={("a", name, "legacy", "d"): Calls(1, 0.5, 1.0, 2.0) for name in order}),
                ):
                    barrier.wait(10)
                    store.record(batch)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(go, one, names), pool.submit(go, two, names[::-1])]:
                done.result(30)
        assert {c.calls for c in one.consumers()} == {2 * rounds}
        assert one.recent("199", 0) == {"compared": 2 * rounds}


RECORDS = """
import sys
import time
from pathlib import Path
from wrapper.migration.decide import Standing
from wrapper.migration.facts import Batch, Epoch
from wrapper.state.store import Store

store, me = Store(sys.argv[1], Path(sys.argv[2])), sys.argv[3]
print("open", flush=True)
sys.stdin.readline()
epoch = Epoch("loans.get", "build-1", "c0ffee", "")
for n in range(1, 100_000):
    batch = Batch(keys={(epoch, "modern", "loans", f"{me} {n} {k}"): k == 0 for k in range(3)})
    batch.counts[epoch, me] += 1
    store.record(batch)
    store.move([me], Standing("shadow"), me, "")
    print(n, flush=True)
    time.sleep(0.002)
"""


def test_what_was_acknowledged_to_a_process_that_is_killed_is_there(store: Store, place: Place) -> None:
    """Three at once, killed one after the other, each wherever it is just then."""
    command = [sys.executable, "-c", RECORDS, place.url, str(place.key)]
    running = {name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in "pqr"}
    told: dict[str, int] = {}
    for process in running.values():
        assert said(process, 1) == ["open"]
    for process in running.values():
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for name, process in running.items():
        first = said(process, 10)
        process.kill()
        told[name] = len(first) + len(said(process))
        process.communicate(timeout=10)
    found = facts(store)
    standings = store.standings()[1]
    for name in running:
        assert 10 <= told[name] <= found.counts[name] <= told[name] + 1
        assert told[name] <= standings[name].number <= found.counts[name]
    recorded = sum(int(number) for number in found.counts.values())
    assert found.seen == Seen(3 * recorded, recorded)  # a batch is there as a whole
    assert store.stages_number() == sum(move.number for move in standings.values())


def said(process: subprocess.Popen[str], lines: int | None = None) -> list[str]:
    assert process.stdout is not None
    return [line.strip() for line in itertools.islice(process.stdout, lines)]


def test_of_an_endpoints_epochs_the_newest_are_kept_and_older_ones_go_portion_by_portion(place: Place) -> None:
    time = Time()
    with closing(place.open(time.clock)) as store:
        for n in range(EPOCHS + 2):
            time.wall += 10
            many = keys(*map(str, range(PORTION + 1 if n == 0 else 2)), epoch=Epoch("loans.get", str(n), "", ""))
            many.counts[Epoch("loans.get", str(n), "", ""), "equal"] += 1
            store.record(many)
        store.record(keys("1", epoch=Epoch("cards.get", "0", "", "")))
        if place.url.startswith("postgres"):
            place.said("UPDATE epochs SET last = CAST(build AS INTEGER)")
        taken = 0
        while store.prune_epochs("loans.get"):
            taken += 1
        assert taken == 3  # two portions, and the other epoch
        assert [each.epoch.build for each in store.epochs("loans.get", 99)] == [str(n) for n in range(EPOCHS + 1, 1, -1)]
        assert place.said("SELECT COUNT(*) FROM epoch_keys") == [(2 * EPOCHS + 1,)]
        assert place.said("SELECT COUNT(*) FROM epoch_counts") == [(EPOCHS,)]
