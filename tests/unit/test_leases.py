"""Leases among processes: one holder of a name, renewed, fenced, wanted, barred. A process here is a Holder with a name of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from adapters.base import Credential
from adapters.errors import PoolExhausted
from adapters.tn3270.users import User, Users
from tests.unit.stores import Place, Time, on_sqlite
from tests.waiting import until
from wrapper.problems import NotReady
from wrapper.state.clock import gone, me
from wrapper.state.holder import TTL, Holder
from wrapper.state.leases import Lease, Waiter, free, wanted
from wrapper.state.store import Store

LUS = ("bank:LU1", "bank:LU2", "bank:LU3")


@pytest.fixture
def holder(store: Store) -> Iterator[Callable[..., Holder]]:
    """Makes processes by name, which seem to be of another host."""
    made: list[Holder] = []

    def make(name: str, ttl: float = TTL) -> Holder:
        made.append(Holder(store, f"elsewhere/{name}", ttl=ttl))
        return made[-1]

    yield make
    for one in made:
        one.close()


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def test_a_name_has_one_holder_until_it_is_given_back(holder: Callable[..., Holder]) -> None:
    a, b = holder("a"), holder("b")
    assert a.take(LUS[:1]) == LUS[0]
    assert a.take(LUS[:1]) is None
    assert b.take(LUS[:1]) is None
    assert a.holds(LUS[0], later(1))
    assert not b.holds(LUS[0], later(1))
    b.give(LUS[0])  # not its own: nothing happens
    assert a.holds(LUS[0], later(1))
    a.give(LUS[0])
    assert not a.holds(LUS[0], later(1))
    assert b.take(LUS[:1]) == LUS[0]


def test_a_name_is_renewed_for_a_call_that_would_outlast_it_and_kept_while_its_holder_lives(holder: Callable[..., Holder]) -> None:
    a, b = holder("a", ttl=0.9), holder("b")
    assert a.take(LUS[:1]) == LUS[0]
    assert a.holds(LUS[0], later(30))
    c = holder("c", ttl=0.9)
    assert c.take(LUS[1:2]) == LUS[1]
    time.sleep(1.2)
    assert (b.take(LUS[1:2]), c.holds(LUS[1], later(0.1))) == (None, True)


def test_a_name_that_was_not_renewed_in_time_is_lost_before_another_can_have_it(tmp_path: Path) -> None:
    """The process was stopped, or the store was away: on waking it must not believe its memory."""
    clock = Time()
    store = on_sqlite(tmp_path).open(clock.clock)
    a, b = Holder(store, "elsewhere/a", clock.clock), Holder(store, "elsewhere/b", clock.clock)
    try:
        assert a.take(LUS[:1]) == LUS[0]
        clock.steady += 14.6
        assert not a.holds(LUS[0], later(0))
        assert b.take(LUS[:1]) is None
        clock.steady += 0.5
        assert b.take(LUS[:1]) == LUS[0]
        assert not a.holds(LUS[0], later(0))
        a.give(LUS[0])
        assert b.holds(LUS[0], later(1))
    finally:
        for one in (a, b, store):
            one.close()


def test_a_thread_that_could_not_be_started_is_started_by_the_next_taking(tmp_path: Path) -> None:
    renewed = threading.Event()

    class Renewing(Store):
        def renew_leases(self, held: Mapping[str, int], who: str, seconds: float) -> frozenset[str]:
            renewed.set()
            return super().renew_leases(held, who, seconds)

    store = Renewing(on_sqlite(tmp_path).url)
    a = Holder(store, "elsewhere/a", ttl=0.9)
    try:
        threading.stack_size(1 << 46)  # more than there is
        try:
            assert a.take(LUS[:1]) == LUS[0]
        finally:
            threading.stack_size(0)
        assert a.take(LUS[1:2]) == LUS[1]
        assert renewed.wait(5)
    finally:
        a.close()
        store.close()


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_wall_clock_takes_no_name_from_its_holder(tmp_path: Path, step: float) -> None:
    clock = Time()
    store = on_sqlite(tmp_path).open(clock.clock)
    a, b = Holder(store, "elsewhere/a", clock.clock), Holder(store, "elsewhere/b", clock.clock)
    try:
        assert a.take(LUS[:1]) == LUS[0]
        clock.wall += step
        assert b.take(LUS[:1]) is None
        assert a.holds(LUS[0], later(30))
        clock.steady += 40
        assert b.take(LUS[:1]) == LUS[0]
    finally:
        for one in (a, b, store):
            one.close()


def test_a_host_that_was_booted_anew_has_no_holders(tmp_path: Path) -> None:
    clock = Time()
    store = on_sqlite(tmp_path).open(clock.clock)
    assert store.take_lease(LUS[:1], "elsewhere/a", 0, 15) is not None
    store.close()
    clock.booted, clock.steady, clock.wall = "another", 5.0, clock.wall - 7200
    store = on_sqlite(tmp_path).open(clock.clock)
    assert store.take_lease(LUS[:1], "elsewhere/b", 0, 15) == (LUS[0], 2)
    store.close()


def _hold(place: Place, names: tuple[str, ...], told: Connection) -> None:
    holder = Holder(place.open())
    told.send(holder.take(names))
    time.sleep(60)


def test_a_killed_process_holds_nothing_any_more_on_its_own_host(store: Store, place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_hold, args=(place, LUS[:1], there))
    process.start()
    assert here.poll(20)
    assert here.recv() == LUS[0]
    assert store.take_lease(LUS[:1], me(), 0, 15) is None
    os.kill(process.pid or 0, signal.SIGKILL)
    assert until(lambda: store.take_lease(LUS[:1], me(), 0, 15) is not None, 3) < 3
    process.join(5)


def test_nobody_can_tell_of_another_host_whether_its_process_has_ended() -> None:
    host, boot, space, pid, start, token = me().split("/")
    assert not gone(me())
    assert gone("/".join([host, boot, space, pid, f"{start}0", token]))
    assert not gone("/".join([host, "another-boot", space, "99999999", start, token]))
    assert not gone("elsewhere")
    assert not gone("")


def test_a_holder_learns_that_somebody_waits_and_one_of_several_gives(holder: Callable[..., Holder]) -> None:
    a, b = holder("a"), holder("b")
    assert [a.take(LUS), a.take(LUS), a.take(LUS)] == [*LUS]
    assert b.take(LUS) is None
    waited = until(lambda: any(a.wanted(name) for name in LUS))
    assert waited < 2.0
    given = next(name for name in LUS if a.wanted(name))
    a.give(given)
    assert a.take(LUS, holding=2) is None  # who has none comes first
    assert b.take(LUS) == given
    assert not b.wanted(given)


def test_who_asks_without_need_does_not_speak_for_who_needs_it(holder: Callable[..., Holder]) -> None:
    """Threads of one process are one waiter: the one that holds least counts."""
    a, b = holder("a"), holder("b")
    assert a.take(LUS[:1]) == LUS[0]
    assert [b.take(LUS[:1], holding) for holding in (0, 3)] == [None, None]
    until(lambda: a.wanted(LUS[0]))


def test_a_barred_name_is_taken_by_nobody_until_an_operator_says_so(holder: Callable[..., Holder]) -> None:
    a, b = holder("a"), holder("b")
    assert a.take(LUS[:1]) == LUS[0]
    a.bar(LUS[0])
    a.give(LUS[0])
    assert [one.take(LUS[:1]) for one in (a, b)] == [None, None]
    assert b.barred(LUS[0])
    assert not b.barred(LUS[1])
    assert a._table.unbar_lease(LUS[0])
    assert not a._table.unbar_lease(LUS[0])
    assert b.take(LUS[:1]) == LUS[0]


def test_of_four_workers_with_eight_threads_one_tries_a_wrong_password_once(store: Store, place: Place) -> None:
    tried: list[str] = []
    stores = [place.open() for _ in range(4)]
    workers = [Holder(worker, f"elsewhere/{n}") for n, worker in enumerate(stores)]

    def sign_on(holder: Holder) -> None:
        """As often as it is let."""
        over = False
        while not over:
            with suppress(PoolExhausted):  # 32 threads are more than the store has connections for
                over = all(holder.barred(name) for name in LUS)
                if name := holder.take(LUS):
                    tried.append(name)
                    holder.bar(name)
                    holder.give(name)

    threads = [threading.Thread(target=sign_on, args=(holder,)) for holder in workers for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in (*workers, *stores):
        one.close()
    assert sorted(tried) == [*LUS]


def lease(name: str, holder: str, *, left: float = 10.0, held: float = 10.0, barred: bool = False) -> Lease:
    return Lease(name, holder, 1, left, held, barred)


def waiter(holder: str, holding: int, *, waited: float = 0.0) -> Waiter:
    return Waiter(holder, frozenset("XYZ"), holding, waited)


@pytest.mark.parametrize(
    ("holders", "waiters", "gives"),
    [
        ("AAA", [waiter("B", 0)], 1),
        ("AAA", [waiter("B", 0), waiter("C", 0)], 2),
        ("AAC", [waiter("B", 1)], 0),  # it would come straight back
        ("AAA", [waiter("B", 1)], 1),
        ("ACD", [waiter("B", 0)], 1),  # one of three, not all
        ("ACD", [waiter("B", 0, waited=0.5)], 3),  # the first may be busy
        ("AAA", [], 0),
    ],
)
def test_as_many_give_as_wait_and_names_do_not_go_to_and_fro(holders: str, waiters: list[Waiter], gives: int) -> None:
    leases = [lease(name, holder) for name, holder in zip("XYZ", holders, strict=True)]
    assert sum(len(wanted(who, leases, waiters)) for who in set(holders)) == gives


def test_what_was_just_taken_is_kept_for_a_moment() -> None:
    assert wanted("A", [lease("X", "A", held=0.1)], [waiter("B", 0)]) == frozenset()


@pytest.mark.parametrize(
    ("rows", "waiters", "holding", "taken"),
    [
        ([], [], 0, "X"),
        ([lease("X", "B")], [], 0, "Y"),
        ([lease("X", "B", left=-0.1)], [], 0, "X"),
        ([lease("X", "dead")], [], 0, "X"),
        ([lease("X", "", barred=True)], [], 0, "Y"),
        ([lease("X", "B"), lease("Y", "B")], [waiter("C", 0)], 1, None),
        ([lease("X", "B")], [waiter("C", 0)], 1, "Y"),  # enough for both
        ([lease("X", "B"), lease("Y", "B")], [waiter("C", 1)], 0, "Z"),
        ([lease("X", "B"), lease("Y", "B")], [waiter("C", 0, waited=1)], 0, None),  # it came first
        ([lease("X", "B"), lease("Y", "B")], [waiter("dead", 0, waited=1)], 0, "Z"),
    ],
)
def test_what_is_free_goes_to_who_has_least_and_waits_longest(
    rows: list[Lease], waiters: list[Waiter], holding: int, taken: str | None
) -> None:
    assert free("XYZ", "A", holding, {row.name: row for row in rows}, waiters, dead="dead".__eq__) == taken


class Halting(Store):
    """Its first giver is held up after the act, or all of them fail."""

    failing = False

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.entered, self.go_on = threading.Event(), threading.Event()

    def give_lease(self, name: str, who: str, fence: int) -> None:
        if self.failing:
            raise NotReady("the state store is busy")
        super().give_lease(name, who, fence)
        if threading.current_thread().name == "first":
            self.entered.set()
            self.go_on.wait(5)


def test_who_gives_a_name_back_late_keeps_no_later_taking_from_being_given_back(tmp_path: Path) -> None:
    store = Halting(f"sqlite:///{tmp_path}/state.sqlite")
    a, b = Holder(store, "elsewhere/a"), Holder(store, "elsewhere/b")
    try:
        assert [a.take(LUS[:1]), a.take(LUS[1:2])] == [*LUS[:2]]
        first = threading.Thread(target=a.give, args=LUS[:1], name="first")
        first.start()
        assert store.entered.wait(5)
        a.give(LUS[1])  # and what is owed beside
        assert a.take(LUS[:1]) == LUS[0]
        store.failing = True
        a.give(LUS[0])
        store.go_on.set()
        first.join(5)
        store.failing = False
        until(lambda: b.take(LUS[:1]) is not None)
    finally:
        store.go_on.set()
        for one in (a, b, store):
            one.close()


def test_a_user_whose_lease_was_lost_signs_on_anew_only_when_the_old_session_has_ended(tmp_path: Path) -> None:
    """Both would hold the one name, and the end of either would give it back."""
    clock = Time()
    store = on_sqlite(tmp_path).open(clock.clock)
    holder = Holder(store, "elsewhere/a", clock.clock)
    users = Users("bank", [User("LU1", Credential(lambda _deadline: "USER1:PASSWORD"))], holder)
    try:
        seat = users.take(later(1), needed=True)
        clock.steady += 20
        assert not holder.holds(seat.lease, later(0))
        with pytest.raises(PoolExhausted):
            users.take(later(1), needed=True)
        users.give(seat.lease)
        assert users.take(later(1), needed=True).lease == seat.lease
    finally:
        for one in (holder, store):
            one.close()
