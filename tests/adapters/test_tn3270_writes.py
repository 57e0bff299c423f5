"""What the 3270 adapter types into the demo mainframe, and what becomes of a write."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapters.base import Adapter
from adapters.errors import (
    AdapterError,
    Conflict,
    DeadlineExceeded,
    OutcomeUnknown,
    PreconditionFailed,
    Refused,
)
from fixtures import customers
from fixtures.host3270 import Address, Host3270
from tests.adapters.bank import ADDRESS, BUSY, ENQUIRY, MOVE, back_again, call, failed

HOSTILE = [
    'U1") Enter() String("1',
    "\\n",
    "\n",
    '"',
    "\\",
    '\\"',
    "\\\\n\\",
    "A" * 300,
    "MÜLLER",
    "[^]",
    "€",
    "\x00",
    "\u200b",
    ",)(",
    "'`$",
    " A",
    "¬¢",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_is_typed_exactly_or_refused_and_is_never_a_key(host: Host3270, one: Adapter, value: str) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.journal.clear()
    numeric = failed(one, call(ENQUIRY, value), Refused)
    assert "customer" in numeric.detail
    assert value not in numeric.detail or value in "'"
    assert not host.journal.entries("key")
    try:
        (record,) = one.call(call(MOVE, "0000010002", **{**ADDRESS, "line1": value})).records
    except Refused:
        assert host.journal.count("commit") == 0
    else:
        assert record["line1"] == value
        (commit,) = host.journal.entries("commit")
        assert commit.after is not None
        assert commit.after.line1 == value
    keys = [e.detail for e in host.journal.entries("key")]
    assert keys in (
        [],
        ["CUSTINQ pf3", "MENU enter", "ADDRCHG enter", "ADDRCHG enter", "ADDRCNF pf5", "ADDRCNF pf3"],
        ["CUSTINQ pf3", "MENU enter", "ADDRCHG enter", "ADDRCHG enter", "ADDRCHG pf3"],
    )


def test_a_write_is_done_once_and_says_what_was_confirmed(host: Host3270, bank: Adapter) -> None:
    (record,) = bank.call(call(MOVE, "0000010002", line1="MÜLLER [^ 7", town="YORK", postcode="YO1 7HH")).records
    assert {k: record[k] for k in ("customer", "line1", "town", "postcode", "message")} == {
        "customer": "0000010002",
        "line1": "MÜLLER [^ 7",
        "town": "YORK",
        "postcode": "YO1 7HH",
        "message": "ADDRESS UPDATED",
    }
    (commit,) = host.journal.entries("commit")
    assert commit.after == Address("MÜLLER [^ 7", "YORK", "YO1 7HH")


def test_a_write_whose_expectation_fails_commits_nothing(host: Host3270, one: Adapter) -> None:
    there = customers.by_id()["0000010002"].line1
    failed(one, call(MOVE, "0000010002", old_line1=there + " X", **ADDRESS), PreconditionFailed)
    assert host.journal.count("commit") == 0
    one.call(call(MOVE, "0000010002", old_line1=there, **ADDRESS))
    assert host.journal.count("commit") == 1
    assert host.journal.count("signon") == 1


def during_confirmation(host: Host3270, bank: Adapter, act: Callable[[], None], kind: type[AdapterError], seconds: float = 5.0) -> None:
    """A write fails like this when `act` runs while its confirmation is on the way to the screen, before PF5."""

    def watch() -> None:
        while host.journal.count("key", "ADDRCHG enter") < 2:
            time.sleep(0.005)
        act()

    host.switches.slow = 0.15
    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        failed(bank, call(MOVE, "0000010002", seconds=seconds, **ADDRESS), kind)
        watching.result(5)


def test_a_change_by_another_clerk_is_a_conflict(host: Host3270, one: Adapter) -> None:
    during_confirmation(host, one, lambda: host.records.change("0000010002", Address("2 OTHER ROAD", "BATH", "BA1 1AA")), Conflict)
    assert host.journal.count("commit") == 0
    one.call(call(ENQUIRY, BUSY))
    assert host.journal.count("signon") == 1


def test_after_the_commit_key_silence_means_that_the_outcome_is_unknown(host: Host3270, one: Adapter) -> None:
    def mute() -> None:
        while not host.journal.count("key", "ADDRCNF pf5"):
            time.sleep(0.005)
        host.switches.mute = True

    during_confirmation(host, one, mute, OutcomeUnknown, seconds=1.5)
    assert host.journal.count("commit") == 1


def test_before_the_commit_key_silence_means_that_nothing_happened(host: Host3270, one: Adapter) -> None:
    def mute() -> None:
        host.switches.mute = True

    during_confirmation(host, one, mute, DeadlineExceeded, seconds=1.0)
    assert host.journal.count("commit") == 0
    assert host.journal.count("key", "ADDRCNF pf5") == 0


def test_a_session_that_ends_on_its_way_home_after_a_write_is_replaced(host: Host3270, one: Adapter) -> None:
    def abend() -> None:
        while not host.journal.count("key", "ADDRCNF pf5"):
            time.sleep(0.005)
        host.switches.abend = 1

    host.switches.slow = 0.15
    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(abend)
        assert one.call(call(MOVE, "0000010002", **ADDRESS)).records
        watching.result(5)
    host.switches.slow = 0.0
    assert host.journal.count("abend") == 1
    assert back_again(one, ENQUIRY, BUSY).records
    assert host.journal.count("signon") == 2


def test_an_abend_at_the_commit_is_unknown_too(host: Host3270, one: Adapter) -> None:
    def abend() -> None:
        host.switches.abend = 1

    during_confirmation(host, one, abend, OutcomeUnknown)
