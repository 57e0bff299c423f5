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
from wrapper.migration.decide import Standing
from wrapper.migration.facts import Facts
from wrapper.operation import Field, Gates, Migration, Operation, Part, Scoring
from wrapper.problems import NotReady
from wrapper.service import Service
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


def test_a_difference_is_believed_when_it_is_still_there_on_a_second_look(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    modern.answer = thing("1.01")
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed) == (1, 1)
    assert len(modern.calls) == 2
    assert facts.counts["class:value object.amount rounding"] == 1
    ((_, sample),) = rig.store.samples("things.get")
    assert (sample.shown["control"], sample.shown["candidate"]) == ("1.00", "1.01")
    assert sample.shown["rule"] == "compare: {tolerance: {object.amount: 0.01}}"


def test_what_has_moved_between_two_looks_is_skew_and_no_difference(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    told = iter(["0.50", "1.00", "1.00"])
    modern.answer = lambda call: thing(next(told))(call)
    rig = Rig(tmp_path, legacy, modern)
    rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.differed, facts.counts["skew"], facts.counts["equal"]) == (0, 1, 1)


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


def test_the_same_refusal_on_both_sides_is_equal_and_seen(tmp_path: Path, sides: tuple[Scripted, Scripted]) -> None:
    legacy, modern = sides
    legacy.answer = modern.answer = missing
    gates = Gates(0.01, 0.95, 0.0, must_have_seen={"status": ("404", "409"), "amount": ("1.00",)})
    rig = Rig(tmp_path, legacy, modern, terms=replace(ALL, gates=gates))
    with pytest.raises(Missing):
        rig.ask("1")
    facts = rig.facts(1)
    assert (facts.seen.keys, facts.seen.differed, facts.counts["status=404"]) == (1, 0, 1)
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
    facts = rig.facts(100)
    assert facts.counts["dropped"] >= 200 - 64 - 4
    stall.set()


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
