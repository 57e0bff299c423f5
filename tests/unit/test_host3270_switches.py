"""What the demo mainframe does wrong on demand, seen with the real s3270."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from datetime import time as Clock

import pytest

from fixtures.customers import by_id
from fixtures.host3270 import Address, Host3270, Switches
from tests.unit.terminal3270 import Open, Terminal

BUSY, OTHER = "0000012345", "0000010002"


@pytest.fixture
def host() -> Iterator[Host3270]:
    with Host3270(late_delay=0.2, row_delay=0.1) as running:
        yield running


def test_late_rows_come_after_the_header_and_the_unlock(host: Host3270, signed_on: Terminal) -> None:
    signed_on.choose("1")
    host.switches.late_rows = True
    signed_on.ask(OTHER)
    unlocked = signed_on.screen()
    assert (unlocked[3].split(), unlocked[5].split(), unlocked[23].strip()) == (["CUSTOMER", OTHER], ["NAME"], "")
    signed_on.until(24, "ENQUIRY COMPLETE")
    assert signed_on.field(6) == by_id()[OTHER].name


def test_a_broadcast_holds_the_answer_until_enter(host: Host3270, signed_on: Terminal) -> None:
    host.switches.broadcast, host.switches.broadcast_lu = 1, "FIGW02"
    signed_on.choose("1")
    assert "CUIN" in signed_on.row(1)
    host.switches.broadcast_lu = "FIGW01"
    signed_on.ask(OTHER)
    assert "BCST" in signed_on.row(1)
    signed_on.press("PF(3)")
    assert "BCST" in signed_on.row(1)
    signed_on.press()
    assert signed_on.field(6) == by_id()[OTHER].name
    assert host.journal.count("broadcast") == 1


def test_a_broadcast_may_interrupt_the_sign_on(host: Host3270, opened: Open) -> None:
    host.switches.broadcast, host.switches.broadcast_anywhere = 1, True
    terminal = opened(host)
    terminal.type(20, "COREBANK")
    terminal.press()
    assert "BCST" in terminal.row(1)
    terminal.press()
    assert terminal.sign_on() == "MENU"


def test_an_abend_undoes_the_transaction_and_leaves_only_clear(host: Host3270, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "1 NEW ROAD")
    host.switches.abend = 1
    signed_on.press("PF(5)")
    signed_on.press("PF(3)")
    assert signed_on.row(1).strip().startswith("DFHAC2206")
    signed_on.press("Clear()")
    assert "MENU" in signed_on.row(1)
    assert (host.journal.count("abend"), host.journal.count("commit")) == (1, 0)


def test_clear_elsewhere_shows_the_screen_again(signed_on: Terminal) -> None:
    signed_on.choose("1")
    signed_on.ask(OTHER)
    signed_on.press("Clear()")
    assert signed_on.field(6) == by_id()[OTHER].name


def test_a_change_by_another_clerk_is_refused(host: Host3270, opened: Open, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "1 FIRST STREET")
    other = opened(host, lu="FIGW02")
    other.sign_on("FIGW02", "PASS0002")
    other.new_address(BUSY, "2 SECOND STREET")
    other.press("PF(5)")
    signed_on.press("PF(5)")
    assert (other.row(24).strip(), signed_on.row(24).strip()) == ("ADDRESS UPDATED", "RECORD CHANGED BY ANOTHER USER")
    signed_on.press("PF(5)")
    assert signed_on.row(24).strip() == "NOTHING TO CONFIRM"
    assert (host.journal.count("commit"), host.journal.count("conflict")) == (1, 1)
    record = host.records.find(BUSY)
    assert record is not None
    assert record.address.line1 == "2 SECOND STREET"


def test_a_change_from_outside_counts_too(host: Host3270, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "1 FIRST STREET")
    host.records.change(BUSY, Address("9 ELSEWHERE", "BATH", "BA1 1AA"))
    signed_on.press("PF(5)")
    assert signed_on.row(24).strip() == "RECORD CHANGED BY ANOTHER USER"


def test_a_change_may_be_taken_back_before_it_is_made(host: Host3270, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "1 FIRST STREET")
    signed_on.press("PF(12)")
    assert (signed_on.field(8), signed_on.row(24).strip()) == ("1 FIRST STREET", "CHANGE ADDRESS AND PRESS ENTER")
    signed_on.press("PF(3)")
    assert host.journal.count("commit") == 0


@pytest.mark.parametrize("option", ["1", "2"])
def test_a_stale_enquiry_shows_the_customer_before(host: Host3270, signed_on: Terminal, option: str) -> None:
    signed_on.choose(option)
    signed_on.ask(OTHER)
    signed_on.until(24, "ENQUIRY", "END OF LIST")
    host.switches.stale = 1
    signed_on.ask(BUSY)
    assert signed_on.field(4, 10) == OTHER
    signed_on.ask(BUSY)
    assert signed_on.field(4, 10) == BUSY


def test_every_other_enquiry_may_be_stale(host: Host3270, signed_on: Terminal) -> None:
    host.switches.stale_every = 2
    signed_on.choose("1")
    seen = []
    for _ in range(4):
        signed_on.ask(BUSY)
        seen.append(signed_on.field(4, 10) == BUSY)
    assert seen == [True, False, True, False]


def test_the_stale_answer_may_be_put_right_a_moment_later(host: Host3270, signed_on: Terminal) -> None:
    signed_on.choose("1")
    host.switches.stale_first = 1
    signed_on.ask(BUSY)
    assert signed_on.field(4, 10) != BUSY
    signed_on.until(4, f"CUSTOMER        {BUSY}")


def test_the_region_closes_by_the_clock_and_opens_again(opened: Open) -> None:
    now = [datetime(2026, 11, 24, 12, 0)]
    with Host3270(clock=lambda: now[0], hours=(Clock(7), Clock(21, 30))) as host:
        terminal = opened(host, lu="FIGW01")
        terminal.sign_on()
        now[0] = datetime(2026, 11, 24, 21, 30)
        terminal.choose("1")
        assert terminal.field(12, column=30) == "REGION CLOSED"
        now[0] = datetime(2026, 11, 25, 7, 0)
        terminal.press()
        assert terminal.sign_on() == "MENU"
        assert host.journal.count("signoff", "closed") == 1


@pytest.mark.parametrize(
    "switches, seen",
    [({"closed": True}, "CLSD"), ({"wrong_screen": 1}, "MENU"), ({"try_later": 1}, "TRY LATER")],
)
def test_an_enquiry_may_end_elsewhere(host: Host3270, signed_on: Terminal, switches: dict[str, int], seen: str) -> None:
    signed_on.choose("1")
    for name, value in switches.items():
        setattr(host.switches, name, value)
    signed_on.ask(BUSY)
    assert seen in signed_on.row(1) + signed_on.row(24)


def test_a_mute_host_takes_the_write_and_says_nothing(host: Host3270, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "1 NEW ROAD")
    host.switches.mute = True
    signed_on.do("PF(5)")
    with pytest.raises(RuntimeError):
        signed_on.do("Wait(1,Unlock)")
    assert host.journal.count("commit") == 1


def test_a_slow_host_answers_late(host: Host3270, signed_on: Terminal) -> None:
    host.switches.slow = 0.2
    began = time.monotonic()
    signed_on.choose("1")
    assert time.monotonic() - began > 0.2


def test_counting_switches_hit_so_many_times() -> None:
    switches = Switches(abend=2)
    assert [switches.take("abend") for _ in range(4)] == [True, True, False, False]
