"""What every adapter must do whatever the line does: one suite, run by each kind against a real server behind fixtures.faults.Proxy.

A kind's test subclasses Conformance and gives a `rig`. Each test opens an adapter of its own, and when it ends the adapter must have left
no child process, no thread and no socket behind.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.base import Adapter, Call, Reply
from adapters.errors import AdapterError, DeadlineExceeded, Failed, Misread, Unavailable
from fixtures.faults import Fault, Proxy

Address = tuple[str, int]
Kinds = tuple[type[AdapterError], ...]
GRACE = 1.0  # seconds past its deadline that a call may take, by the Adapter protocol
ENDED: Kinds = (Unavailable,)
LATE: Kinds = (DeadlineExceeded,)
SENSELESS: Kinds = (Misread, Failed, Unavailable, DeadlineExceeded)  # random bytes may well say "a long message follows"

FAULTS = {
    "refused": (Fault(refuse=True), ENDED),
    "mute": (Fault(mute=0), LATE),
    "trickle": (Fault(trickle=5), LATE),
    "cut": (Fault(cut=0), ENDED),
    "reset": (Fault(cut=0, reset=True), ENDED),
    "cut in mid-answer": (Fault(cut=20), ENDED),
    "garbage": (Fault(garbage=True), SENSELESS),
}
AT_CONNECT = ["refused", "mute", "trickle", "cut", "garbage"]
IN_A_SESSION = list(FAULTS)


@dataclass(frozen=True, slots=True)
class Rig:
    """One kind's way to be tested: `open` makes an adapter that talks to an address (the proxy's), `call` a good read with so many
    seconds of deadline, `check` asserts that a reply holds the right values."""

    address: Address
    open: Callable[[Address], Adapter]
    call: Callable[[float], Call]
    check: Callable[[Reply], None]


@dataclass(frozen=True, slots=True)
class Footprint:
    """What this process holds: children (zombies too), threads by name, sockets."""

    children: frozenset[int]
    threads: Counter[str]
    sockets: frozenset[str]

    def more_than(self, before: Footprint) -> str:
        """What is here and was not before, in words; '' when nothing is."""
        grown = {
            "child processes": sorted(self.children - before.children),
            "threads": sorted(self.threads - before.threads),
            "sockets": sorted(self.sockets - before.sockets),
        }
        return ", ".join(f"{name}: {what}" for name, what in grown.items() if what)


def footprint(ignore: tuple[str, ...]) -> Footprint:
    """Now. `ignore` are beginnings of names of threads that belong to nobody's session."""
    threads = Counter(t.name for t in threading.enumerate() if not t.name.startswith(ignore))
    return Footprint(frozenset(_children()), threads, frozenset(_sockets()))


def _children() -> Iterator[int]:
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        if int(fields[1]) == os.getpid():
            yield int(status.parent.name)


def _sockets() -> Iterator[str]:
    for fd in Path("/proc/self/fd").iterdir():
        try:
            name = os.readlink(fd)
        except OSError:
            continue
        if name.startswith("socket:"):
            yield name


class Conformance:
    """Subclass it as TestX with a `rig` fixture. The class attributes may be set by a kind that has reasons to."""

    deadline = 1.2
    """Seconds that a call under a fault gets."""
    patience = 5.0
    """Seconds that a call on a healthy line gets, and within which an adapter must have recovered."""
    settle = 3.0
    """Seconds after close() until everything must be gone, the server's side too."""
    not_ours: tuple[str, ...] = ("figway-watchdog", "asyncio_", "fixture-")
    """Beginnings of names of threads that no adapter's close() need end: the watchdog, and servers in this process."""

    @pytest.fixture
    def rig(self) -> Iterator[Rig]:
        raise NotImplementedError("a conformance subclass gives a rig")

    @pytest.fixture
    def proxy(self, rig: Rig) -> Iterator[Proxy]:
        """The line between the two. When it is gone, nothing is left of the adapter either: see `adapter`."""
        before = footprint(self.not_ours)
        with Proxy(rig.address) as proxy:
            yield proxy
        until = time.monotonic() + self.settle
        while (left := footprint(self.not_ours).more_than(before)) and time.monotonic() < until:
            time.sleep(0.02)
        assert not left, f"left behind after close(): {left}"

    @pytest.fixture
    def adapter(self, rig: Rig, proxy: Proxy) -> Iterator[Adapter]:
        """An adapter behind the proxy. Afterwards it is closed, twice, in bounded time."""
        adapter = rig.open(proxy.address)
        yield adapter
        start = time.monotonic()
        adapter.close()
        assert time.monotonic() - start < 5 + GRACE
        adapter.close()

    def test_a_good_call_is_answered(self, rig: Rig, adapter: Adapter) -> None:
        rig.check(adapter.call(rig.call(self.patience)))

    def test_a_probe_of_a_healthy_system_returns(self, adapter: Adapter) -> None:
        adapter.probe(self.patience)

    def test_a_slow_line_is_waited_for(self, rig: Rig, proxy: Proxy, adapter: Adapter) -> None:
        rig.check(adapter.call(rig.call(self.patience)))
        proxy.set(Fault(latency=0.1))
        rig.check(adapter.call(rig.call(self.patience)))

    def test_a_deadline_that_has_passed_is_the_error_at_once(self, rig: Rig, adapter: Adapter) -> None:
        start = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            adapter.call(rig.call(0.0))
        assert time.monotonic() - start < GRACE

    @pytest.mark.parametrize("name", AT_CONNECT)
    def test_a_fault_at_connect_is_its_error_in_time_and_passes(self, rig: Rig, proxy: Proxy, adapter: Adapter, name: str) -> None:
        fault, kinds = FAULTS[name]
        proxy.set(fault)
        self.fails(rig, adapter, kinds)
        proxy.clear()
        self.recovers(rig, adapter)

    @pytest.mark.parametrize("name", IN_A_SESSION)
    def test_a_fault_in_a_live_session_is_its_error_in_time_and_passes(self, rig: Rig, proxy: Proxy, adapter: Adapter, name: str) -> None:
        fault, kinds = FAULTS[name]
        rig.check(adapter.call(rig.call(self.patience)))
        proxy.set(fault)
        self.fails(rig, adapter, kinds)
        proxy.clear()
        self.recovers(rig, adapter)

    @pytest.mark.parametrize("name", ["refused", "mute"])
    def test_a_probe_says_in_time_that_the_system_is_gone(self, proxy: Proxy, adapter: Adapter, name: str) -> None:
        proxy.set(FAULTS[name][0])
        start = time.monotonic()
        with pytest.raises(AdapterError) as met:
            adapter.probe(self.deadline)
        assert time.monotonic() - start <= self.deadline + GRACE
        assert isinstance(met.value, Unavailable | DeadlineExceeded)

    def test_sessions_that_were_cut_while_idle_are_replaced(self, rig: Rig, proxy: Proxy, adapter: Adapter) -> None:
        rig.check(adapter.call(rig.call(self.patience)))
        proxy.set(Fault(refuse=True))
        proxy.clear()
        self.recovers(rig, adapter)

    @pytest.mark.parametrize("name", ["mute", "cut", "garbage"])
    def test_a_fault_under_eight_callers_holds_none_of_them(self, rig: Rig, proxy: Proxy, adapter: Adapter, name: str) -> None:
        fault, kinds = FAULTS[name]
        allowed: Kinds = (*kinds, Unavailable, DeadlineExceeded)
        hit = threading.Event()

        def caller() -> None:
            """Ask until the fault is felt."""
            while True:
                after = hit.is_set()
                start = time.monotonic()
                try:
                    rig.check(adapter.call(rig.call(self.deadline)))
                except allowed:
                    assert time.monotonic() - start <= self.deadline + GRACE
                    if after:
                        return

        with ThreadPoolExecutor(8) as threads:
            callers = [threads.submit(caller) for _ in range(8)]
            time.sleep(0.3)
            proxy.set(fault)
            hit.set()
            for one in callers:
                one.result(self.patience)
        proxy.clear()
        self.recovers(rig, adapter)

    def fails(self, rig: Rig, adapter: Adapter, kinds: Kinds) -> None:
        """A call now is one of `kinds`, in time."""
        start = time.monotonic()
        with pytest.raises(AdapterError) as met:
            adapter.call(rig.call(self.deadline))
        elapsed = time.monotonic() - start
        assert isinstance(met.value, kinds), f"{met.value!r}, expected {' or '.join(k.__name__ for k in kinds)}"
        assert elapsed <= self.deadline + GRACE, f"took {elapsed:.2f} s of {self.deadline} s"

    def recovers(self, rig: Rig, adapter: Adapter) -> None:
        """The same adapter answers rightly again, soon; until then it may say that it can't, never anything wrong."""
        until = time.monotonic() + self.patience
        while True:
            try:
                reply = adapter.call(rig.call(self.patience))
            except (Unavailable, DeadlineExceeded):
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)
            else:
                rig.check(reply)
                return
