"""Endpoints move by what was seen of them: further through their steps, and back when the last minutes were bad. Evidence is planted in a
real store; the time of day is set by hand, but where two processes race."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Ticket
from tests.unit.small import DROP, Scripted, drop, operation, service
from tests.unit.stores import Time, on_sqlite
from tests.waiting import until
from wrapper import promotion
from wrapper.jobs import Runner
from wrapper.ledger import Ledger
from wrapper.migration.decide import Standing
from wrapper.migration.facts import SLICE, Batch, Epoch
from wrapper.migration.report import verify
from wrapper.migration.rules import rules
from wrapper.operation import Catalogue, Gates, Migration, Operation, RollBack, Source
from wrapper.pilot import LOOK, NAME, Pilot
from wrapper.problems import NotReady
from wrapper.state.clock import Clock
from wrapper.state.records import WriteId
from wrapper.state.store import Store

LEGACY = operation().legacy
assert LEGACY is not None
MODERN = replace(LEGACY, system="modern-core")
RULE = RollBack(within=60.0, min_count=20, errors=0.1, parity=0.9)
TERMS = Migration(
    highest="modern", key="id", gates=Gates(0.01, 0.95, 0.0), roll_back=RULE, automatic=True, writes="dual",
    steps=(Decimal("0.1"), Decimal("0.5")),
)  # fmt: skip
SHADOW, TENTH, HALF, ALL = Standing("shadow"), Standing("canary", Decimal("0.1")), Standing("canary", Decimal("0.5")), Standing("modern")


def endpoint(name: str = "things.get", modern: Source | None = MODERN, effect: Any = "read", terms: Migration | None = TERMS) -> Operation:
    return operation(name, group="thing", modern=modern, effect=effect, migration=terms, hash="h1")


GET, PUT, DELETE = endpoint(), endpoint("things.put", effect="write"), endpoint("things.delete", effect="write")


@dataclass
class Heard:
    """What operators would see counted."""

    happened_: Counter[str] = field(default_factory=Counter)

    def happened(self, event: str, system: str) -> None:
        self.happened_[f"{event} {system}"] += 1

    def level(self, gauge: str, system: str, value: float) -> None: ...

    def took(self, what: str, system: str, seconds: float) -> None: ...


class Rig:
    """A store in which time passes when it is told to, and a pilot over some endpoints."""

    def __init__(self, store: Store, clock: Time, *operations: Operation) -> None:
        self.store, self.time, self.heard = store, clock, Heard()
        self.serve(*operations)

    def serve(self, *operations: Operation) -> None:
        """The catalogue is this now."""
        self.catalogue = Catalogue({}, {op.name: op for op in operations}, "hash")
        self.pilot = Pilot(self.catalogue, self.store, self.time.clock, self.heard)

    def at(self, name: str = "things.get") -> Standing:
        moves = self.store.standings()[1]
        return moves[name].standing if name in moves else Standing("legacy")

    def put(self, *standings: Standing, name: str = "things.get") -> None:
        for standing in standings:
            self.store.move([name], standing, "alice", "it is time")
            self.passes(1)

    def passes(self, seconds: float) -> None:
        self.time.wall += seconds
        self.time.steady += seconds

    def turn(self) -> None:
        """A slice and a look later."""
        self.passes(max(LOOK, SLICE))
        self.pilot.turn()

    def compared(self, keys: int = 600, differed: int = 0, build: str = "1", name: str = "things.get") -> None:
        """As evidence, not as of the last minutes."""
        epoch = Epoch(name, build, "h1", str(rules({})))
        batch = Batch()
        for n in range(keys):
            batch.keys[epoch, "modern", "thing", str(n)] = n < differed
        batch.counts.update({(epoch, "equal"): keys - differed, (epoch, "different"): differed})
        self.store.record(batch)

    def recent(self, name: str = "things.get", **counts: int) -> None:
        """served=30, failed=2, compared=..., different=...: now."""
        named = {"served": "served:modern", "failed": "failed:modern"}
        slice = int(self.time.wall // SLICE)
        self.store.record(Batch(recent=Counter({(name, slice, named.get(what, what)): n for what, n in counts.items()})))

    def plan(self, wanted: Standing, of: Operation = GET) -> promotion.Plan:
        return promotion.plan(self.catalogue, self.store, of, wanted, self.time.wall)

    def owe(self) -> str:
        """A write that only modern has; its id."""
        self.store.add_leg(WriteId("alice", "things.put", "k1"), "thing", "subject", "legacy", "owed", {})
        return self.store.open_legs("thing")[0].id


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def still(tmp_path: Path, clock: Time) -> Iterator[Store]:
    """A store whose time is set by hand."""
    with closing(on_sqlite(tmp_path).open(clock.clock)) as made:
        yield made


def test_an_endpoint_goes_through_its_steps_and_no_further_than_modern(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, endpoint(terms=replace(TERMS, highest="retired")))
    rig.put(SHADOW)
    rig.turn()
    assert rig.at() == SHADOW
    for standing in (TENTH, HALF, ALL):
        rig.compared()
        rig.turn()
        assert rig.at() == standing
        rig.passes(SLICE)
        rig.recent(served=20)
    rig.compared()
    rig.turn()
    assert rig.at() == ALL
    assert [(m.who, str(m.standing)) for m in still.moves("things.get")] == [
        (NAME, "modern"), (NAME, "canary 50%"), (NAME, "canary 10%"), ("alice", "shadow"),
    ]  # fmt: skip
    assert rig.heard.happened_ == {"promoted modern-core": 3}


def test_each_step_waits_for_answers_and_comparisons_of_its_own(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW)
    rig.recent(served=500)
    rig.compared()
    rig.passes(1)
    rig.put(TENTH)
    rig.turn()
    rig.recent(served=19)
    assert promotion.waits(still, rig.plan(HALF)) == [
        "nothing was compared since the last move", "modern has answered 19 of 20 requests that this step takes",
    ]  # fmt: skip
    rig.compared()
    rig.turn()
    assert rig.at() == TENTH
    rig.recent(served=1)
    rig.turn()
    assert rig.at() == HALF


def test_a_move_carries_its_signed_report(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW)
    rig.compared(600, 0)
    rig.turn()
    text = still.report("things.get", 2)
    assert text is not None
    report = verify(text, promotion.public_key(still))
    assert (report["endpoint"], report["from"], report["to"], report["who"]) == ("things.get", "shadow", "canary 10%", NAME)
    assert report["evidence"]["keys"]["compared"] == 600
    assert [gate["gate"] for gate in report["gates"] if gate["met"]] == ["parity", "unseen", "period"]
    assert [line["to"] for line in report["history"]] == ["shadow"]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ({"served": 20, "failed": 3}, "15% of modern's last 20 answers were errors; at most 10%"),
        ({"compared": 20, "different": 3}, "85% of the last 20 comparisons were equal; at least 90%"),
    ],
)
@pytest.mark.parametrize("stands", [TENTH, ALL])
def test_an_endpoint_goes_back_to_shadow_by_itself(still: Store, clock: Time, bad: Mapping[str, int], why: str, stands: Standing) -> None:
    rig = Rig(still, clock, endpoint(terms=replace(TERMS, automatic=False)))
    rig.put(SHADOW, stands)
    rig.passes(SLICE)
    rig.recent(**bad)
    rig.pilot.turn()
    assert rig.at() == SHADOW
    move = still.moves("things.get", 1)[0]
    assert (move.who, move.why) == (NAME, why)
    assert rig.heard.happened_ == {"rolled_back modern-core": 1}


def test_it_stays_when_too_little_was_bad_or_too_long_ago_or_before_the_last_move(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(TENTH)
    rig.passes(SLICE)
    rig.recent(served=19, failed=19)
    rig.pilot.turn()
    assert rig.at() == TENTH, "too little"
    rig.passes(RULE.within + SLICE)
    rig.recent(served=19, failed=0)
    rig.pilot.turn()
    assert rig.at() == TENTH, "too long ago"
    rig.recent(served=100, failed=100)
    rig.put(HALF)
    rig.turn()
    assert rig.at() == HALF, "before the last move"
    rig.recent(served=20, failed=20)
    rig.pilot.turn()
    assert rig.at() == SHADOW


def test_what_was_taken_back_goes_on_by_itself_only_on_evidence_of_something_new(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW, TENTH)
    rig.compared()
    rig.passes(SLICE)
    rig.recent(served=20, failed=20)
    rig.turn()
    assert rig.at() == SHADOW
    rig.compared()
    rig.turn()
    assert rig.at() == SHADOW
    assert rig.plan(TENTH).obstacles == ()  # a person may
    rig.passes(1)
    rig.compared(build="2")
    rig.turn()
    assert rig.at() == TENTH
    assert rig.plan(HALF).notes[0].startswith("evidence began anew")


@pytest.mark.parametrize(
    ("changes", "stands"),
    [
        ({"automatic": False}, SHADOW),
        ({"roll_back": None}, SHADOW),
        ({"highest": "shadow"}, SHADOW),
        ({"gates": None}, SHADOW),
        ({"gates": replace(TERMS.gates, period=3600.0)}, SHADOW),
        ({"freezes": ((datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC)),)}, SHADOW),
        ({}, Standing("legacy")),
        ({"steps": (Decimal("0.1"),)}, Standing("canary", Decimal("0.1"), {"batch": Decimal(0)})),
    ],
    ids=["people", "no way back", "highest", "no gates", "gate", "freeze", "legacy", "a consumer is held"],
)
def test_it_does_not_move_on_by_itself(still: Store, clock: Time, changes: dict[str, Any], stands: Standing) -> None:
    rig = Rig(still, clock, endpoint(terms=replace(TERMS, **changes)))
    rig.put(stands)
    rig.compared()
    rig.passes(SLICE)
    rig.recent(served=20)
    rig.turn()
    assert rig.at() == stands


def test_all_writes_of_a_group_go_back_together(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET, PUT, DELETE)
    for name in (PUT.name, DELETE.name):
        rig.put(TENTH, name=name)
    rig.passes(SLICE)
    rig.recent(PUT.name, served=20, failed=20)
    rig.turn()
    assert [rig.at(PUT.name), rig.at(DELETE.name)] == [Standing("legacy")] * 2
    assert [len(still.moves(name)) for name in (PUT.name, DELETE.name)] == [2, 2]


@pytest.mark.parametrize("name", [PUT.name, GET.name])
def test_nothing_goes_back_while_legacy_lacks_a_write_and_that_is_said(
    still: Store, clock: Time, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    rig = Rig(still, clock, GET, PUT)
    rig.put(TENTH, name=name)
    leg = rig.owe()
    for _ in range(8):
        rig.passes(SLICE)
        rig.recent(name, served=20, failed=20)
        rig.pilot.turn()
    assert rig.at(name) == TENTH
    assert rig.heard.happened_ == {"rollback_refused modern-core": 1}
    told = promotion.refused_rollback(rig.catalogue, still, rig.catalogue.operations[name], clock.wall)
    assert told.startswith("an automatic rollback was refused (100% of modern's last ")
    assert told.endswith(
        "1 write is on the modern side only, and no key goes back to legacy before that is reconciled: see `figway migrate reconcile thing`"
    )
    still.close_leg(leg, "done by hand")
    assert promotion.refused_rollback(rig.catalogue, still, rig.catalogue.operations[name], clock.wall) == ""
    rig.pilot.turn()
    assert rig.at(name) == promotion.back(rig.catalogue.operations[name], TENTH)


def test_a_write_that_comes_to_be_owed_while_a_move_is_planned_stops_it(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(TENTH)
    planned = rig.plan(SHADOW)
    assert planned.obstacles == ()
    rig.owe()
    assert not promotion.carry_out(still, planned, NAME, "", clock.wall)
    assert rig.at() == TENTH


def test_trouble_with_one_endpoint_leaves_no_other_one_unwatched(still: Store, clock: Time) -> None:
    broken = endpoint("a.broken", terms=replace(TERMS, gates=replace(TERMS.gates, limit=0.0)))  # type: ignore[type-var]
    rig = Rig(still, clock, broken, GET)
    rig.put(SHADOW, name="a.broken")
    rig.put(TENTH)
    rig.passes(SLICE)
    rig.recent(served=20, failed=20)
    rig.turn()
    assert rig.at() == SHADOW


def test_two_pilots_make_one_move(store: Store) -> None:
    """On either engine, by its own clock."""
    catalogue = Catalogue({}, {GET.name: GET}, "hash")
    store.move([GET.name], TENTH, "alice", "")
    later = Clock(lambda: time.time() + 2 * SLICE)
    slice = int(later.wall() // SLICE)
    store.record(Batch(recent=Counter({(GET.name, slice, "served:modern"): 50, (GET.name, slice, "failed:modern"): 50})))
    ready, pilots = threading.Barrier(4), [Pilot(catalogue, store, later) for _ in range(4)]

    def fly(pilot: Pilot) -> None:
        ready.wait()
        pilot.turn()

    threads = [threading.Thread(target=fly, args=(pilot,)) for pilot in pilots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(m.number, m.standing.stage) for m in store.moves(GET.name)] == [(2, "shadow"), (1, "canary")]


def test_a_drop_that_stalls_holds_up_no_rollback(tmp_path: Path) -> None:
    back_end, stop, free = Scripted(), threading.Event(), threading.Event()

    def stalls(ticket: Ticket, record: Callable[[str], None]) -> None:
        free.wait(30)
        record("published")

    back_end.publish = stalls
    made, store = service(tmp_path, back_end, DROP)
    later = Clock(lambda: time.time() + 2 * SLICE)
    store.move([GET.name], TENTH, "alice", "")
    slice = int(later.wall() // SLICE)
    store.record(Batch(recent=Counter({(GET.name, slice, "served:modern"): 50, (GET.name, slice, "failed:modern"): 50})))
    pilot = Pilot(Catalogue({}, {GET.name: GET}, "hash"), store, later)
    worker = threading.Thread(target=Runner(made, {"scripted": back_end}, store, pilot=pilot).run, args=(stop,))
    drop(made)
    worker.start()
    try:
        until(lambda: store.standings()[1][GET.name].standing.stage == "shadow", 10)
        until(lambda: back_end.submitted, 10)
    finally:
        free.set()
        stop.set()
        worker.join()


# -- what stands in the way of a move, whoever wants it


def obstacles(rig: Rig, wanted: Standing, of: Operation = GET) -> list[str]:
    return [text.removeprefix(f"{of.name}: ") for text in rig.plan(wanted, of).obstacles]


@pytest.mark.parametrize(
    ("stands", "wanted", "said"),
    [
        ("legacy", Standing("shadow"), []),
        ("legacy", TENTH, ["one stage at a time: from legacy it goes to shadow"]),
        ("shadow", ALL, ["one stage at a time: from shadow it goes to canary"]),
        ("shadow", SHADOW, ["it stands at shadow already"]),
        ("canary", ALL, []),
        ("canary", HALF, []),
        ("modern", Standing("retired"), ["its file's highest_stage is modern"]),
        ("modern", TENTH, []),
        ("modern", Standing("legacy"), []),
    ],
)
def test_a_read_goes_one_stage_at_a_time_up_and_as_far_as_one_likes_down(
    still: Store, clock: Time, stands: Any, wanted: Standing, said: list[str]
) -> None:
    rig = Rig(still, clock, GET)
    rig.put(Standing(stands, Decimal("0.1") if stands == "canary" else Decimal(0)))
    rig.compared()
    assert obstacles(rig, wanted) == said


def test_evidence_of_another_text_of_the_file_counts_for_nothing(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW)
    rig.compared()
    assert obstacles(rig, TENTH) == []
    for changed in (replace(GET, hash="h2"), endpoint(terms=replace(TERMS, compare={"decimal": "0.01"}))):
        rig.serve(changed)
        planned = rig.plan(TENTH, changed)
        assert planned.obstacles[0].startswith("parity: 0 distinct keys agree")
        assert planned.notes == (
            "the endpoint's file or its rules were changed: evidence begins anew when the facade has been told (HUP) and compares again",
        )


def test_evidence_that_is_old_says_so(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW)
    rig.compared()
    assert rig.plan(TENTH).notes == ()
    rig.passes(90_000)
    assert rig.plan(TENTH).notes == ("nothing was compared since 2027-01-15 08:00:01Z",)


def test_a_freeze_holds_what_would_move_past_shadow_and_nothing_that_goes_back(still: Store, clock: Time) -> None:
    begins = datetime.fromtimestamp(clock.wall, UTC) + timedelta(seconds=30)
    frozen = endpoint(terms=replace(TERMS, freezes=((begins, begins + timedelta(hours=1)),)))
    rig = Rig(still, clock, frozen)
    rig.put(SHADOW)
    rig.compared()
    assert obstacles(rig, TENTH, frozen) == []
    rig.put(TENTH)
    rig.passes(60)
    assert obstacles(rig, HALF, frozen) == ["nothing moves on until 2027-01-15 09:00:30Z: its file says freeze"]
    assert obstacles(rig, SHADOW, frozen) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (endpoint(modern=None), "it has no modern side"),
        (endpoint(terms=None), "its file has no `migration` block"),
        (endpoint(terms=replace(TERMS, gates=None)), "promote_when: its file does not say it; what is to be shown"),
        (endpoint("things.put", effect="write", terms=replace(TERMS, writes="legacy_only")), "its file's `writes` is legacy_only"),
        (endpoint("things.put", effect="idempotent", terms=replace(TERMS, writes="legacy_only")), "its file's `writes` is legacy_only"),
    ],
)
def test_what_the_file_does_not_allow_is_not_done(still: Store, clock: Time, changed: Operation, said: str) -> None:
    rig = Rig(still, clock, changed)
    if changed.effect == "read":
        rig.put(SHADOW)
    rig.compared()
    assert obstacles(rig, TENTH, changed) == [said]


def test_a_write_follows_the_reads_of_its_group(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET, PUT, DELETE)
    rig.put(SHADOW)
    assert [text.partition(":")[0] for text in rig.plan(TENTH, PUT).obstacles] == ["reads"]
    assert "a write is never shadowed: from legacy it goes to canary" in obstacles(rig, SHADOW, PUT)
    rig.put(TENTH)
    planned = rig.plan(TENTH, PUT)
    assert (planned.obstacles, planned.expected) == ((), {"things.put": 0, "things.delete": 0})
    assert promotion.carry_out(still, planned, "alice", "reads are well", clock.wall, second="bob", ticket="CHG-1")
    assert [rig.at(PUT.name), rig.at(DELETE.name)] == [TENTH] * 2
    assert [text.partition(":")[0] for text in rig.plan(HALF, DELETE).obstacles] == ["reads"]


def test_a_write_waits_for_one_that_hangs_between_the_sides(still: Store, clock: Time) -> None:
    rig = Rig(still, clock, GET, PUT)
    rig.put(TENTH)
    still.add_leg(WriteId("alice", "things.put", "k1"), "thing", "subject", "modern", "pending", {})
    assert obstacles(rig, TENTH, PUT) == []  # it is on its way
    rig.passes(promotion.LATE + 1)
    assert [text.partition(";")[0] for text in obstacles(rig, TENTH, PUT)] == ["writes: 1 that one side has and the other lacks"]


def test_the_next_step_is_told_from_each_stage() -> None:
    def way(op: Operation, now: Standing) -> list[str]:
        steps = []
        while now.stage != "retired":
            now = promotion.next_standing(op, now)
            steps.append(str(now))
        return steps

    assert way(GET, Standing("legacy")) == ["shadow", "canary 10%", "canary 50%", "modern", "retired"]
    assert way(PUT, Standing("legacy")) == ["canary 10%", "canary 50%", "modern", "retired"]
    pinned = Standing("canary", Decimal("0.2"), {"batch": Decimal(0)})
    assert str(promotion.next_standing(GET, pinned)) == "canary 50%, batch 0%"
    assert promotion.next_standing(GET, Standing("retired")) == Standing("retired")


def test_two_builds_that_answer_by_turns_promote_nothing(still: Store, clock: Time) -> None:
    read = endpoint(terms=replace(TERMS, gates=Gates(0.01, 0.95, 60.0)))
    rig = Rig(still, clock, read)
    rig.put(SHADOW)
    for _ in range(8):
        rig.compared(600, differed=300, build="1")
        rig.passes(5)
        rig.compared(600, build="2")
        rig.turn()
    assert rig.at() == SHADOW
    (told,) = (obstacle for obstacle in rig.plan(TENTH, read).obstacles if obstacle.startswith("one build"))
    assert "1 has answered too" in told
    rig.passes(61)
    rig.compared(600, build="2")
    rig.turn()
    assert rig.at() == TENTH


def test_an_endpoint_that_can_not_be_looked_at_leaves_none_unwatched_and_does_not_go_on(tmp_path: Path, clock: Time) -> None:
    class Slow(Store):
        def recent(self, endpoint: str, since: float) -> dict[str, float]:
            if endpoint == "a.get":
                raise NotReady("it takes too long")
            return super().recent(endpoint, since)

    with closing(Slow(on_sqlite(tmp_path).url, None, clock.clock)) as store:
        first, second = endpoint("a.get"), endpoint("b.get")
        rig = Rig(store, clock, first, second)
        for name in ("a.get", "b.get"):
            rig.put(SHADOW, TENTH, name=name)
        rig.passes(SLICE)
        rig.recent("b.get", served=20, failed=20)
        rig.compared(name="a.get")
        rig.turn()
        assert (rig.at("a.get"), rig.at("b.get")) == (TENTH, SHADOW)


@pytest.mark.parametrize("ahead", [-600.0, -7.0, 7.0, 600.0])
def test_a_host_whose_clock_is_wrong_is_watched_by_the_store_s(still: Store, clock: Time, ahead: float) -> None:
    rig = Rig(still, clock, GET)
    rig.put(SHADOW)
    host = Ledger(still, lambda: clock.wall + ahead)
    host.close()  # it tells when it is asked to
    for _ in range(20):
        host.served(GET, "bob", "modern", 0.1, failed=True, tracked=True)
    assert host.flush()
    rig.passes(1)
    rig.put(TENTH)
    rig.pilot.turn()
    assert rig.at() == TENTH  # nothing of what was before it
    rig.passes(2 * SLICE)
    for _ in range(20):
        host.served(GET, "bob", "modern", 0.1, failed=True, tracked=True)
    assert host.flush()
    rig.pilot.turn()
    assert rig.at() == SHADOW
