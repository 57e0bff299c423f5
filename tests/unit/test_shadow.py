"""The other side is asked after the caller has the answer; what differs, what can't be compared and what was not asked is counted so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call, Record
from adapters.errors import CircuitOpen, Misread, Missing, PoolExhausted, Unavailable
from scoring.store import Store as Models
from tests.unit.small import Scripted, fail, join, missing, moving, request
from tests.unit.small import service as made_service
from tests.waiting import until
from wrapper.ledger import Ledger
from wrapper.migration.asked import Asked
from wrapper.migration.compare import Failure
from wrapper.migration.decide import Standing
from wrapper.migration.facts import Batch, Facts
from wrapper.operation import Field, Gates, Migration, Operation, Part, Scoring
from wrapper.problems import NotReady
from wrapper.rows import Rows
from wrapper.service import Service
from wrapper.shadow import ROWS, Shadow
from wrapper.spare_time import HEAVY, REST, SHARE, Pace, SpareTime
from wrapper.state.store import Store

MODELS = Path(__file__).parents[2] / "fixtures" / "models"
ALL = Migration(self_sample=0.0)


def thing(amount: str = "1.00") -> Callable[[Call], Sequence[Record]]:
    return lambda call: [{"id": call.params["id"], "amount": amount}]


class Rig:
    """A facade over two scripted sides, with one endpoint at a stage."""

    def __init__(self, folder: Path, legacy: Scripted, modern: Scripted, stage: str = "shadow", terms: Migration = ALL, **op: Any) -> None:
        self.legacy, self.modern = legacy, modern
        self.operation: Operation = moving(terms=terms, **op)
        self.service: Service
        self.store: Store
        self.service, self.store = made_service(folder, legacy, self.operation, modern=modern)
        self.store.move(["things.get"], Standing(stage), "alice", "test")  # type: ignore[arg-type]

    def ask(self, *ids: str) -> None:
        for id in ids:
            self.service.serve(self.operation, request(id))

    def facts(self, compared: int) -> Facts:
        """Once so many comparisons, or reasons for none, are in the store."""

        def there() -> bool:
            self.service.ledger.flush()
            found = self.store.facts("things.get")
            names = ("equal", "different", "skipped", "dropped", "unasked")
            return found is not None and sum(found.counts.get(n, 0) for n in names) >= compared

        until(there, 5)
        found = self.store.facts("things.get")
        assert found is not None
        return found


@pytest.fixture
def sides() -> tuple[Scripted, Scripted]:
    return Scripted(thing()), Scripted(thing(), name="modern")


def test_equal_answers_are_evidence_once_for_each_key(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    rig = Rig(tmp_path, *sides)
    rig.ask("1", "2", "1", "3")
    facts = rig.facts(4)
    assert (facts.seen.keys, facts.seen.differed) == (3, 0)
    assert facts.counts["equal"] == 4
    assert all(call.background for call in rig.modern.calls)
    assert not any(call.background for call in rig.legacy.calls)


def test_a_difference_is_believed_when_legacy_says_the_same_again(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    modern.answer = thing("1.01")
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed) == (1, 1)
    assert (len(legacy.calls), len(modern.calls)) == (2, 1)
    assert facts.counts["class:value object.amount rounding"] == 1
    ((_, sample),) = rig.store.samples("things.get")
    assert (sample.shown["control"], sample.shown["candidate"]) == ("1.00", "1.01")
    assert sample.shown["request_id"] == "trace"
    assert sample.shown["rule"] == "compare: {tolerance: {object.amount: 0.01}}"


def in_turn(*amounts: str) -> Callable[[Call], Sequence[Record]]:
    told = iter(amounts)
    return lambda call: thing(next(told))(call)


@pytest.mark.parametrize(
    "stage, legacy, modern, differed",
    [
        ("shadow", ("0.50", "1.00"), ("1.00", "1.00"), 0),  # legacy has moved before modern was asked
        ("shadow", ("1.00", "1.00"), ("0.50", "1.00"), 1),  # modern has changed its mind, legacy has not
        ("shadow", ("0.50", "1.00"), ("1.00", "7.00"), 1),  # it has moved, and they differ all the same
        ("modern", ("1.00", "1.00"), ("0.50", "1.00"), 0),  # modern had answered before it moved
        ("modern", ("1.00", "1.00"), ("0.50", "0.50"), 1),
    ],
)
def test_what_has_moved_between_two_looks_is_skew_and_no_difference(
    tmp_path: Path, stage: str, legacy: Sequence[str], modern: Sequence[str], differed: int
) -> None:
    sides = Scripted(in_turn(*legacy)), Scripted(in_turn(*modern), name="modern")
    rig = Rig(tmp_path, *sides, stage, replace(ALL, sample_modern=1.0))
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed, facts.counts.get("skew", 0)) == (1, differed, 1 - differed)


@pytest.mark.parametrize("side", ["legacy", "modern"])
def test_a_difference_that_nobody_can_look_at_again_is_one(tmp_path: Path, sides: tuple[Scripted, Scripted], side: str) -> None:
    legacy, modern = sides
    full = fail(PoolExhausted("no place to spare"))
    legacy.answer = lambda call: full(call) if call.background and side == "legacy" else thing()(call)
    modern.answer = lambda call: full(call) if len(modern.calls) > 1 else thing("2.00")(call)
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed, facts.counts.get("unasked", 0)) == (1, 1, 0)


def test_a_modern_side_that_fails_now_and_then_is_told_by_each_failure(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    down = fail(Unavailable("down"))
    modern.answer = lambda call: down(call) if len(modern.calls) % 4 == 1 else thing()(call)
    rig = Rig(tmp_path, legacy, modern)
    for n in range(8):
        rig.ask(str(n))
        facts = rig.facts(n + 1)
    assert (facts.seen.keys, facts.seen.differed, facts.counts["failed_modern"]) == (8, 2, 2)
    assert len(legacy.calls) == 8


def test_a_fault_of_ours_on_the_modern_side_is_a_difference(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    modern.answer = fail(RuntimeError("a bug"))
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.differed, facts.counts["failed_modern"]) == (1, 1)


def test_a_slow_first_look_leaves_the_second_its_time(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides

    def slowly(call: Call) -> Sequence[Record]:
        time.sleep(0.3)
        call.left()
        return thing()(call)

    legacy.answer, modern.answer = slowly, thing("2.00")
    rig = Rig(tmp_path, legacy, modern, deadline=0.5)
    told = rig.service.shadow.compare_now(rig.operation, {"id": "9"})
    assert (told["outcome"], told["reason"]) == ("different", "")


class Told:
    """A store that keeps what it is told."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def record(self, batch: Batch, within: float = 0.0) -> None:
        self.batches.append(batch)


def test_no_caller_waits_for_the_store_when_there_is_no_room() -> None:
    stall = threading.Event()

    def ask(*_: Any) -> Any:
        stall.wait(5)
        raise Unavailable("stalled")

    def newest_build(_endpoint: str) -> str:
        time.sleep(0.6)
        raise NotReady("away")

    told = Told()
    operation, ledger = moving(terms=ALL), Ledger(told)
    shadow = Shadow(ask, lambda *_: frozenset(), ledger, newest_build, SpareTime())
    asked = [Asked(operation, "legacy", {"id": str(n)}, Failure(404, "Missing"), 0.0) for n in range(200)]
    began = time.monotonic()
    shadow.after(asked)
    assert time.monotonic() - began < 0.5
    stall.set()
    shadow.close()
    ledger.close()
    dropped = sum(n for batch in told.batches for (_, name), n in batch.counts.items() if name == "dropped")
    assert dropped >= 200 - 4


def test_heavy_work_that_nobody_waits_for_is_followed_by_a_rest() -> None:
    used, slept = iter([0.0, HEAVY / 2, 1.0, 1.0 + 3 * HEAVY]), list[float]()
    spare = SpareTime(lambda: next(used), slept.append)
    for _ in range(2):
        with spare:
            pass
    assert slept == [pytest.approx(3 * HEAVY * REST)]


def test_large_answers_that_wait_are_bounded_in_rows() -> None:
    stall = threading.Event()

    def ask(*_: Any) -> Any:
        stall.wait(5)
        raise Unavailable("stalled")

    shadow = Shadow(ask, lambda *_: frozenset(), Ledger(Told()), lambda _: "1", SpareTime())
    large = Rows(({"id": "7"},) * (ROWS // 2), (), "legacy")
    shadow.after([Asked(moving(terms=ALL), "legacy", {"id": "7"}, large, 0.0)] * 20)
    assert shadow.waiting() <= 2
    stall.set()
    shadow.close()


def test_a_kind_of_difference_that_was_often_confirmed_is_not_asked_again(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    modern.answer = thing("-1.00")
    rig = Rig(tmp_path, legacy, modern)
    for n in range(8):
        rig.ask(str(n))
        rig.facts(n + 1)
    assert len(legacy.calls) == 8 + 3


@pytest.mark.parametrize(
    "error, count", [(Misread("odd"), "failed_modern"), (Unavailable("down"), "failed_modern"), (Missing("none"), "different")]
)
def test_an_error_of_modern_where_legacy_answered_is_a_difference(
    tmp_path: Path, sides: tuple[Scripted, Scripted], error: Exception, count: str
) -> None:
    legacy, modern = sides
    modern.answer = fail(error)
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed) == (1, 1)
    assert facts.counts[count] == 1


def test_the_same_refusal_on_both_sides_is_equal_and_seen_and_no_key_that_agrees(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    legacy.answer = modern.answer = missing
    gates = Gates(0.01, 0.95, 0.0, must_have_seen={"status": ("404", "409"), "amount": ("1.00",)})
    rig = Rig(tmp_path, legacy, modern, terms=replace(ALL, gates=gates))
    with pytest.raises(Missing):
        rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.counts["equal"], facts.counts["status=404"]) == (0, 1, 1)
    assert "status=409" not in facts.counts


@pytest.mark.parametrize("error", [CircuitOpen("open"), PoolExhausted("full")])
def test_a_side_that_has_no_place_to_spare_is_unasked_and_counted(
    tmp_path: Path, sides: tuple[Scripted, Scripted], error: Exception
) -> None:
    legacy, modern = sides
    modern.answer = fail(error)
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.counts["unasked"], facts.counts[f"unasked:{type(error).__name__}"]) == (0, 1, 1)


def test_a_stalled_modern_side_costs_callers_nothing_and_what_is_dropped_is_counted(
    tmp_path: Path, sides: tuple[Scripted, Scripted]
) -> None:
    legacy, modern = sides
    stall = threading.Event()

    def wait(call: Call) -> Sequence[Record]:
        stall.wait(call.left())
        return thing()(call)

    modern.answer = wait
    rig = Rig(tmp_path, legacy, modern)
    began = time.monotonic()
    rig.ask(*map(str, range(200)))
    assert time.monotonic() - began < 2
    stall.set()  # what was dropped is so
    assert rig.facts(100).counts["dropped"] >= 200 - 64 - 4


def test_a_canary_that_modern_answers_is_compared_with_legacy_by_its_own_sample(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    rig = Rig(tmp_path, legacy, modern, "modern", replace(ALL, sample_modern=1.0))
    rig.ask("1", "2")
    facts = rig.facts(2)
    assert facts.seen.keys == 2
    assert all(call.background for call in legacy.calls)
    none = Rig(tmp_path / "none", Scripted(thing()), Scripted(thing(), name="modern"), "modern", replace(ALL, sample_modern=0.0))
    none.ask("1", "2")
    assert not none.legacy.calls


def test_nothing_is_asked_twice_at_legacy_or_for_who_counts_as_no_evidence(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    rig = Rig(tmp_path, *sides, stage="legacy")
    rig.ask("1", "2")
    assert rig.service.shadow.waiting() == 0
    assert not rig.modern.calls


@pytest.mark.parametrize("side", ["legacy", "modern"])
def test_a_read_that_leaves_a_trace_is_never_asked_twice(tmp_path: Path, sides: tuple[Scripted, Scripted], side: str) -> None:
    rig = Rig(tmp_path, *sides)
    source = rig.operation.legacy if side == "legacy" else rig.operation.modern
    assert source is not None
    rig.operation = replace(rig.operation, **{side: replace(source, repeat="never")})  # type: ignore[arg-type]
    rig.ask("1")
    assert rig.service.shadow.waiting() == 0
    assert not rig.modern.calls


def test_legacy_is_asked_twice_for_the_noise_floor_by_its_sample(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    changing = iter(range(100))
    legacy.answer = lambda call: thing(f"{next(changing)}.00")(call)
    rig = Rig(tmp_path, legacy, modern, terms=Migration(sample=0.0, self_sample=1.0))
    rig.ask("1", "2")

    def told() -> bool:
        rig.service.ledger.flush()
        facts = rig.store.facts("things.get")
        return facts is not None and facts.noise.keys == 2

    until(told, 5)
    facts = rig.store.facts("things.get")
    assert facts is not None
    assert (facts.noise.differed, facts.seen.keys) == (2, 0)
    assert len(legacy.calls) == 4


def test_the_noise_floor_costs_legacy_no_more_than_its_sample(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    rig = Rig(tmp_path, legacy, modern, terms=Migration(sample=0.0, self_sample=0.02))
    for n in range(2000):
        rig.ask(str(n % 700))
    until(lambda: rig.service.shadow.waiting() == 0, 5)
    extra = len(legacy.calls) - 2000
    assert 30 < extra <= 0.02 * 2000


def test_one_key_can_be_compared_on_its_own(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    rig = Rig(tmp_path, legacy, modern)
    assert rig.service.shadow.compare_now(rig.operation, {"id": "9"}) == {"outcome": "equal", "differences": [], "reason": ""}
    modern.answer = thing("2.00")
    assert rig.service.shadow.compare_now(rig.operation, {"id": "9"})["outcome"] == "different"
    facts = rig.facts(2)
    assert (facts.seen.keys, facts.seen.differed) == (1, 1)
    modern.answer = fail(PoolExhausted("full"))
    with pytest.raises(NotReady, match="PoolExhausted"):
        rig.service.shadow.compare_now(rig.operation, {"id": "10"})


@pytest.mark.parametrize("joined", [False, True])
def test_the_same_model_is_fed_by_both_sides_and_its_scores_are_compared(tmp_path: Path, joined: bool) -> None:
    golden = Models(MODELS).model("default-risk@1").card.golden[0].inputs
    kinds = {str: "string", bool: "boolean", int: "integer"}
    fields = (Field("id", "string"), *(Field(name, kinds[type(value)], optional=True) for name, value in golden.items()))  # type: ignore[arg-type]
    row = {name: str(value).lower() for name, value in golden.items()}
    scoring = Scoring("default-risk", "1", {name: f"{'thing.' if joined else ''}{name}" for name in golden})
    read = moving(terms=ALL, fields=fields, scoring=None if joined else scoring)
    assert read.legacy is not None
    assert read.modern is not None
    read = replace(read, legacy=replace(read.legacy, read={}), modern=replace(read.modern, read={}))
    risk = join([Part("thing", "things.get", {"id": "{id}"})], [Field("id", "string")], scoring=scoring)
    legacy = Scripted(lambda call: [{**row, "id": call.params["id"]}])
    modern = Scripted(lambda call: [{**row, "assets": "0", "income": "", "id": call.params["id"]}], name="modern")
    service, store = made_service(tmp_path, legacy, read, risk, modern=modern, models=MODELS)
    store.move(["things.get"], Standing("shadow"), "alice", "test")
    assert service.serve(risk if joined else read, request("7")).body["score"]["value"] > 0

    def counted() -> bool:
        service.ledger.flush()
        facts = store.facts("things.get")
        return facts is not None and facts.counts.get("scored") == 1

    until(counted, 5)
    found = store.facts("things.get")
    assert found is not None
    assert found.counts["score_distance"] > 0


def test_where_there_is_much_traffic_a_part_of_it_is_compared() -> None:
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.part() == 1.0  # nothing is known yet
    pace.took(0.001)
    parts = []
    for _ in range(500):
        now += 1 / 500
        parts.append(pace.part())
    assert parts[0] == 1.0
    assert parts[-1] == pytest.approx(SHARE / (500 * 0.001), rel=0.05)
    for _ in range(3):
        now += 10.0
        part = pace.part()
    assert part == 1.0
