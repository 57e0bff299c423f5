"""A write that nobody saw the end of is settled by asking what is there, or it stays unknown; it is never sent again by Figway."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call, Record
from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from tests.unit.small import ALICE, AnyTarget, Scripted, operation, request, service
from wrapper.jobs import Runner
from wrapper.operation import Ask, Auth, Field, Operation, Param, ReadRule, Source
from wrapper.problems import Forbidden, InFlight, NotReady
from wrapper.request import Answer
from wrapper.settle import verdict
from wrapper.state.clock import me
from wrapper.state.records import WriteId
from wrapper.state.store import Store

GET = operation(fields=(Field("id", "string"), Field("line", "string", mask="last4")))
MOVE = operation(
    "things.move", method="PUT", effect="write", auth=Auth("things:write"),
    params=(Param("path", Field("id", "string")), Param("body", Field("line", "string"))),
    fields=(Field("id", "string"), Field("line", "string", mask="last4"), Field("more", "string", optional=True)),
    legacy=Source(
        "scripted", "scripted", AnyTarget(), {"line": ReadRule("line")}, ask=Ask("things.get", {"id": "{id}"}, {"line": "{line}"})
    ),
)  # fmt: skip
DEAD = "/".join([*me().split("/")[:3], "4194305", "1", "x"])
"""A process of this host that has ended."""


@dataclass
class House:
    """A back end with one line; `lose` loses the confirmation after the act, `drop` before it; `meanwhile` happens right before it."""

    line: str = "OLD LINE"
    fate: str = ""
    written: list[str] = field(default_factory=list)
    asked: int = 0
    meanwhile: Callable[[], None] = lambda: None

    def __call__(self, call: Call) -> Sequence[Record]:
        if call.effect == "read":
            self.asked += 1
            if self.fate == "down":
                raise Unavailable("down")
            return [{"id": call.params["id"], "line": self.line}]
        call.acting()
        self.meanwhile()
        if self.fate != "drop":
            self.line = call.params["line"]
            self.written.append(self.line)
        if self.fate in ("drop", "lose"):
            raise OutcomeUnknown("sent")
        return [{"id": call.params["id"], "line": self.line}]


@dataclass
class World:
    """One house, its facade, and the store's file."""

    folder: Path
    kept: type[Store] = Store
    house: House = field(default_factory=House)
    write: Operation = MOVE

    def __post_init__(self) -> None:
        back_end = Scripted(self.house)
        self.service, self.store = service(self.folder, back_end, GET, self.write, kept=self.kept)
        self.runner = Runner(self.service, {"scripted": back_end}, self.store)

    def move(self, line: str = "NEW LINE", key: str = "k", id: str = "7", **asked: Any) -> Answer:
        sent = request(id, given={"path": {"id": id}, "body": {"line": line}}, idempotency_key=key, **asked)
        return self.service.serve(self.write, sent)

    def lost(self, fate: str = "lose", line: str = "NEW LINE") -> None:
        self.house.fate = fate
        with pytest.raises(OutcomeUnknown):
            self.move(line)
        self.house.fate = ""

    def change(self, what: str) -> None:
        """Behind the store's back: what only time or a death would do."""
        with sqlite3.connect(self.folder / "state.sqlite") as db:
            db.execute(f"UPDATE writes SET {what}")
        db.close()

    def over(self) -> None:
        self.change("until = 0")

    def states(self) -> list[str]:
        with sqlite3.connect(self.folder / "state.sqlite") as db:
            found = [state for (state,) in db.execute("SELECT state FROM writes")]
        db.close()
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_write_before_which_nothing_can_be_read_is_not_begun_and_its_key_stays_free(world: World) -> None:
    world.house.fate = "down"
    with pytest.raises(Unavailable, match="not begun"):
        world.move()
    assert (world.house.written, world.states()) == ([], [])
    world.house.fate = ""
    assert world.move().status == 200


@pytest.mark.parametrize(
    ("before", "now", "wanted", "said"),
    [
        ("a", "b", "b", "done"), ("a", "a", "b", "not done"), ("a", "c", "b", "unknown"),
        ("b", "b", "b", "unknown"), ("b", "a", "b", "unknown"), (None, "b", "b", "unknown"), (None, "a", "b", "unknown"),
    ],
)  # fmt: skip
def test_only_what_was_not_so_before_tells(before: str | None, now: str, wanted: str, said: str) -> None:
    assert verdict(None if before is None else {"x": before}, {"x": now}, {"x": wanted}) == said


def test_what_other_fields_showed_before_tells_nothing() -> None:
    assert verdict({"x": "a"}, {"y": "b"}, {"y": "b"}) == "unknown"


def test_a_lost_confirmation_is_found_done_by_whoever_asks_again(world: World) -> None:
    world.lost()
    seen = [world.move(), world.move()]
    assert [answer.body["data"] for answer in seen] == [{"id": "7", "line": "****LINE", "more": None}] * 2
    assert seen[0].body["meta"]["settled"] == "by asking"
    assert seen[1].headers["Idempotency-Replayed"] == "true"
    seer = replace(ALICE, scopes=ALICE.scopes | {"pii:read"})
    assert world.move(caller=seer).body["data"]["line"] == "NEW LINE"
    assert world.house.written == ["NEW LINE"]


def test_a_settled_write_is_replayed_only_to_who_may_write(world: World) -> None:
    world.move()
    with pytest.raises(Forbidden):
        world.move(caller=replace(ALICE, scopes=frozenset({"things:read"})))


def test_not_done_is_said_only_when_nothing_can_be_under_way_and_frees_the_key(world: World) -> None:
    world.lost("drop")
    with pytest.raises(OutcomeUnknown, match="may tell"):
        world.move()
    assert world.house.written == []
    world.over()
    assert "settled" not in world.move().body["meta"]  # sent again by its caller, under the same key
    assert world.house.written == ["NEW LINE"]


def test_a_settler_that_comes_late_frees_no_key_that_is_in_use_again(world: World) -> None:
    """Two settle the same write at once, and its caller has sent it again before the second one speaks."""
    world.lost("drop")
    world.over()
    (first,) = world.store.unsettled()
    world.house.meanwhile = lambda: world.store.found_undone(first)
    assert [world.move().status for _ in range(2)] == [200, 200]
    assert world.house.written == ["NEW LINE"]


@pytest.mark.parametrize("happens", [lambda w: setattr(w.house, "line", "ANOTHER"), lambda w: w.change("intent = NULL, state = 'unknown'")])
def test_what_cannot_be_told_stays_unknown_and_nobody_asks_any_more(world: World, happens: Callable[[World], None]) -> None:
    world.lost("drop")
    world.over()
    happens(world)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            world.move()
    asked = world.house.asked
    with pytest.raises(OutcomeUnknown):
        world.move()
    assert world.house.asked == asked
    assert [w.open for w in world.store.unknown_writes()] == [False]
    assert world.house.written == []


def test_a_write_of_what_is_there_already_tells_nothing(world: World) -> None:
    world.lost(line="OLD LINE")
    world.over()
    with pytest.raises(OutcomeUnknown):
        world.move("OLD LINE")
    assert world.states() == ["unknown"]


def test_a_process_that_died_before_the_act_leaves_the_key_free_at_once(world: World) -> None:
    world.lost()
    world.house.written.clear()
    world.change(f"state = 'reserved', intent = NULL, owner = '{DEAD}'")
    world.house.line = "OLD LINE"
    assert world.move().status == 200
    assert world.house.written == ["NEW LINE"]


def test_of_a_dead_process_it_is_known_as_soon_as_its_deadline_has_passed_and_nobody_overtakes_it(world: World) -> None:
    world.lost("drop")
    world.change(f"state = 'reserved', owner = '{DEAD}'")
    with pytest.raises(InFlight, match="cut short") as caught:
        world.move()
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 3
    with pytest.raises(InFlight, match="an earlier write"):
        world.move("NEXT LINE", key="other")
    assert world.move("ELSEWHERE", key="elsewhere", id="8").status == 200
    world.house.line = "OLD LINE"
    world.change("until = until - 4")
    assert world.move("NEXT LINE", key="other").status == 200  # the earlier one was not done: settled on the way
    assert world.move().status == 200
    assert world.house.written == ["ELSEWHERE", "NEXT LINE", "NEW LINE"]


@pytest.mark.parametrize(("fate", "states"), [("lose", ["done"]), ("drop", [])])
def test_the_job_worker_settles_what_a_dead_process_left(world: World, fate: str, states: list[str]) -> None:
    world.lost(fate)
    world.change(f"state = 'reserved', until = 0, owner = '{DEAD}'")
    world.runner.turn()
    assert world.states() == states
    assert world.house.written == ["NEW LINE"][: len(states)]


def test_a_back_end_that_is_down_is_not_asked_by_every_turn(world: World) -> None:
    world.lost()
    world.house.fate = "down"
    asked = world.house.asked
    with pytest.raises(Unavailable):
        world.service.settling.turn(time.monotonic())
    world.service.settling.turn(time.monotonic())
    assert world.house.asked == asked + 1
    assert world.states() == ["unknown"]
    world.house.fate = ""
    assert world.move().body["meta"]["settled"] == "by asking"


def test_writes_that_nobody_can_be_asked_about_keep_no_other_waiting(world: World) -> None:
    """One is tried a second, and each of them is tried again every quarter of a minute."""
    for n in range(16):
        world.store.reserve(WriteId("alice", "things.gone", str(n)), {}, -9)
    world.lost("lose")
    world.change("until = until - 99 WHERE operation = 'things.move'")
    world.change("until = until - 999 WHERE operation = 'things.gone'")
    for n in range(17):
        world.service.settling.turn(time.monotonic() + n)
    assert world.states().count("done") == 1


def test_a_write_that_is_not_asked_about_stays_unknown_when_its_process_died(tmp_path: Path) -> None:
    plain = operation("things.put", method="PUT", effect="write", auth=Auth("things:write"))
    back_end = Scripted()
    made, store = service(tmp_path, back_end, plain)
    store.reserve(WriteId("alice", "things.put", "k"), {}, -1, noted=False)
    Runner(made, {"scripted": back_end}, store).turn()
    assert [(w.id.key, w.open) for w in store.unknown_writes()] == [("k", False)]
    assert not back_end.calls


def test_a_write_of_which_nothing_was_noted_stays_unknown_though_its_endpoint_says_now_how_to_ask(tmp_path: Path) -> None:
    assert MOVE.legacy is not None
    before = World(tmp_path, write=replace(MOVE, legacy=replace(MOVE.legacy, ask=None)))
    before.lost()
    before.change(f"state = 'reserved', until = 0, owner = '{DEAD}'")
    world = World(tmp_path, house=before.house)
    world.runner.turn()
    with pytest.raises(OutcomeUnknown):
        world.move()
    assert world.house.written == ["NEW LINE"]


class Mute(Store):
    """A store that takes no intent."""

    def intend(self, write: WriteId, intent: Any) -> None:
        raise NotReady("the state store is busy")


def test_without_a_note_there_is_no_act(tmp_path: Path) -> None:
    world = World(tmp_path, Mute)
    with pytest.raises(AdapterError, match="nothing was sent") as caught:
        world.move()
    assert caught.value.status == 503
    assert world.house.written == []
    assert world.states() == []
