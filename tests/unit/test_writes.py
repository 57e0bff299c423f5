"""A write happens once or is reported unknown; a job survives its worker and is never published twice."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call, Reply, Ticket
from adapters.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tests.unit.small import Scripted, operation, request, service
from wrapper import jobs
from wrapper.jobs import Runner
from wrapper.operation import Auth, Source
from wrapper.problems import InFlight, Invalid, RequestError
from wrapper.request import Answer

WRITE = operation("things.put", method="PUT", effect="write", auth=Auth("things:write"))
SOURCE = WRITE.legacy
assert SOURCE is not None
DROP = operation(
    "things.drop", method="POST", effect="write", auth=Auth("things:write"), shape="items",
    legacy=Source("scripted", "scripted", SOURCE.target, SOURCE.read, deferred=True, expect_within=60),
)  # fmt: skip


def fail(error: Exception) -> Callable[[Call], Any]:
    def answer(_call: Call) -> Any:
        raise error

    return answer


def put(made: Any, key: str | None = "k1", id: str = "7") -> Answer:
    answer: Answer = made.serve(WRITE, request(id, idempotency_key=key))
    return answer


@pytest.mark.parametrize("key", [None, "", "a b", "x" * 256, "é"])
def test_a_write_without_a_usable_key_is_a_400(tmp_path: Path, key: str | None) -> None:
    back_end = Scripted()
    made, _ = service(tmp_path, back_end, WRITE)
    with pytest.raises(RequestError, match="Idempotency-Key") as caught:
        put(made, key)
    assert caught.value.status == 400
    assert not back_end.calls


def test_the_same_key_again_gets_the_first_answer_and_writes_nothing(tmp_path: Path) -> None:
    back_end = Scripted()
    made, _ = service(tmp_path, back_end, WRITE)
    first, second = put(made), put(made)
    assert first.body == second.body
    assert second.headers["Idempotency-Replayed"] == "true"
    assert len(back_end.calls) == 1


def test_the_same_key_for_another_request_is_refused(tmp_path: Path) -> None:
    made, _ = service(tmp_path, Scripted(), WRITE)
    put(made)
    with pytest.raises(Invalid, match="another request"):
        put(made, id="8")


def test_a_refused_write_gives_its_key_back(tmp_path: Path) -> None:
    back_end = Scripted(fail(Refused("too long")))
    made, _ = service(tmp_path, back_end, WRITE)
    with pytest.raises(Refused):
        put(made)
    back_end.answer = lambda call: [{"id": "7"}]
    assert put(made).status == 200


@pytest.mark.parametrize("error", [OutcomeUnknown("sent"), RuntimeError("a bug")])
def test_an_unknown_outcome_is_never_written_again(tmp_path: Path, error: Exception) -> None:
    back_end = Scripted(fail(error))
    made, _ = service(tmp_path, back_end, WRITE)
    with pytest.raises(type(error)):
        put(made)
    with pytest.raises(OutcomeUnknown, match="sent before"):
        put(made)
    assert len(back_end.calls) == 1


def test_a_write_whose_answer_cannot_be_read_is_unknown_not_failed(tmp_path: Path) -> None:
    back_end = Scripted(lambda _call: [{"id": "somebody else"}])
    made, _ = service(tmp_path, back_end, WRITE)
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            put(made)
    assert len(back_end.calls) == 1


def test_a_store_that_fails_after_the_act_hides_neither_the_answer_nor_the_error(tmp_path: Path) -> None:
    """A locked database takes no note; what became of the write is told all the same, and nothing is written again."""
    back_end = Scripted()
    made, _ = service(tmp_path, back_end, WRITE)
    locker = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None, check_same_thread=False)

    def lock_then(outcome: Callable[[Call], Any]) -> Callable[[Call], Any]:
        def answer(call: Call) -> Any:
            locker.execute("BEGIN IMMEDIATE")
            return outcome(call)

        return answer

    back_end.answer = lock_then(lambda call: [{"id": "7"}])
    assert put(made).body["meta"]["idempotency"] == "pending"
    locker.rollback()
    back_end.answer = lock_then(fail(OutcomeUnknown("sent")))
    with pytest.raises(OutcomeUnknown):
        put(made, "k2")
    locker.rollback()
    locker.close()
    for key in ("k1", "k2"):
        with pytest.raises((InFlight, OutcomeUnknown)):
            put(made, key)
    assert len(back_end.calls) == 2


def test_of_two_at_once_one_writes_and_the_other_is_told(tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def answer(call: Call) -> Any:
        entered.set()
        leave.wait(5)
        return [{"id": "7"}]

    back_end = Scripted(answer)
    made, _ = service(tmp_path, back_end, WRITE)
    first = threading.Thread(target=put, args=(made,))
    first.start()
    entered.wait(5)
    with pytest.raises(InFlight):
        put(made)
    leave.set()
    first.join()
    assert len(back_end.calls) == 1


def drop(made: Any, key: str = "k1", wait: float = 0.0) -> Answer:
    answer: Answer = made.serve(DROP, request(idempotency_key=key, wait=wait))
    return answer


def reply() -> Reply:
    return Reply(({"id": "7", "amount": "1.00"},), "scripted", 0.0)


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


def test_a_worker_that_died_mid_publish_is_followed_from_its_recorded_step(tmp_path: Path) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    drop(made)

    def die(_ticket: Ticket, record: Callable[[str], None]) -> None:
        record("renaming")
        raise SystemExit

    back_end.publish = die
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LEASE", 0.0)
        with pytest.raises(SystemExit):
            Runner(made, {"scripted": back_end}, store).turn()
    time.sleep(0.01)
    back_end.publish = lambda ticket, record: None
    Runner(made, {"scripted": back_end}, store).turn()
    assert [t.step for t in back_end.submitted] == ["", "renaming"]


def test_an_unknown_publication_is_settled_by_its_reply(tmp_path: Path) -> None:
    def lost(_ticket: Ticket, record: Callable[[str], None]) -> None:
        raise OutcomeUnknown("nobody knows")

    back_end = Scripted(publish=lost)
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    assert drop(made).body["meta"]["job"]["state"] == "unknown"
    runner.turn()
    assert len(back_end.submitted) == 1
    back_end.replies[id] = reply()
    runner.turn()
    assert drop(made).status == 200


def test_an_unknown_publication_is_looked_at_again_from_its_step_and_counts_no_crash(tmp_path: Path) -> None:
    def lost(_ticket: Ticket, record: Callable[[str], None]) -> None:
        record("renaming")
        raise OutcomeUnknown("nobody knows")

    back_end = Scripted(publish=lost)
    made, store = service(tmp_path, back_end, DROP)
    drop(made)
    runner = Runner(made, {"scripted": back_end}, store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "LOOK_AGAIN", 0.0)
        for _ in range(5):
            runner.turn()
            time.sleep(0.002)
    back_end.publish = lambda ticket, record: None
    runner.turn()
    assert [t.step for t in back_end.submitted] == ["", *["renaming"] * 5]
    assert drop(made).body["meta"]["job"]["state"] == "published"


def test_a_refused_batch_fails_with_its_reason(tmp_path: Path) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    back_end.replies[id] = Failed("duplicate batch", code="duplicate")
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    job = drop(made).body["meta"]["job"]
    assert (job["state"], job["problem"]["code"]) == ("failed", "duplicate")


def test_a_back_end_that_is_away_is_tried_later_and_counts_no_crash(tmp_path: Path) -> None:
    def away(_ticket: Ticket, record: Callable[[str], None]) -> None:
        raise Unavailable("refused")

    back_end = Scripted(publish=away)
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    Runner(made, {"scripted": back_end}, store).turn()
    job = store.job(id)
    assert job is not None
    assert (job.state, job.attempts) == ("accepted", 0)


def test_a_job_is_shown_to_its_own_caller_only(tmp_path: Path) -> None:
    from wrapper.policy.keys import Caller

    made, _ = service(tmp_path, Scripted(), DROP)
    id = drop(made).body["meta"]["job"]["id"]
    assert made.writes.job(id, Caller("bob")) is None
    assert made.writes.job(id, Caller("alice")) is not None
