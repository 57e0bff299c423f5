"""A deferred write is a job: it survives its worker, is never published twice, and never called failed when it may have happened."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.base import Reply, Ticket
from adapters.errors import AdapterError, Closed, Failed, OutcomeUnknown, Refused, Unavailable
from tests.unit.small import ALICE, DROP, Scripted, drop, reply, request, service
from wrapper import jobs
from wrapper.jobs import Runner
from wrapper.operation import Field, Param
from wrapper.state.store import Store


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


def state(made: Any, id: str) -> tuple[str, str]:
    """A job's state and its problem's title."""
    about = made.job(id, ALICE).body["meta"]["job"]
    return about["state"], about.get("problem", {}).get("title", "")


def die_at(step: str) -> Callable[[Ticket, Callable[[str], None]], None]:
    """A worker that is killed after it has recorded `step`."""

    def publish(_ticket: Ticket, record: Callable[[str], None]) -> None:
        if step:
            record(step)
        raise SystemExit

    return publish


def turn_and_die(made: Any, store: Store, back_end: Scripted, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LEASE", 0.0)
    back_end.publish = die_at(step)
    with pytest.raises(SystemExit):
        Runner(made, {"scripted": back_end}, store).turn()
    time.sleep(0.002)
    back_end.publish = lambda ticket, record: None


@pytest.mark.parametrize("last", ["renaming", "published"])
def test_a_store_that_cannot_take_a_note_makes_no_job_failed(tmp_path: Path, last: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step after `last`, or `published` itself, meets a locked database: the job goes on from the step on record."""
    monkeypatch.setattr(jobs, "LEASE", 0.0)
    locker = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)

    def lock_after_the_act(_ticket: Ticket, record: Callable[[str], None]) -> None:
        record(last)
        locker.execute("BEGIN IMMEDIATE")
        if last == "renaming":
            record("published")

    back_end = Scripted(publish=lock_after_the_act)
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    Runner(made, {"scripted": back_end}, store).turn()
    locker.rollback()
    locker.close()
    assert state(made, id) == ("publishing", "")
    back_end.publish = lambda ticket, record: None
    Runner(made, {"scripted": back_end}, store).turn()
    assert state(made, id) == ("published", "")
    assert [t.step for t in back_end.submitted] == ["", last]


@pytest.mark.parametrize(("step", "ended"), [("", "failed"), ("renaming", "unknown")])
@pytest.mark.parametrize("change", ["the endpoint is gone", "its parameters are others", "the back end refuses"])
def test_what_the_next_worker_cannot_do_is_failed_only_when_nothing_was_begun(
    tmp_path: Path, step: str, ended: str, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    turn_and_die(made, store, back_end, step, monkeypatch)
    now = {
        "the endpoint is gone": [],
        "its parameters are others": [replace(DROP, params=(Param("path", Field("id", "string", min_length=20)),))],
        "the back end refuses": [DROP],
    }

    def refuse(_ticket: Ticket, record: Callable[[str], None]) -> None:
        raise Refused("does not fit the record")

    back_end.publish = refuse
    later, same = service(tmp_path, back_end, *now[change])
    Runner(later, {"scripted": back_end}, same).turn()
    assert state(later, id)[0] == ended


def test_a_job_parked_after_its_last_step_is_still_settled_by_its_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    for _ in range(3):
        turn_and_die(made, store, back_end, "published", monkeypatch)
    runner = Runner(made, {"scripted": back_end}, store)
    runner.turn()
    assert state(made, id) == ("unknown", "The job was given up")
    back_end.replies[id] = reply()
    runner.turn()
    assert state(made, id) == ("replied", "")


@pytest.mark.parametrize("end", [None, Refused("no"), OutcomeUnknown("perhaps"), Unavailable("away")])
def test_a_stalled_worker_wipes_no_answer(tmp_path: Path, end: AdapterError | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it slept past its lease, another has published the job and stored its reply."""
    monkeypatch.setattr(jobs, "LEASE", 0.0)
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    id = drop(made).body["meta"]["job"]["id"]
    other = Runner(made, {"scripted": back_end}, store)

    def stall(_ticket: Ticket, record: Callable[[str], None]) -> None:
        time.sleep(0.002)
        back_end.publish = lambda ticket, record: None
        back_end.replies[id] = reply()
        other.turn()
        if end is not None:
            raise end

    back_end.publish = stall
    Runner(made, {"scripted": back_end}, store).turn()
    assert drop(made).body["data"] == [{"id": "7", "amount": "1.00"}]
    assert len(back_end.submitted) == 2


def test_one_job_that_cannot_be_settled_or_loaded_stops_no_other(tmp_path: Path) -> None:
    """The catalogue has changed under a waiting job; another's reply meets an error of ours."""
    back_end = Scripted()
    made, store = service(tmp_path, back_end, DROP)
    ids = [drop(made, key).body["meta"]["job"]["id"] for key in ("k1", "k2", "k3")]
    for _ in ids:
        Runner(made, {"scripted": back_end}, store).turn()
    broken: Any = "no reply at all"
    back_end.replies = {ids[0]: broken, ids[1]: reply(), ids[2]: reply()}
    later, same = service(tmp_path, back_end, replace(DROP, params=(Param("path", Field("id", "string", min_length=20)),)))
    Runner(later, {"scripted": back_end}, same).turn()
    assert [state(later, id)[0] for id in ids] == ["published", "replied", "replied"]
    assert back_end.archived == ids[1:]


def test_a_deferred_object_without_a_record_fails_and_is_not_asked_for_for_ever(tmp_path: Path) -> None:
    back_end = Scripted()
    op = replace(DROP, shape="object")
    made, store = service(tmp_path, back_end, op)
    id = made.serve(op, request(idempotency_key="k1")).body["meta"]["job"]["id"]
    back_end.replies[id] = Reply((), "scripted")
    Runner(made, {"scripted": back_end}, store).turn()
    assert state(made, id) == ("failed", "There is no such thing")


def test_a_job_waits_for_its_system_to_open_however_long_that_is(tmp_path: Path) -> None:
    def closed(_ticket: Ticket, record: Callable[[str], None]) -> None:
        raise Closed("at this hour", retry_after=0.0)

    back_end = Scripted(publish=closed)
    overdue = replace(DROP, legacy=replace(DROP.legacy, expect_within=0.0))  # type: ignore[type-var]
    made, store = service(tmp_path, back_end, overdue)
    drop(made)
    runner = Runner(made, {"scripted": back_end}, store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "BACKOFF", 0.0)
        for _ in range(4):
            runner.turn()
        back_end.publish = lambda ticket, record: record("published")
        runner.turn()
    assert len(back_end.submitted) == 5
    assert drop(made).body["meta"]["job"]["state"] == "published"
