"""What the caller of a deferred write sees: 202, the answer, repeats, masks; an accepted request is one job, whatever the store says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Ticket
from tests.unit.small import ALICE, DROP, Scripted, drop, reply, request, service
from wrapper import writes
from wrapper.jobs import Runner
from wrapper.operation import Auth, Field, ObjectRule, Param
from wrapper.policy.keys import Caller
from wrapper.problems import Forbidden, NotReady
from wrapper.state.records import Job
from wrapper.state.store import Store


def test_a_deferred_write_is_202_then_its_answer(tmp_path: Path) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    taken = drop(made)
    id = taken.body["meta"]["job"]["id"]
    assert (taken.status, taken.headers["Location"]) == (202, f"/jobs/{id}")
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    assert drop(made).body["meta"]["job"]["state"] == "published"
    back_end.replies[id] = reply()
    runner.turn()
    done = drop(made)
    assert (done.status, done.body["data"]) == (200, [{"id": "7", "amount": "1.00"}])
    assert back_end.archived == [id]
    assert len(back_end.submitted) == 1


def test_a_caller_who_waits_gets_the_answer_itself(tmp_path: Path) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)

    def publish(ticket: Ticket, record: Callable[[str], None]) -> None:
        record("published")
        back_end.replies[ticket.id] = reply()

    back_end.publish = publish
    stop = threading.Event()
    worker = threading.Thread(target=Runner(made, {"scripted": back_end}, store).run, args=(stop,))
    worker.start()
    answer = drop(made, wait=5)
    stop.set()
    worker.join()
    assert answer.status == 200
    assert answer.headers["Preference-Applied"] == "wait=5"


class Mute(Store):
    """A store that can't be read any more once it has taken a job."""

    def job(self, id: str) -> Job | None:
        raise NotReady("the state store can't be used")


def test_an_accepted_job_is_accepted_though_it_cannot_be_read_again(tmp_path: Path) -> None:
    made, store = service(tmp_path, Scripted(), DROP, kept=Mute)
    answer = drop(made, wait=5)
    assert (answer.status, answer.body["meta"]["job"]["state"]) == (202, "accepted")
    assert [job.id for job in store.jobs()] == [answer.body["meta"]["job"]["id"]]


class Stuttering(Store):
    """Says once that it failed: before it took the job, or after."""

    takes = False

    def add_job(self, *given: Any) -> Job | None:
        if hasattr(self, "said"):
            return super().add_job(*given)
        self.said = True
        if self.takes:
            super().add_job(*given)
        raise NotReady("the state store can't be used")


class StutteringLate(Stuttering):
    takes = True


@pytest.mark.parametrize(("kept", "replayed"), [(Stuttering, False), (StutteringLate, True)])
def test_a_repeat_after_a_503_makes_one_job(tmp_path: Path, kept: type[Store], replayed: bool) -> None:
    """The key is free again when the store has no job; when it has one all the same, the repeat finds it."""
    made, store = service(tmp_path, Scripted(), DROP, kept=kept)
    with pytest.raises(NotReady):
        drop(made)
    again = drop(made)
    assert (again.status, "Idempotency-Replayed" in again.headers) == (202, replayed)
    assert len(store.jobs()) == 1


def test_who_finds_no_place_to_wait_in_gets_202_at_once(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), DROP, waiters=1)
    first = threading.Thread(target=drop, args=(made, "k1", 1.0))
    first.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert drop(made, "k2", wait=1.0).status == 202
    assert time.monotonic() - began < 0.3
    first.join()
    drop(made, "k3", wait=0.5)
    assert time.monotonic() - began > 0.5  # the place is free again


def test_an_id_that_is_taken_is_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(["261124AAAAAA", "261124AAAAAA", "261124BBBBBB"])
    monkeypatch.setattr(writes, "job_id", lambda: next(ids))
    made, _ = service(tmp_path, Scripted(), DROP)
    assert [drop(made, key).body["meta"]["job"]["id"] for key in ("k1", "k2")] == ["261124AAAAAA", "261124BBBBBB"]


@pytest.mark.parametrize("amount", [Decimal("1e2"), Decimal("1.50"), 10**20])
def test_what_was_accepted_can_be_published(tmp_path: Path, amount: Any) -> None:
    back_end = Scripted()
    op = replace(DROP, params=(*DROP.params, Param("body", Field("amount", "decimal", scale=2))))
    made, store = service(tmp_path, back_end, op)
    made.serve(op, request(idempotency_key="k1", given={"body": {"amount": amount}}))
    Runner(made, {"scripted": back_end}, store).turn()
    assert [t.call.params["amount"] for t in back_end.submitted] == [Decimal(amount)]


def test_a_deferred_answer_is_masked_for_whoever_asks(tmp_path: Path) -> None:
    back_end = Scripted()
    op = replace(DROP, fields=(Field("id", "string", mask="hidden"), *DROP.fields[1:]))
    made, store = service(tmp_path, back_end, op)
    seer = replace(ALICE, scopes=ALICE.scopes | {"pii:read"})
    id = made.serve(op, request(idempotency_key="k1")).body["meta"]["job"]["id"]
    back_end.replies[id] = reply()
    Runner(made, {"scripted": back_end}, store).turn()

    def seen(caller: Caller) -> list[Any]:
        replay = made.serve(op, request(idempotency_key="k1", caller=caller))
        asked = made.job(id, caller)
        assert asked is not None
        return [row["id"] for answer in (replay, asked) for row in answer.body["data"]]

    assert seen(ALICE) == ["***", "***"]
    assert seen(seer) == ["7", "7"]
    without, _ = service(tmp_path, back_end)
    gone = without.job(id, ALICE)
    assert gone is not None
    assert (gone.status, gone.body["data"]) == (200, None)


def test_who_may_not_ask_any_more_gets_no_answer_of_a_job(tmp_path: Path) -> None:
    rule = {"id": ObjectRule(claim="customer")}
    bound = replace(DROP, auth=Auth("things:write", purposes=("servicing",), object=rule))
    back_end = Scripted()
    made, store = service(tmp_path, back_end, bound)
    able = replace(ALICE, purposes=frozenset({"servicing"}))
    id = made.serve(bound, request(caller=able, idempotency_key="k")).body["meta"]["job"]["id"]
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    back_end.replies[id] = reply()
    runner.turn()
    assert (answer := made.job(id, able)) is not None
    assert answer.body["data"] == [{"id": "7", "amount": "1.00"}]
    for less in (
        replace(able, scopes=frozenset({"things:read"})),
        replace(able, purposes=frozenset({"marketing"})),
        replace(able, claims={"customer": frozenset({"8"})}),
    ):
        with pytest.raises(Forbidden):
            made.job(id, less)


def test_a_job_is_shown_to_its_own_caller_only(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), DROP)
    id = drop(made).body["meta"]["job"]["id"]
    assert made.job(id, Caller("bob")) is None
    assert made.job(id, Caller("alice", ALICE.scopes)) is not None
