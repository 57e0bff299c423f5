"""A deferred write is a job: it survives its worker, is never published twice, and never called failed when it may have happened."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Reply, Ticket
from adapters.errors import Failed, OutcomeUnknown, Refused, Unavailable
from tests.unit.small import ALICE, Scripted, operation, request, service
from wrapper import jobs, writes
from wrapper.jobs import Runner
from wrapper.operation import Auth, Field, Param, Source
from wrapper.policy.keys import Caller
from wrapper.problems import NotReady
from wrapper.request import Answer
from wrapper.state.records import Job, WriteId
from wrapper.state.store import Store

SOURCE = operation().legacy
assert SOURCE is not None
DROP = operation(
    "things.drop", method="POST", effect="write", auth=Auth("things:write"), shape="items",
    legacy=Source("scripted", "scripted", SOURCE.target, SOURCE.read, deferred=True, expect_within=60),
)  # fmt: skip


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
    made, _ = service(tmp_path, Scripted(), DROP)
    id = drop(made).body["meta"]["job"]["id"]
    assert made.job(id, Caller("bob")) is None
    assert made.job(id, Caller("alice")) is not None
