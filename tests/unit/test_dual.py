"""Two sides hold the same records: every write reaches both in its order, or the report names who lacks it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.base import Call, Record
from adapters.errors import Conflict, OutcomeUnknown, Refused, Unavailable
from tests.unit.small import AnyTarget, Scripted, operation, request, service
from tests.unit.test_settle import DEAD
from tests.waiting import until
from wrapper import dual, kill_file
from wrapper.migration.decide import Standing
from wrapper.operation import Ask, Auth, Field, Migration, Operation, Param, ReadRule, Side, Source, Stage, WritePolicy
from wrapper.outbox import Outbox, judged
from wrapper.problems import InFlight, NotPossible, NotReady
from wrapper.request import Answer
from wrapper.state.records import WriteId


@dataclass(frozen=True)
class Keyed(AnyTarget):
    idempotency: str = "Idempotency-Key"


@dataclass
class Houses:
    """A back end with a line for each id; `fate` is of the next writes: lose (done, nobody told), drop (sent, not done), down, refuse.
    What it has under a key it does not do again."""

    lines: dict[str, str] = field(default_factory=dict)
    fate: str = ""
    written: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def __call__(self, call: Call) -> Sequence[Record]:
        id = call.params["id"]
        if call.effect == "read":
            return [{"id": id, "line": self.lines.get(id, "OLD")}]
        if self.fate == "down":
            raise Unavailable("down")
        if self.fate == "refuse":
            raise Refused("no")
        call.acting()
        if self.fate != "drop" and call.key not in self.keys:
            self.lines[id] = call.params["line"]
            self.written.append(call.params["line"])
            self.keys.append(call.key)
        if self.fate in ("lose", "drop"):
            raise OutcomeUnknown("sent")
        return [{"id": id, "line": self.lines[id]}]


SIDES = {
    "legacy": Source(
        "scripted", "scripted", AnyTarget(), {"line": ReadRule("line")}, ask=Ask("things.get", {"id": "{id}"}, {"line": "{line}"})
    ),
    "modern": Source("modern", "scripted", Keyed(), {"line": ReadRule("line")}),
}
FIELDS = (Field("id", "string"), Field("line", "string"))


class World:
    """Both back ends, a facade over them, and the outbox. `stage` is where both endpoints stand from the start."""

    def __init__(self, folder: Path, policy: WritePolicy = "dual", stage: Stage = "canary", share: int = 0) -> None:
        way = Migration(highest="modern", key="id", writes=policy)
        read = operation(group="thing", fields=FIELDS, **SIDES, migration=replace(way, writes="legacy_only"))
        self.write: Operation = operation(
            "things.move", group="thing", method="PUT", effect="write", auth=Auth("things:write"), fields=FIELDS, migration=way, **SIDES,
            params=(Param("path", Field("id", "string")), Param("body", Field("line", "string"))),
        )  # fmt: skip
        self.read = read
        self.legacy, self.modern = Houses(), Houses()
        self.service, self.store = service(folder, Scripted(self.legacy), read, self.write, modern=Scripted(self.modern, "modern"))
        self.catalogue, self.outbox = self.service.catalogue, Outbox(self.service, self.store)
        self.stand(stage, share)

    def stand(self, stage: Stage, share: int = 0, unless_owed: str | None = None) -> bool:
        return self.store.move(["things.get", "things.move"], Standing(stage, Decimal(share)), "bob", "", unless_owed=unless_owed)

    def move(self, line: str, id: str = "7", key: str | None = None) -> Answer:
        return self.service.serve(self.write, request(id, given={"path": {"id": id}, "body": {"line": line}}, idempotency_key=key or line))

    def lost(self, line: str, house: Houses, fate: str) -> None:
        house.fate = fate
        with pytest.raises(OutcomeUnknown):
            self.move(line)
        house.fate = ""

    def shown(self, id: str = "7") -> str:
        line: str = self.service.serve(self.read, request(id)).body["data"]["line"]
        return line

    def items(self) -> list[tuple[str, str, str]]:
        return [(item.state, item.has, item.lacks) for item in dual.report(self.store).items]

    def reference(self) -> str:
        return dual.report(self.store).items[0].reference

    def change(self, what: str) -> None:
        """What only time or a death would do."""
        with self.store._db.transaction() as tx:
            tx.execute(what)

    def now(self) -> None:
        self.change("UPDATE legs SET next_at = 0")

    def carry(self, side: Side, turns: int = 3) -> None:
        for _ in range(turns):
            self.now()
            for _ in self.store.open_legs():
                self.outbox.turn(side)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("policy", "side", "begun", "leg"),
    [
        ("legacy_only", "legacy", True, None), ("dual", "legacy", False, None), ("modern_only", "legacy", False, None),
        ("dual", "legacy", True, ("modern", "pending")), ("dual", "modern", True, ("legacy", "pending")),
        ("modern_only", "legacy", True, ("modern", "owed")), ("modern_only", "modern", True, ("legacy", "owed")),
        ("dual", "modern", False, ("legacy", "pending")),  # a tester's
    ],
)  # fmt: skip
def test_what_the_other_side_will_lack(policy: WritePolicy, side: Side, begun: bool, leg: object) -> None:
    assert dual.leg_of(policy, side, begun) == leg


@pytest.mark.parametrize(("share", "record"), [(0, "legacy"), (1, "modern")])
def test_the_system_of_record_is_written_first_and_the_other_side_under_the_same_key(tmp_path: Path, share: int, record: str) -> None:
    world = World(tmp_path, share=share)
    first, second = (world.legacy, world.modern) if record == "legacy" else (world.modern, world.legacy)
    behind: Side = "modern" if record == "legacy" else "legacy"
    assert world.move("ONE").body["meta"]["sources"][0]["side"] == record
    assert (first.written, second.written, world.items()) == (["ONE"], [], [("pending", record, behind)])
    assert world.outbox.turn(behind)
    assert (second.written, second.keys, world.items()) == (["ONE"], first.keys, [])
    assert not world.outbox.turn(behind)


def test_a_caller_reads_what_it_wrote_whichever_side_its_reads_went_to(world: World) -> None:
    """A grown share takes the record to modern, which has not got the write yet."""
    world.move("ONE")
    world.stand("canary", 1)
    until(lambda: world.service.standings.of("things.get").share == 1, 5)
    assert world.shown() == "ONE"
    world.move("TWO")  # modern is behind: legacy stays the record until it is not
    assert (world.legacy.written, world.modern.written) == (["ONE", "TWO"], [])
    world.carry("modern")
    world.move("THREE")
    assert world.modern.written == ["ONE", "TWO", "THREE"]
    assert world.shown() == "THREE"


def test_a_write_that_was_refused_or_never_begun_leaves_nothing_to_carry_over(world: World) -> None:
    world.legacy.fate = "refuse"
    with pytest.raises(Refused):
        world.move("ONE")
    assert world.items() == []


def test_a_process_that_died_before_the_act_leaves_nothing_to_carry_over(world: World) -> None:
    world.lost("ONE", world.legacy, "drop")
    world.change(f"UPDATE writes SET state = 'reserved', intent = NULL, until = 0, owner = '{DEAD}'")
    world.change(f"UPDATE legs SET owner = '{DEAD}'")
    assert world.items() == [("unknown", "", "modern")]
    world.service.settling.turn(time.monotonic())
    assert world.items() == []


def test_a_record_whose_outcome_is_unknown_is_named_until_it_is_settled_and_then_carried_over(world: World) -> None:
    world.lost("ONE", world.legacy, "lose")
    assert world.items() == [("unknown", "", "modern")]
    world.carry("modern")
    assert world.modern.written == []
    world.service.settling.turn(time.monotonic())  # it asks legacy
    assert world.items() == [("pending", "legacy", "modern")]
    world.carry("modern")
    assert world.modern.written == ["ONE"]


def test_what_the_side_refuses_is_named_and_holds_back_later_writes_of_that_record_only(world: World) -> None:
    world.modern.fate = "refuse"
    world.move("ONE")
    world.move("TWO")
    world.carry("modern")
    assert world.items() == [("failed", "legacy", "modern"), ("pending", "legacy", "modern")]
    item = dual.report(world.store, "thing").items[0]
    assert (item.endpoint, item.family, item.why, item.attempts) == ("things.move", "thing", "Refused 422", 1)
    world.modern.fate = ""
    world.move("ELSEWHERE", id="8")
    world.carry("modern")
    assert world.modern.written == ["ELSEWHERE"]
    dual.retry(world.store, world.catalogue, item.reference, "anna")
    world.carry("modern")
    assert world.modern.written == ["ELSEWHERE", "ONE", "TWO"]
    assert dual.report(world.store).counts == {"done": 3}


def test_a_side_that_is_down_gets_it_later(world: World) -> None:
    world.move("ONE")
    world.modern.fate = "down"
    world.carry("modern")
    (item,) = dual.report(world.store).items
    assert (item.state, item.why, item.attempts >= 3) == ("pending", "Unavailable 503", True)
    world.modern.fate = ""
    world.carry("modern")
    assert world.modern.written == ["ONE"]


def test_modern_is_fed_after_a_rollback_too_so_that_it_is_no_worse_when_its_time_comes_again(world: World) -> None:
    world.move("ONE")
    world.stand("legacy")
    until(lambda: world.service.standings.of("things.move").stage == "legacy", 5)
    world.move("TWO")
    world.carry("modern")
    assert world.modern.written == ["ONE", "TWO"]


@pytest.mark.parametrize("fate", ["lose", "drop"])
def test_a_side_that_takes_keys_is_sent_an_unknown_write_again_under_its_key(world: World, fate: str) -> None:
    world.move("ONE")
    world.modern.fate = fate
    world.carry("modern")
    assert [(i.state, i.why) for i in dual.report(world.store).items] == [("pending", "its outcome is unknown")]
    world.modern.fate = "refuse"  # now, but what of the time before?
    world.carry("modern")
    assert world.items() == [("unknown", "legacy", "modern")]
    world.modern.fate = ""
    dual.retry(world.store, world.catalogue, world.reference(), "anna")
    world.carry("modern")
    assert (world.modern.written, world.items()) == (["ONE"], [])


@pytest.mark.parametrize("fate", ["lose", "drop"])
def test_a_side_that_can_be_asked_is_asked_and_not_written_to_twice(tmp_path: Path, fate: str) -> None:
    world = World(tmp_path, share=1)
    world.move("ONE")
    world.legacy.fate = fate
    world.carry("legacy")
    world.legacy.fate = ""
    assert world.items() == [("unknown", "modern", "legacy")]
    world.change("UPDATE writes SET until = 0")
    world.service.settling.turn(time.monotonic())
    assert world.items() == ([] if fate == "lose" else [("pending", "modern", "legacy")])
    world.carry("legacy")
    assert (world.legacy.written, world.items()) == (["ONE"], [])


def test_a_leg_of_a_worker_that_died_in_the_act_is_settled_and_done_once(tmp_path: Path) -> None:
    world = World(tmp_path, share=1)
    world.move("ONE")
    world.legacy.fate = "lose"
    world.carry("legacy")
    world.change("UPDATE legs SET state = 'pending'")
    world.change(f"UPDATE writes SET state = 'reserved', until = 0, owner = '{DEAD}' WHERE caller = 'figway:leg'")
    world.carry("legacy")
    world.service.settling.turn(time.monotonic())
    world.carry("legacy")
    assert (world.legacy.written, world.items()) == (["ONE"], [])


@pytest.mark.parametrize("fate", ["lose", "drop"])
def test_an_unknown_write_of_the_record_is_sent_again_under_its_key_when_its_caller_asks(tmp_path: Path, fate: str) -> None:
    world = World(tmp_path, share=1)
    world.lost("ONE", world.modern, fate)
    for fate in ("down", "refuse"):  # that this try did nothing says nothing of the first one
        world.modern.fate = fate
        with pytest.raises(OutcomeUnknown, match="sent before"):
            world.move("ONE")
        assert world.items() == [("unknown", "", "legacy")]
    world.modern.fate = ""
    assert world.move("ONE").status == 200
    assert world.move("ONE").headers["Idempotency-Replayed"] == "true"
    world.carry("legacy")
    assert (world.modern.written, world.legacy.written, world.items()) == (["ONE"], ["ONE"], [])


def test_an_unknown_write_overtakes_no_later_one(tmp_path: Path) -> None:
    world = World(tmp_path, share=1)
    world.lost("ONE", world.modern, "drop")
    world.move("TWO")
    with pytest.raises(OutcomeUnknown):
        world.move("ONE")
    assert world.modern.written == ["TWO"]
    world.carry("legacy")
    assert world.items() == [("unknown", "", "legacy"), ("pending", "modern", "legacy")]
    dual.settle(world.store, world.reference(), "bob", "it was not done, and is not wanted any more")
    world.carry("legacy")
    assert (world.legacy.written, world.items()) == (["TWO"], [])


def test_a_write_that_only_legacy_gets_waits_for_what_legacy_lacks(tmp_path: Path) -> None:
    world = World(tmp_path, share=1)
    world.move("ONE")
    assert world.write.migration is not None
    alone = replace(world.write, migration=replace(world.write.migration, writes="legacy_only"))
    with pytest.raises(NotReady, match="earlier writes"):
        world.service.serve(alone, request(given={"path": {"id": "7"}, "body": {"line": "TWO"}}, idempotency_key="TWO"))
    assert world.legacy.written == []


def test_of_two_writes_of_one_record_at_once_one_is_told_to_come_again(world: World) -> None:
    other = WriteId("carol", "things.move", "x")
    world.store.reserve(other, {}, 60)
    assert world.store.add_leg(other, "thing", "7", "modern", "pending", {}) == ""
    with pytest.raises(InFlight, match="same record"):
        world.move("ONE")
    assert world.move("ELSEWHERE", id="8").status == 200
    world.store.release(other)
    assert world.move("ONE").status == 200


def test_a_rollback_after_twenty_modern_only_writes_is_refused_until_legacy_has_them_all(tmp_path: Path) -> None:
    world = World(tmp_path, "modern_only", "modern")
    for n in range(20):
        world.move(f"LINE-{n}", id=str(n % 6))
    assert (world.store.owed("thing"), world.legacy.written) == (20, [])
    world.carry("legacy")
    assert (world.legacy.written, world.stand("shadow", unless_owed="thing")) == ([], False)
    assert dual.write_owed(world.store, "thing", "anna") == 20
    world.carry("legacy")
    assert (sorted(world.legacy.written), world.legacy.lines) == (sorted(world.modern.written), world.modern.lines)
    assert world.stand("shadow", unless_owed="thing")


def test_under_a_kill_switch_a_record_that_legacy_lacks_is_not_written_to_and_others_are(tmp_path: Path) -> None:
    world = World(tmp_path, "modern_only", "modern")
    world.move("ONE")
    (tmp_path / kill_file.NAME).write_text("*")
    until(lambda: world.service.standings.killed("things.move"), 5)
    for ask in (lambda: world.move("TWO"), world.shown):
        with pytest.raises(NotReady):
            ask()
    world.move("ELSEWHERE", id="8")  # which modern, to which it belongs, lacks from now on
    assert set(world.items()) == {("owed", "modern", "legacy"), ("owed", "legacy", "modern")}
    dual.write_owed(world.store, "thing", "anna")
    world.carry("modern")
    assert world.modern.written == ["ONE"]  # not before the switch is taken back
    (tmp_path / kill_file.NAME).unlink()
    until(lambda: not world.service.standings.killed("things.move"), 5)
    world.carry("modern")
    world.carry("legacy")
    assert (world.legacy.lines, world.items()) == (world.modern.lines, [])


def test_what_could_write_twice_is_not_tried_again_and_a_person_settles_it(tmp_path: Path) -> None:
    world = World(tmp_path, share=1)
    world.move("ONE")
    world.change("UPDATE legs SET state = 'unknown', side = 'legacy'")
    unasked = replace(world.write, legacy=replace(SIDES["legacy"], ask=None))
    with pytest.raises(NotPossible, match="look there"):
        dual.retry(world.store, replace(world.catalogue, operations={"things.move": unasked}), world.reference(), "anna")
    reference = world.reference()
    dual.settle(world.store, reference, "bob", "CHG-1")
    assert (world.items(), dual.report(world.store).counts) == ([], {"settled": 1})
    with pytest.raises(NotPossible, match="nothing is open"):
        dual.settle(world.store, reference, "bob", "")


def test_after_a_restore_a_side_that_can_be_asked_is_looked_at_before_it_is_written_to(tmp_path: Path) -> None:
    world = World(tmp_path, share=1)
    world.move("ONE")
    world.legacy.lines["7"] = "ONE"  # it was carried over after the backup
    world.change("UPDATE legs SET state = 'unknown', detail = 'the store was restored'")
    dual.retry(world.store, world.catalogue, world.reference(), "anna")
    world.carry("legacy")
    assert (world.legacy.written, world.items()) == ([], [])


def test_a_conflict_at_the_other_side_is_for_people(world: World) -> None:
    world.move("ONE")
    leg = world.store.open_legs()[0]
    assert judged(leg, Conflict("changed")) == ("Conflict 409", "failed")


@pytest.mark.parametrize("policy", ["dual", "modern_only"])
def test_a_caller_reads_what_it_wrote_while_only_the_reads_of_its_group_have_moved(tmp_path: Path, policy: WritePolicy) -> None:
    world = World(tmp_path, policy, "legacy")
    world.store.move(["things.get"], Standing("modern"), "bob", "")
    until(lambda: world.service.standings.of("things.get").stage == "modern", 2)
    world.move("NEW")
    assert (world.legacy.written, world.modern.written) == (["NEW"], [])
    assert world.shown() == "NEW"  # legacy's, since modern lacks it
    if policy == "modern_only":
        assert world.items() == [("owed", "legacy", "modern")]
        dual.write_owed(world.store, "thing", "bob")
    world.carry("modern")
    assert (world.modern.written, world.items(), world.shown()) == (["NEW"], [], "NEW")
