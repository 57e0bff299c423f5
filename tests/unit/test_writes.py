"""A write happens once or is reported unknown, and its answer is kept for repeats."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Call
from adapters.errors import AdapterError, OutcomeUnknown, Refused
from tests.unit.small import ALICE, Scripted, fail, operation, request, service
from tests.waiting import until
from wrapper.operation import Auth, Field
from wrapper.problems import InFlight, Invalid, RequestError
from wrapper.request import Answer

WRITE = operation("things.put", method="PUT", effect="write", auth=Auth("things:write"))


def put(made: Any, key: str | None = "k1", id: str = "7") -> Answer:
    answer: Answer = made.serve(WRITE, request(id, idempotency_key=key))
    return answer


def tried(made: Any, key: str) -> Answer | str:
    """The answer, or which error it was."""
    try:
        return put(made, key)
    except (AdapterError, RequestError) as error:
        return type(error).__name__


def settled(made: Any, key: str) -> Answer | str:
    """What is known of it once it is not in flight any more."""
    until(lambda: tried(made, key) != "InFlight", 5)
    return tried(made, key)


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


def test_a_replay_is_masked_for_whoever_asks(tmp_path: Path) -> None:
    """Two keys of one name, of different rights: neither sees by the other's."""
    op = replace(WRITE, fields=(Field("id", "string"), Field("iban", "string", mask="last4")))
    made, _ = service(tmp_path, Scripted(lambda call: [{"id": "7", "iban": "GB1234567890"}]), op)
    seer = replace(ALICE, scopes=ALICE.scopes | {"pii:read"})
    seen = [made.serve(op, request(idempotency_key="k1", caller=caller)).body["data"]["iban"] for caller in (seer, ALICE, seer)]
    assert seen == ["GB1234567890", "********7890", "GB1234567890"]


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
    answer = put(made)
    assert (answer.status, answer.body["meta"]["audit"]) == (200, "pending")
    locker.rollback()
    back_end.answer = lock_then(fail(OutcomeUnknown("sent")))
    with pytest.raises(OutcomeUnknown):
        put(made, "k2")
    locker.rollback()
    locker.close()
    again, unknown = settled(made, "k1"), settled(made, "k2")  # the store is told late
    assert isinstance(again, Answer)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "audit" not in again.body["meta"]
    assert unknown == "OutcomeUnknown"
    assert len(back_end.calls) == 2


def test_a_store_that_stalls_after_the_act_keeps_no_caller_past_the_deadline_and_a_second(tmp_path: Path) -> None:
    """Two things are to be told by then: what has changed, and what came of it."""
    op = replace(WRITE, deadline=1.0, invalidates=("things.get",))
    locker = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None, check_same_thread=False)

    def answer(call: Call) -> Any:
        locker.execute("BEGIN IMMEDIATE")
        time.sleep(call.left() - 0.05)
        return [{"id": "7"}]

    made, _ = service(tmp_path, Scripted(answer), op)
    began = time.monotonic()
    answered = made.serve(op, request(idempotency_key="k1"))
    took = time.monotonic() - began
    locker.rollback()
    locker.close()
    assert answered.body["meta"]["audit"] == "pending"
    assert took < op.deadline + 1
    assert isinstance(settled(made, "k1"), Answer)


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
