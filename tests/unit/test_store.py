"""The state store keeps its promises: keys, writes that happen once, jobs that survive their worker."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from wrapper.policy.keys import Caller, new
from wrapper.state.database import BadStore
from wrapper.state.store import LeaseLost, Store, WriteId

WRITE = WriteId("alice", "payments.create", "key-1")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path}/state.sqlite")
    yield made
    made.close()


def test_a_key_is_found_by_its_id_until_it_is_revoked(store: Store) -> None:
    text, row = new(Caller("alice", frozenset({"a:b"}), frozenset({"servicing"}), {"customer": frozenset({"1", "2"})}))
    store.put_key(row)
    assert store.key(row.id) == row
    assert text.split("_", 2)[2] not in (row.digest, row.id)
    assert store.revoke("alice") == 1
    assert store.revoke("alice") == 0
    found = store.key(row.id)
    assert found is not None
    assert found.revoked


def test_of_many_threads_with_one_key_exactly_one_may_write(store: Store) -> None:
    states: list[str] = []

    def reserve() -> None:
        states.append(store.reserve(WRITE, {"amount": "1.00"}, 30).state)

    threads = [threading.Thread(target=reserve) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(states) == ["in_flight"] * 15 + ["new"]


def test_a_reservation_is_settled_replayed_refused_and_released(store: Store) -> None:
    request = {"amount": "1.00"}
    assert store.reserve(WRITE, request, 30).state == "new"
    assert store.reserve(WRITE, {"amount": "2.00"}, 30).state == "mismatch"
    store.settle(WRITE, {"status": 200, "body": {"data": 1}})
    replay = store.reserve(WRITE, request, 30)
    assert (replay.state, replay.answer) == ("done", {"status": 200, "body": {"data": 1}})
    store.release(WRITE)
    assert store.reserve(WRITE, request, 30).state == "new"


def test_a_reservation_whose_process_died_is_unknown_never_new(store: Store) -> None:
    store.reserve(WRITE, {}, 0.0)
    time.sleep(0.01)
    assert store.reserve(WRITE, {}, 30).state == "unknown"


def test_what_callers_sent_lies_sealed_in_the_file(store: Store, tmp_path: Path) -> None:
    store.reserve(WRITE, {"debtor": "SECRETNAME"}, 30)
    store.add_job(WRITE, "JOB000000001", {"debtor": "SECRETNAME"}, "t", 60)
    store.settle(WRITE, {"body": "SECRETNAME"})
    store.close()
    raw = b"".join(p.read_bytes() for p in tmp_path.glob("state.sqlite*"))
    assert b"SECRETNAME" not in raw
    assert (tmp_path / "state.sqlite.key").stat().st_mode & 0o077 == 0


def test_a_job_and_its_write_appear_together(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {"x": 1}, "trace", 60)
    assert store.reserve(WRITE, {}, 30).job == "JOB000000001"
    job = store.job("JOB000000001")
    assert job is not None
    assert (job.state, job.params, job.step) == ("accepted", {"x": 1}, "")


def test_a_job_has_one_worker_at_a_time_and_a_late_one_is_fenced(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    assert store.claim("first", 0.05) is not None
    assert store.claim("second", 30) is None
    time.sleep(0.06)
    taken = store.claim("second", 30)
    assert taken is not None
    with pytest.raises(LeaseLost):
        store.step("JOB000000001", "first", "renaming", 30)
    store.step("JOB000000001", "second", "renaming", 30)
    found = store.job("JOB000000001")
    assert found is not None
    assert found.step == "renaming"


def test_a_job_that_three_workers_died_of_is_parked(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    for worker in "abc":
        assert store.claim(worker, 0.0) is not None
        time.sleep(0.002)
    assert store.claim("d", 0.0) is None
    job = store.job("JOB000000001")
    assert job is not None
    assert job.state == "poisoned"


def test_putting_a_job_off_is_no_crash(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    for _ in range(5):
        assert store.claim("w", 30) is not None
        store.later("JOB000000001", "w", 0.0)
        time.sleep(0.002)


@pytest.mark.parametrize("url", ["postgres://x", "state.sqlite", "sqlite://relative"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(BadStore, match="sqlite:///"):
        Store(url)


def test_a_newer_schema_and_a_damaged_file_are_refused(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(BadStore, match="version 99"):
        Store(f"sqlite:///{newer}")
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database, not at all" * 100)
    with pytest.raises(BadStore, match="can't be used"):
        Store(f"sqlite:///{damaged}")
