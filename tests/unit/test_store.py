"""The state store keeps its promises on either engine: keys, writes that happen once, jobs that survive their worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from tests.unit.stores import Place, Time, died
from wrapper.policy.keys import Caller
from wrapper.problems import NotReady
from wrapper.state.clock import me
from wrapper.state.database import BadStore
from wrapper.state.records import LeaseLost, WriteId
from wrapper.state.store import Store

WRITE = WriteId("alice", "payments.create", "key-1")


def test_a_key_is_found_by_its_id_until_it_is_revoked(store: Store) -> None:
    alice = Caller("alice", frozenset({"a:b"}), frozenset({"servicing"}), {"customer": frozenset({"1", "2"})})
    _, id, secret = store.issue(alice).split("_", 2)
    row = store.key(id)
    assert row is not None
    assert (row.id, row.caller, row.revoked, row.expires) == (id, alice, False, None)
    assert secret not in (row.digest, row.id)
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
    store.release(WRITE)
    assert store.reserve(WRITE, request, 30).state == "new"
    store.settle(WRITE, {"status": 200, "body": {"data": 1}})
    store.release(WRITE)  # too late: it has happened
    replay = store.reserve(WRITE, request, 30)
    assert (replay.state, replay.answer) == ("done", {"status": 200, "body": {"data": 1}})


def test_a_reservation_whose_process_died_is_unknown_never_new(store: Store) -> None:
    store.reserve(WRITE, {}, 0.0)
    time.sleep(0.01)
    assert store.reserve(WRITE, {}, 30).state == "unknown"


def test_what_callers_sent_lies_sealed_in_the_store(store: Store, place: Place) -> None:
    store.reserve(WRITE, {"debtor": "SECRETNAME"}, 30)
    store.add_job(WRITE, "JOB000000001", {"debtor": "SECRETNAME"}, "t", 60)
    store.settle(WRITE, {"body": "SECRETNAME"})
    for table in ("writes", "jobs"):
        [row] = place.said(f"SELECT * FROM {table}")
        assert "SECRETNAME" not in repr(row)
    assert place.key.stat().st_mode & 0o077 == 0


def test_a_job_and_its_write_appear_together(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {"x": 1}, "trace", 60)
    assert store.reserve(WRITE, {}, 30).job == "JOB000000001"
    job = store.job("JOB000000001")
    assert job is not None
    assert (job.state, job.step, store.params(job.id), store.answer(job.id)) == ("accepted", "", {"x": 1}, None)


def test_a_job_has_one_worker_at_a_time_and_a_late_one_is_fenced(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    assert store.claim("first", 0.5) is not None
    assert store.claim("second", 30) is None
    time.sleep(0.55)
    taken = store.claim("second", 30)
    assert taken is not None
    with pytest.raises(LeaseLost):
        store.step("JOB000000001", "first", "renaming", 30)
    store.step("JOB000000001", "second", "renaming", 30)
    found = store.job("JOB000000001")
    assert found is not None
    assert found.step == "renaming"


@pytest.mark.parametrize(("step", "state", "awaited"), [("", "poisoned", 0), ("renaming", "unknown", 1)])
def test_a_job_that_three_workers_died_of_is_parked(store: Store, step: str, state: str, awaited: int) -> None:
    """Once a step is on record its act may have happened: no more is tried then, but its reply still counts."""
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    for worker in "abc":
        assert store.claim(worker, 0.0) is not None
        if step:
            store.step("JOB000000001", worker, step, 0.0)
        time.sleep(0.002)
    for worker in "de":
        assert store.claim(worker, 0.0) is None
    job = store.job("JOB000000001")
    assert job is not None
    assert (job.state, len(store.waiting())) == (state, awaited)


def test_what_a_fenced_worker_says_of_a_job_changes_nothing(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    store.claim("first", 0.0)
    time.sleep(0.002)
    store.claim("second", 30)
    store.published("JOB000000001", "second")
    store.replied("JOB000000001", {"data": 1})
    said: list[Callable[[str, str], None]] = [
        store.published,
        lambda id, worker: store.failed(id, worker, {}),
        lambda id, worker: store.unknown(id, worker, {}, 0.0),
        lambda id, worker: store.later(id, worker, 0.0),
    ]
    for say in said:
        with pytest.raises(LeaseLost):
            say("JOB000000001", "first")
    store.unusable("JOB000000001", {"title": "late"})
    job = store.job("JOB000000001")
    assert job is not None
    assert (job.state, job.error, store.answer(job.id)) == ("replied", None, {"data": 1})


def test_an_id_that_is_taken_makes_no_job_and_settles_no_write(store: Store) -> None:
    other = WriteId("bob", "payments.create", "key-1")
    for write in (WRITE, other):
        store.reserve(write, {}, 30)
    assert store.add_job(WRITE, "JOB000000001", {}, "", 60) is not None
    assert store.add_job(other, "JOB000000001", {}, "", 60) is None
    assert store.reserve(other, {}, 30).state == "in_flight"


def test_who_lost_a_write_can_say_nothing_of_it_and_makes_no_job_of_it(store: Store) -> None:
    """It was thought dead, stopped for a while say, and its caller has sent the same again."""
    store.reserve(WRITE, {}, -1)
    (lost,) = store.unsettled()
    store.found_undone(lost)
    again = replace(WRITE, owner=f"{me()}again")
    for _ in range(2):
        with pytest.raises(NotReady, match="too long"):
            store.add_job(WRITE, "JOB000000001", {}, "", 60)
        assert store.job("JOB000000001") is None
        store.reserve(again, {}, 30)
    said: list[Callable[[], None]] = [
        lambda: store.release(WRITE), lambda: store.settle_unknown(WRITE), lambda: store.settle(WRITE, {}),
        lambda: store.found_undone(lost), lambda: store.found_done(lost, {}), lambda: store.found_nothing(lost),
    ]  # fmt: skip
    for say in said:
        say()
        assert store.reserve(WRITE, {}, 30).state == "in_flight"
    assert store.add_job(again, "JOB000000001", {}, "", 60) is not None


@pytest.mark.parametrize("value", [10**30, "\ud800", [[[[[{}]]]]], -1.5, None])
def test_whatever_json_can_say_is_sealed_and_opened_the_same(store: Store, value: object) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {"x": value}, "", 60)
    assert store.params("JOB000000001") == {"x": value}


def test_a_sealed_decimal_keeps_its_digits_and_no_exponent(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {"x": [Decimal("1e2"), Decimal("1.10")]}, "", 60)
    assert store.params("JOB000000001") == {"x": ["100", "1.10"]}


def test_putting_a_job_off_is_no_crash(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    for _ in range(5):
        assert store.claim("w", 30) is not None
        store.later("JOB000000001", "w", 0.0)
        time.sleep(0.002)


@pytest.mark.parametrize("url", ["postgres://x", "state.sqlite", "sqlite://relative"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(BadStore, match="sqlite:///PATH or postgresql://"):
        Store(url)


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(BadStore, match="a file"):
        Store("sqlite:///:memory:")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda key: key.unlink(), "missing"),
        (lambda key: key.write_bytes(b""), "holds no key"),
        (lambda key: key.write_bytes(Fernet.generate_key()), "another key"),
    ],
)
def test_a_store_without_its_own_key_is_refused_and_no_key_is_made(
    store: Store, place: Place, change: Callable[[Path], object], said: str
) -> None:
    """A new key would make every repeat a stranger and every job unreadable."""
    change(place.key)
    left = place.key.exists() and place.key.read_bytes()
    with pytest.raises(BadStore, match=said):
        place.open()
    assert (place.key.exists() and place.key.read_bytes()) == left


def test_a_store_that_should_be_there_and_is_not_is_told_and_not_made(place: Place) -> None:
    with pytest.raises(BadStore, match="there is no state store"):
        Store(place.url, place.key, there=True)
    assert not place.key.exists()
    place.open().close()
    Store(place.url, place.key, there=True).close()


def test_a_key_that_was_there_before_the_tables_is_kept(place: Place) -> None:
    """Who died between the two, at the very first start, has lost nothing."""
    place.key.write_bytes(Fernet.generate_key())
    before = place.key.read_bytes()
    place.open().close()
    assert place.key.read_bytes() == before


def test_a_newer_schema_is_refused(store: Store, place: Place) -> None:
    store.close()
    place.said("PRAGMA user_version=99" if place.url.startswith("sqlite") else "UPDATE figway SET value = '99' WHERE name = 'version'")
    with pytest.raises(BadStore, match="version 99"):
        place.open()


def test_a_reservation_of_a_process_that_was_killed_is_unknown_at_once(store: Store, place: Place) -> None:
    died(place, "k1")
    assert store.reserve(WriteId("a", "b", "k1"), {}, 60).state == "unknown"


def test_what_a_write_intends_is_kept_sealed_until_it_is_settled(store: Store, place: Place) -> None:
    store.reserve(WRITE, {}, -1)
    store.intend(WRITE, {"line": "SECRETLINE"})
    assert "SECRETLINE" not in repr(place.said("SELECT * FROM writes"))
    (left,) = store.unsettled()
    assert (left.id, left.open, left.gone, left.intent) == (WRITE, True, False, {"line": "SECRETLINE"})
    assert left.left < 0
    store.settle_unknown(WRITE)
    known = store.reserve(WRITE, {}, 30).unsettled
    assert known is not None
    assert known.intent == left.intent
    store.found_nothing(left)
    assert store.unsettled() == []
    assert [write.open for write in store.unknown_writes()] == [False]


def test_what_a_settler_found_holds_unless_the_write_has_moved_on(store: Store) -> None:
    store.reserve(WRITE, {}, -1)
    (left,) = store.unsettled()
    store.found_done(left, {"status": 200})
    store.found_undone(left)  # another settler, too late
    store.settle_unknown(WRITE)
    store.release(WRITE)  # its own process, too late
    assert store.reserve(WRITE, {}, 30).answer == {"status": 200}
    store.settle(WRITE, {"status": 201})  # its own process saw the answer
    assert store.reserve(WRITE, {}, 30).answer == {"status": 201}


def test_who_lost_a_reservation_has_no_say_in_it_any_more(store: Store, place: Place) -> None:
    store.reserve(WRITE, {}, -1)
    (left,) = store.unsettled()
    store.found_undone(left)
    store.reserve(WRITE, {}, 30)
    place.said("UPDATE writes SET owner = 'another process'")  # its caller has sent it again, to another worker
    for told in (store.release, store.settle_unknown, lambda write: store.settle(write, {})):
        told(WRITE)
    store.found_done(left, {})
    with pytest.raises(NotReady):
        store.intend(WRITE, {})
    assert place.said("SELECT state, answer, intent FROM writes") == [("reserved", None, None)]


def test_a_job_of_a_worker_that_was_killed_is_claimed_at_once(store: Store) -> None:
    store.reserve(WRITE, {}, 30)
    store.add_job(WRITE, "JOB000000001", {}, "", 60)
    host, boot, space, pid, start, token = me().split("/")
    assert store.claim("/".join([host, boot, space, pid, f"{start}0", token]), 60) is not None
    assert store.claim(me(), 60) is not None
    assert store.claim(f"{me()}x", 60) is None


def test_a_generation_counts_what_writes_invalidate(store: Store) -> None:
    assert store.generation("a") == 0
    store.bump(["b", "b", "a"])
    store.bump(["b"])
    assert [store.generation(name) for name in ("b", "c", "a")] == [2, 0, 1]


def test_of_many_threads_each_bump_counts(store: Store) -> None:
    threads = [threading.Thread(target=store.bump, args=(["a", "b"],)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.generation(name) for name in ("a", "b")] == [16, 16]


def test_what_a_transaction_did_before_its_error_is_undone(store: Store) -> None:
    with suppress(ZeroDivisionError), store._db.transaction() as tx:
        tx.execute("INSERT INTO generations (name, number) VALUES (?, ?)", ("a", 5))
        raise ZeroDivisionError
    assert store.generation("a") == 0
    store.ping()


def test_an_alone_transaction_is_alone(store: Store) -> None:
    inside, most = [], []

    def enter() -> None:
        with store._db.transaction(alone="x"):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_wall_clock_ends_no_live_write_and_publishes_no_job_twice(place: Place, step: float) -> None:
    time = Time()
    with closing(place.open(time.clock)) as store:
        for write in (WRITE, other := WriteId("a", "b", "c")):
            store.reserve(write, {}, 30)
        store.add_job(other, "JOB000000001", {}, "", 86400)
        assert store.claim("first", 60) is not None
        time.wall += step
        assert store.reserve(WRITE, {}, 30).state == "in_flight"
        assert store.claim("second", 60) is None
        store.step("JOB000000001", "first", "renaming", 60)
    with closing(place.open(time.clock)) as store:  # a process that starts after the step
        assert store.reserve(WRITE, {}, 30).state == "in_flight"
        assert store.claim("third", 60) is None
