"""The 3270 adapter's enquiries against the demo mainframe: what the issue asks, counted from the host's own journal."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.base import Adapter, Reply
from adapters.errors import (
    Closed,
    DeadlineExceeded,
    Failed,
    Misconfigured,
    Misread,
    Missing,
    Unavailable,
)
from adapters.tn3270 import target
from adapters.tn3270.dialogue import Press, Read, Type, Wait
from adapters.tn3270.emulator import Place, Terminal
from fixtures import customers
from fixtures.host3270 import Host3270
from tests.adapters.bank import ADDRESS, BUSY, CATALOGUE, ENQUIRY, LIST, MOVE, SYSTEM, back_again, call, failed, opened
from tests.adapters.conformance import Conformance, Rig


class TestTn3270(Conformance):
    @pytest.fixture
    def rig(self, host: Host3270) -> Rig:  # type: ignore[override]
        def check(reply: Reply) -> None:
            (record,) = reply.records
            assert record["customer"] == BUSY
            assert record["national_id"] == customers.by_id()[BUSY].national_id

        return Rig(host.address, opened, lambda seconds: call(ENQUIRY, BUSY, seconds=seconds), check)


def test_a_record_has_every_field_and_none_for_what_is_blank(bank: Adapter) -> None:
    missing = next(c for c in customers.everyone() if c.assets is None)
    (record,) = bank.call(call(ENQUIRY, missing.id)).records
    assert record == {
        "customer": missing.id,
        "name": missing.name,
        "national_id": missing.national_id,
        "line1": missing.line1,
        "town": missing.town,
        "postcode": missing.postcode,
        "since": missing.since.strftime("%d/%m/%Y"),
        "assets": None,
        "debt": None,
        "message": "ENQUIRY COMPLETE",
    }


def test_a_table_is_read_over_all_its_pages(bank: Adapter) -> None:
    records = bank.call(call(LIST, BUSY)).records
    assert [r["account"] for r in records] == [a.number for a in customers.by_id()[BUSY].accounts]


def test_rows_painted_after_the_keyboard_is_unlocked_are_waited_for(host: Host3270, bank: Adapter) -> None:
    host.switches.late_rows = True
    assert len(bank.call(call(LIST, BUSY)).records) == 31
    assert bank.call(call(ENQUIRY, BUSY)).records[0]["national_id"] == customers.by_id()[BUSY].national_id


def test_a_list_that_changes_while_it_is_read_is_misread_never_short_or_double(host: Host3270, bank: Adapter) -> None:
    host.switches.moving = True
    assert "came twice" in failed(bank, call(LIST, BUSY), Misread).detail


def test_more_pages_than_allowed_are_misread_never_a_short_list(bank: Adapter) -> None:
    block = {**CATALOGUE.yaml("endpoints/accounts.list.yaml")["legacy"], "max_pages": 2}
    assert "more than 2 pages" in failed(bank, call(target.compile(block, SYSTEM, CATALOGUE), BUSY), Misread).detail


def test_what_does_not_exist_is_missing_and_the_session_goes_on(host: Host3270, one: Adapter) -> None:
    for _ in range(3):
        failed(one, call(ENQUIRY, "9999999999"), Missing)
    failed(one, call(LIST, "9999999999"), Missing)
    one.call(call(ENQUIRY, BUSY))
    assert host.journal.count("signon") == 1


def test_a_hundred_refused_connects_never_yield_another_answer(host: Host3270) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        adapter = opened(closed.getsockname())
        for _ in range(100):
            failed(adapter, call(ENQUIRY, BUSY), Unavailable)
        adapter.close()


@pytest.mark.timeout(60)
def test_a_thousand_interleaved_enquiries_never_show_another_customer(host: Host3270, bank: Adapter) -> None:
    """Every other enquiry is answered from another customer's COMMAREA: it must be noticed, and no other one may suffer."""
    host.switches.stale_every = 2
    people = customers.everyone()[:1000]

    def ask(customer: customers.Customer) -> bool:
        try:
            (record,) = bank.call(call(ENQUIRY, customer.id, seconds=20)).records
        except (Misread, Unavailable):  # noticed; or every user was a ghost for a moment
            return False
        assert record["customer"] == customer.id
        assert record["national_id"] == customer.national_id
        assert record["name"] == customer.name
        return True

    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(ask, people))
    assert len(answers) == 1000
    assert 450 <= sum(answers) <= 500


def test_a_stale_answer_with_the_right_one_to_follow_is_not_believed(host: Host3270, one: Adapter) -> None:
    host.switches.stale_first = 1
    assert "does not show what was asked for" in failed(one, call(ENQUIRY, BUSY), Misread).detail
    assert back_again(one, ENQUIRY, BUSY).records[0]["customer"] == BUSY


def test_a_broadcast_is_pressed_away_wherever_it_comes(host: Host3270, one: Adapter) -> None:
    host.switches.broadcast_anywhere = True
    host.switches.broadcast = 3
    one.call(call(ENQUIRY, BUSY))
    for _ in range(3):
        host.switches.broadcast = 1
        assert len(one.call(call(LIST, BUSY)).records) == 31
    host.switches.broadcast = 6
    one.call(call(MOVE, "0000010003", **ADDRESS))
    assert host.journal.count("broadcast") == 12
    assert host.journal.count("signon") == 1
    assert host.journal.count("commit") == 1


def test_an_abend_is_the_back_ends_failure_and_passes(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.abend = 1
    failed(one, call(ENQUIRY, BUSY), Failed)
    back_again(one, ENQUIRY, BUSY)


def test_a_closed_region_is_closed_and_opens_again(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.closed = True
    for _ in range(2):
        failed(one, call(ENQUIRY, BUSY), Closed)
    host.switches.closed = False
    back_again(one, ENQUIRY, BUSY)


def test_a_wrong_screen_is_misread(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.wrong_screen = 1
    assert "expected screen CUSTINQ, met MENU" in failed(one, call(ENQUIRY, BUSY), Misread).detail


def test_a_host_that_is_busy_keeps_its_session(host: Host3270, one: Adapter) -> None:
    host.switches.try_later = 1
    failed(one, call(ENQUIRY, BUSY), Unavailable)
    one.call(call(ENQUIRY, BUSY))
    assert host.journal.count("signon") == 1


def test_a_silent_host_ends_in_time(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.mute = True
    start = time.monotonic()
    failed(one, call(ENQUIRY, BUSY, seconds=0.5), DeadlineExceeded)
    assert time.monotonic() - start < 1.0


def test_a_wide_screen_is_read_by_a_model_5_terminal(host: Host3270) -> None:
    """And by plain TN3270 in code page 1047."""
    system = {**SYSTEM, "model": "3279-5"}
    block = {**CATALOGUE.yaml("endpoints/accounts.list.yaml")["legacy"], "screen": "CUSTWIDE"}
    wide = target.compile(block, system, CATALOGUE)
    with Host3270(enhanced=False, codepage="cp1047") as plain:
        for one, codepage in ((host, "cp037"), (plain, "cp1047")):
            adapter = opened(one.address, model="3279-5", codepage=codepage)
            accounts = customers.by_id()[BUSY].accounts
            assert [r["account"] for r in adapter.call(call(wide, BUSY)).records] == [a.number for a in accounts]
            moved = adapter.call(call(MOVE, "0000010002", line1="[^] MÜLLER", town="YORK", postcode="YO1 7HH")).records
            assert moved[0]["line1"] == "[^] MÜLLER"
            adapter.close()


def test_a_typed_screen_is_foretold_as_the_terminal_then_shows_it(host: Host3270) -> None:
    """Only the fields are read back after typing; the rest must be what a whole read would have said."""
    talking = Terminal(Place(*host.address))
    try:
        until = time.monotonic() + 5
        talking.connect("FIGW01", until)
        talking.act(Wait(True), until)
        for text in ("COREBANK", "", "MÜLLER [^", "N" * 30):
            foretold = talking.act(Type(((20, 18, text),), ((20, 18, text.ljust(30)),)), until)
            assert foretold.at(20, 18, 30).rstrip() == text
            assert talking.act(Read(), until) == foretold
            assert not talking.changed(until)
        talking.act(Press("enter"), until)
        with pytest.raises(Misread, match="did not take"):
            talking.act(Type(((1, 2, "PROTECTED"),), ((1, 2, "PROTECTED"),)), until)
    finally:
        talking.close()


def test_what_the_host_sends_between_two_calls_is_seen_before_a_key_is_pressed(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.journal.clear()
    host.say("FIGW01")
    time.sleep(0.2)
    assert one.call(call(ENQUIRY, BUSY)).records[0]["customer"] == BUSY
    assert [e.detail for e in host.journal.entries("key")] == ["BROADCAST enter", "CUSTINQ enter"]


def test_a_port_that_is_no_number_is_told_at_the_start() -> None:
    with pytest.raises(Misconfigured, match="port"):
        opened(("127.0.0.1", 0), port="telnet")
