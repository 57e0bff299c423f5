"""Sessions, LUs and credentials of the 3270 adapter when several processes share them, and when a process falls sick."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base import Adapter, Credential
from adapters.errors import BadLogon, DeadlineExceeded, PoolExhausted, Unavailable
from fixtures.host3270 import Host3270
from tests.adapters.bank import BUSY, ENQUIRY, LIST, Leases, back_again, call, failed, opened, static
from tests.adapters.conformance import footprint
from tests.live import ROOT
from tests.unit.stores import on_sqlite
from tests.waiting import until
from wrapper.state.holder import Holder


class Counts:
    """Events, counted."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.levels: dict[str, float] = {}

    def happened(self, event: str, system: str) -> None:
        self.seen[event] += 1

    def level(self, gauge: str, system: str, value: float) -> None:
        self.levels[gauge] = value

    def took(self, what: str, system: str, seconds: float) -> None:
        self.seen[what] += 1


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


Many = Callable[..., list[Adapter]]


@pytest.fixture
def many(host: Host3270, closing: ExitStack, tmp_path: Path) -> Many:
    """Adapters that compete for the same LUs over one store, as worker processes do."""
    store = on_sqlite(tmp_path).open()
    closing.callback(store.close)

    def make(number: int, *passwords: str) -> list[Adapter]:
        holders = [Holder(store, f"elsewhere/{n}") for n in range(number)]
        adapters = [opened(host.address, passwords, holder) for holder in holders]
        for each in (*holders, *adapters):
            closing.callback(each.close)
        return adapters

    return make


def test_an_idle_holder_hands_its_lu_over_within_a_second(host: Host3270, many: Many) -> None:
    holder, waiter = many(2, "PASS0001")
    holder.call(call(ENQUIRY, BUSY))
    began = time.monotonic()
    waiter.call(call(ENQUIRY, BUSY))
    assert time.monotonic() - began < 1
    assert host.journal.count("signoff", "clean") == 1
    assert host.journal.count("ghost") == 0


def test_a_background_call_uses_what_is_idle_here_and_takes_no_lu_from_another_process(host: Host3270, many: Many) -> None:
    holder, other = many(2, "PASS0001")
    in_background = replace(call(LIST, BUSY), background=True)
    assert holder.call(in_background).pages == 3
    began = time.monotonic()
    failed(other, in_background, PoolExhausted)
    assert time.monotonic() - began < 1
    time.sleep(0.5)  # the holder looks at its sessions every 0.2 s, and nothing shows that it has looked
    holder.call(in_background)
    assert (host.journal.count("signon"), host.journal.count("signoff")) == (1, 0)


@contextmanager
def worker(host: Host3270, state: Path, threads: int, calls: int) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "tests.adapters.worker3270", str(host.address[1]), f"sqlite:///{state}", str(threads), str(calls)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout
    return process.stdout.readline().decode().strip()


def test_processes_never_have_more_sessions_than_lus_and_a_killed_one_leaves_its_lus(host: Host3270, many: Many, tmp_path: Path) -> None:
    (waiter,) = many(1, "PASS0001", "PASS0002", "PASS0003")
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(host, tmp_path / "state.sqlite", 4, 100)) for _ in range(4)]
        assert [said(one) for one in workers] == ["up"] * 4
        assert all(float(said(one)) < 15 for one in workers)
        assert host.journal.most_signed_on() <= 3
        assert host.journal.count("signon") < 80
        for one in workers:
            one.kill()
        began = time.monotonic()
        back_again(waiter, ENQUIRY, BUSY)
        assert time.monotonic() - began < 3
        assert host.journal.most_signed_on() <= 3
        assert host.journal.count("ghost") > 0


def test_who_gets_no_lu_is_told_at_the_deadline(host: Host3270, closing: ExitStack) -> None:
    leases = Leases()
    leases.held.add("corebank:FIGW01")  # by somebody who never hands over
    alone = opened(host.address, ["PASS0001"], leases)
    closing.callback(alone.close)
    began = time.monotonic()
    failed(alone, call(ENQUIRY, BUSY, seconds=0.5), PoolExhausted)
    assert 0.5 <= time.monotonic() - began < 1


def test_a_session_whose_lease_was_lost_ends_at_once_and_another_serves(host: Host3270, closing: ExitStack) -> None:
    leases, counts = Leases(), Counts()
    adapter = opened(host.address, ["PASS0001", "PASS0002"], leases, counts)
    closing.callback(adapter.close)
    adapter.call(call(ENQUIRY, BUSY))
    leases.held.clear()
    adapter.call(call(ENQUIRY, BUSY))
    assert counts.seen["lease_lost"] == 1
    assert host.journal.count("ghost") == 1  # it was not signed off: that may be somebody else's session by now
    assert len(leases.held) == 1


def test_a_wrong_credential_is_tried_once_whoever_asks(host: Host3270, many: Many) -> None:
    adapters = many(4, "WRONG1", "WRONG2", "WRONG3")
    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(failed, adapters[n % 4], call(ENQUIRY, BUSY, seconds=10), BadLogon) for n in range(64)]
        for one in asked:
            one.result()
    assert Counter(e.user for e in host.journal.entries("refused")) == {"FIGW01": 1, "FIGW02": 1, "FIGW03": 1}
    with pytest.raises(BadLogon):
        adapters[0].probe(2)


def test_a_refusal_that_comes_after_its_callers_deadline_bars_all_the_same(host: Host3270, many: Many) -> None:
    (adapter,) = many(1, "WRONG")
    host.switches.slow, host.switches.slow_after = 1.5, "refused"
    failed(adapter, call(ENQUIRY, BUSY, seconds=1), DeadlineExceeded)
    assert host.journal.count("refused") == 1
    for _ in range(3):
        failed(adapter, call(ENQUIRY, BUSY), BadLogon)
    assert host.journal.count("refused") == 1


def test_a_sign_on_that_outlasts_its_caller_serves_the_next_one(host: Host3270, many: Many) -> None:
    (adapter,) = many(1, "PASS0001")
    host.switches.slow, host.switches.slow_after = 1.5, "signon"
    failed(adapter, call(ENQUIRY, BUSY, seconds=1), DeadlineExceeded)
    host.switches.slow = 0.0
    adapter.call(call(ENQUIRY, BUSY))
    assert host.journal.count("signon") == 1
    assert host.journal.count("ghost") == 0


def test_a_changed_credential_is_tried_after_a_bar_and_the_old_one_is_not(host: Host3270, closing: ExitStack) -> None:
    passwords = ["OLD"]
    users = [{"lu": "FIGW01", "credentials": Credential(lambda _deadline: f"FIGW01:{passwords[0]}")}]
    adapter = opened(host.address, users=users)
    closing.callback(adapter.close)
    for _ in range(2):
        failed(adapter, call(ENQUIRY, BUSY), BadLogon)
    passwords[0] = "PASS0001"
    back = time.monotonic()
    until(lambda: _answers(adapter))
    assert time.monotonic() - back < 2
    assert host.journal.count("refused") == 1


def _answers(adapter: Adapter) -> bool:
    try:
        return bool(adapter.call(call(ENQUIRY, BUSY)).records)
    except BadLogon:
        return False


def test_a_credential_made_for_one_sign_on_is_made_anew_for_each_and_barred_by_its_lu(host: Host3270, closing: ExitStack) -> None:
    made: list[str] = []

    def make(_deadline: float) -> str:
        made.append("PASS0001" if len(made) < 2 else f"WRONG{len(made)}")
        return f"FIGW01:{made[-1]}"

    users = [{"lu": "FIGW01", "credentials": Credential(make, once=True)}]
    leases = Leases()
    adapter = opened(host.address, users=users, leases=leases, sessions={"recycle_after": 1})
    closing.callback(adapter.close)
    for _ in range(2):
        adapter.call(call(ENQUIRY, BUSY))
    for _ in range(3):
        failed(adapter, call(ENQUIRY, BUSY), BadLogon)
    assert len(made) == 3
    assert leases.bars == {"corebank:FIGW01"}
    assert host.journal.count("refused") == 1


def test_a_refusal_gives_its_lu_back_though_nobody_can_say_what_is_barred(host: Host3270, closing: ExitStack) -> None:
    class Away(Leases):
        def barred(self, name: str) -> bool:
            if self.bars:
                raise PoolExhausted("the state store is away")
            return False

    leases = Away()
    adapter = opened(host.address, ["WRONG"], leases)
    closing.callback(adapter.close)
    failed(adapter, call(ENQUIRY, BUSY), PoolExhausted)
    assert not leases.held
    assert host.journal.count("refused") == 1


def test_a_credential_that_was_put_right_is_used_and_not_told_as_barred_any_more(host: Host3270, closing: ExitStack) -> None:
    counts, logins = Counts(), ["FIGW01:WRONG"]
    adapter = opened(host.address, users=[{"lu": "FIGW01", "credentials": Credential(lambda _: logins[-1])}], events=counts)
    closing.callback(adapter.close)
    failed(adapter, call(ENQUIRY, BUSY), BadLogon)
    assert counts.levels["users_barred"] == 1
    logins.append("FIGW01:PASS0001")
    back_again(adapter, ENQUIRY, BUSY)
    assert counts.levels["users_barred"] == 0


def test_sessions_are_kept_open_signed_off_and_kept_awake_by_themselves(closing: ExitStack) -> None:
    with Host3270(idle_seconds=0.6) as host:
        adapter = opened(host.address, sessions={"min": 2, "idle_logoff": "0s"})
        closing.callback(adapter.close)
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(lambda _: adapter.call(call(ENQUIRY, BUSY)), range(9)))
        until(lambda: host.journal.count("signon") - host.journal.count("signoff") == 2)
        adapter.close()
        host.journal.clear()
        awake = opened(host.address, ["PASS0001"], sessions={"keep_alive": {"every": "0s", "press": "enter"}})
        closing.callback(awake.close)
        awake.call(call(ENQUIRY, BUSY))
        until(lambda: host.journal.count("key", "MENU enter") > 6)
        awake.call(call(ENQUIRY, BUSY))
        assert host.journal.count("signoff", "idle") == 0
        assert host.journal.count("signon") == 1


def terminals() -> list[int]:
    """The s3270 processes of this one."""
    return [pid for pid in footprint(()).children if _name(pid) == "s3270"]


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.parametrize("harm", [signal.SIGSTOP, signal.SIGKILL])
@pytest.mark.parametrize("rest", [0.0, 0.3], ids=["at once", "at rest"])
def test_a_terminal_that_falls_sick_is_replaced(host: Host3270, one: Adapter, harm: signal.Signals, rest: float) -> None:
    one.call(call(ENQUIRY, BUSY))
    (sick,) = terminals()
    os.kill(sick, harm)
    time.sleep(rest)
    began = time.monotonic()
    try:
        one.call(call(ENQUIRY, BUSY, seconds=1))
    except (DeadlineExceeded, Unavailable):
        assert time.monotonic() - began < 2
    assert back_again(one, ENQUIRY, BUSY).records[0]["customer"] == BUSY
    (well,) = terminals()
    assert well != sick
    assert not Path(f"/proc/{sick}").exists()


def test_close_gives_lus_back_while_a_call_still_runs(host: Host3270, closing: ExitStack) -> None:
    leases = Leases()
    adapter = opened(host.address, ["PASS0001", "PASS0002"], leases, sessions={"min": 2})
    closing.callback(adapter.close)
    adapter.call(call(ENQUIRY, BUSY))
    until(lambda: host.journal.count("signon") == 2)
    host.switches.slow = 0.2
    with ThreadPoolExecutor(2) as threads:
        running = threads.submit(adapter.call, call(LIST, BUSY))
        until(lambda: host.journal.count("key", "ACCTLIST enter"))
        leaving = threads.submit(adapter.close)
        until(lambda: len(leases.held) == 1)
        assert not running.done()
        assert len(running.result().records) == 31
        leaving.result(4)
    assert not leases.held
    assert host.journal.count("ghost") == 0


def test_what_goes_on_is_told(host: Host3270, closing: ExitStack) -> None:
    counts = Counts()
    users = [{"lu": f"FIGW0{n}", "credentials": static(f"FIGW0{n}:{p}")} for n, p in ((1, "WRONG"), (2, "PASS0002"))]
    adapter = opened(host.address, users=users, events=counts)
    closing.callback(adapter.close)
    adapter.call(call(ENQUIRY, BUSY))
    assert counts.levels == {"sessions": 1, "sessions_in_use": 0, "sessions_waiting": 0, "users_barred": 1}
    adapter.close()
    assert counts.seen == {"session_opened": 1, "session_closed": 1, "logon_refused": 1, "logon": 1}
    assert counts.levels["sessions"] == 0


def test_an_lu_that_the_host_still_has_is_passed_over(host: Host3270, closing: ExitStack) -> None:
    """A worker that was stopped beyond its lease still has its connection."""
    elsewhere = opened(host.address, ["PASS0001"])
    closing.callback(elsewhere.close)
    elsewhere.call(call(ENQUIRY, BUSY))
    adapter = opened(host.address, ["PASS0001", "PASS0002"])
    closing.callback(adapter.close)
    adapter.call(call(ENQUIRY, BUSY))
    elsewhere.close()
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: adapter.call(call(LIST, BUSY)), range(8)))
    assert host.journal.most_signed_on() <= 2


def test_while_the_host_refuses_one_lu_idle_holders_of_the_others_hand_them_over(host: Host3270, closing: ExitStack, many: Many) -> None:
    """Another installation has the first one: whoever holds none would else take that one, the only free one, again and again."""
    elsewhere = opened(host.address, ["PASS0001"])
    closing.callback(elsewhere.close)
    elsewhere.call(call(ENQUIRY, BUSY))
    workers = many(4, "PASS0001", "PASS0002", "PASS0003")
    for n in range(8):
        began = time.monotonic()
        workers[n % 4].call(call(ENQUIRY, BUSY))
        assert time.monotonic() - began < 3
    assert host.journal.most_signed_on() <= 3
    elsewhere.close()
    host.journal.clear()
    began = time.monotonic()
    with ThreadPoolExecutor(4) as threads:
        while not any(e.user == "FIGW01" for e in host.journal.entries("signon")):
            list(threads.map(lambda worker: worker.call(call(LIST, BUSY)), workers))
            assert time.monotonic() - began < 6


def test_when_the_host_refuses_every_lu_that_is_said_at_once_and_so_are_refused_credentials(host: Host3270, closing: ExitStack) -> None:
    elsewhere = opened(host.address, ["PASS0001"])
    closing.callback(elsewhere.close)
    elsewhere.call(call(ENQUIRY, BUSY))
    alone, wrong = (opened(host.address, passwords) for passwords in (["PASS0001"], ["PASS0001", "WRONG2", "WRONG3"]))
    closing.callback(alone.close)
    closing.callback(wrong.close)
    began = time.monotonic()
    for _ in range(3):
        assert "does not take the connection" in failed(alone, call(ENQUIRY, BUSY), Unavailable).detail
        assert "refuses the credential of 2 of 3 users" in failed(wrong, call(ENQUIRY, BUSY), Unavailable).detail
    assert time.monotonic() - began < 4
    assert host.journal.count("refused") == 2
    elsewhere.close()
    began = time.monotonic()
    back_again(alone, ENQUIRY, BUSY)  # nobody is left aside when there is no other
    assert time.monotonic() - began < 1.5
