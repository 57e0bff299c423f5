"""The 3270 adapter against the demo mainframe: what the issue asks of it, counted from the host's own journal."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.base import Adapter, Call, Reply
from adapters.errors import (
    AdapterError,
    BadLogon,
    Closed,
    Conflict,
    DeadlineExceeded,
    Failed,
    Misread,
    Missing,
    OutcomeUnknown,
    PreconditionFailed,
    Refused,
    Unavailable,
)
from adapters.tn3270 import adapter as tn3270
from adapters.tn3270 import target
from fixtures import customers
from fixtures.host3270 import Address, Host3270
from tests import needs
from tests.adapters.conformance import Conformance, Rig
from wrapper.catalogue.folder import Folder

CATALOGUE = Folder(Path(__file__).parents[2] / "fixtures" / "catalogue")
SYSTEM = {k: v for k, v in CATALOGUE.yaml("systems.yaml")["systems"]["corebank"].items() if k != "kind"}
ENQUIRY, LIST, MOVE = (
    target.compile(CATALOGUE.yaml(f"endpoints/{name}.yaml")["legacy"], SYSTEM, CATALOGUE)
    for name in ("customers.get", "accounts.list", "customers.move")
)
BUSY = "0000012345"
ADDRESS = {"line1": "1 NEW ROAD", "town": "LEEDS", "postcode": "LS1 4DY"}


class Leases:
    """Of one process."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def take(self, names: Sequence[str]) -> str | None:
        name = next((n for n in names if n not in self.held), None)
        if name:
            self.held.add(name)
        return name

    def give(self, name: str) -> None:
        self.held.discard(name)


def opened(address: tuple[str, int], passwords: Sequence[str] = ("PASS0001", "PASS0002", "PASS0003"), **system: Any) -> Adapter:
    users = [{"lu": f"FIGW0{n}", "credentials": f"FIGW0{n}:{password}"} for n, password in enumerate(passwords, 1)]
    return tn3270.open("corebank", {**SYSTEM, "host": address[0], "port": str(address[1]), "users": users, **system}, CATALOGUE, Leases())


def call(what: target.Target, customer: str, *, seconds: float = 5.0, **params: Any) -> Call:
    return Call("test", what, {"customer_id": customer, **params}, time.monotonic() + seconds)


def failed(adapter: Adapter, asked: Call, kind: type[AdapterError]) -> AdapterError:
    with pytest.raises(kind) as met:
        adapter.call(asked)
    assert type(met.value) is kind
    assert met.value.backend == "corebank"
    return met.value


@pytest.fixture
def host() -> Iterator[Host3270]:
    needs.program("s3270")
    customers.everyone()
    with Host3270(ghost_seconds=0.1) as host:
        yield host


@pytest.fixture
def bank(host: Host3270) -> Iterator[Adapter]:
    """Three sessions."""
    adapter = opened(host.address)
    yield adapter
    adapter.close()


@pytest.fixture
def one(host: Host3270) -> Iterator[Adapter]:
    """One session, so that every call meets what the call before it left."""
    adapter = opened(host.address, ["PASS0001"])
    yield adapter
    adapter.close()


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


def test_a_hundred_refused_connects_never_yield_another_answer(host: Host3270) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        adapter = opened(closed.getsockname())
        for _ in range(100):
            failed(adapter, call(ENQUIRY, BUSY), Unavailable)
        adapter.close()


@pytest.mark.timeout(60)
def test_a_thousand_interleaved_enquiries_never_show_another_customer(host: Host3270, bank: Adapter) -> None:
    """Every other enquiry finds the COMMAREA of another customer planted: it must be noticed, and nothing else may go wrong."""
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
    assert sum(answers) == 500


def test_a_stale_answer_with_the_right_one_to_follow_is_not_believed(host: Host3270, one: Adapter) -> None:
    host.switches.stale_first = 1
    assert "does not show what was asked for" in failed(one, call(ENQUIRY, BUSY), Misread).detail
    assert one.call(call(ENQUIRY, BUSY)).records[0]["customer"] == BUSY


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
    time.sleep(0.15)
    one.call(call(ENQUIRY, BUSY))


def test_a_closed_region_is_closed_and_opens_again(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.closed = True
    for _ in range(2):
        failed(one, call(ENQUIRY, BUSY), Closed)
    host.switches.closed = False
    one.call(call(ENQUIRY, BUSY))


def test_a_wrong_screen_is_misread(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.wrong_screen = 1
    assert "expected screen CUSTINQ, met MENU" in failed(one, call(ENQUIRY, BUSY), Misread).detail


def test_a_host_that_is_busy_keeps_its_session(host: Host3270, one: Adapter) -> None:
    host.switches.try_later = 1
    assert failed(one, call(ENQUIRY, BUSY), Unavailable).retry
    one.call(call(ENQUIRY, BUSY))
    assert host.journal.count("signon") == 1


def test_a_silent_host_ends_in_time(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.mute = True
    start = time.monotonic()
    failed(one, call(ENQUIRY, BUSY, seconds=0.5), DeadlineExceeded)
    assert time.monotonic() - start < 1.0


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


def slowly(host: Host3270, act: Callable[[], None]) -> Callable[[], None]:
    """Runs `act` in the host's loop when the confirmation is on the screen, before PF5."""

    def watch() -> None:
        while host.journal.count("key", "ADDRCHG enter") < 2:
            time.sleep(0.005)
        act()

    return watch


def during_confirmation(host: Host3270, bank: Adapter, act: Callable[[], None], kind: type[AdapterError], seconds: float = 5.0) -> None:
    host.switches.slow = 0.15
    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(slowly(host, act))
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
            host.switches.mute = host.journal.count("key", "ADDRCNF pf5") > 0
            time.sleep(0.002)
        host.switches.mute = True

    during_confirmation(host, one, mute, OutcomeUnknown, seconds=1.5)
    assert host.journal.count("commit") == 1


def test_before_the_commit_key_silence_means_that_nothing_happened(host: Host3270, one: Adapter) -> None:
    def mute() -> None:
        host.switches.mute = True

    during_confirmation(host, one, mute, DeadlineExceeded, seconds=1.0)
    assert host.journal.count("commit") == 0
    assert host.journal.count("key", "ADDRCNF pf5") == 0


def test_an_abend_at_the_commit_is_unknown_too(host: Host3270, one: Adapter) -> None:
    def abend() -> None:
        host.switches.abend = 1

    during_confirmation(host, one, abend, OutcomeUnknown)


def test_a_wrong_credential_costs_one_failed_sign_on_however_often_it_is_asked(host: Host3270) -> None:
    adapter = opened(host.address, ["WRONG"])
    for _ in range(5):
        failed(adapter, call(ENQUIRY, BUSY), BadLogon)
    adapter.close()
    assert [e.user for e in host.journal.entries("refused")] == ["FIGW01"]


def test_one_wrong_credential_leaves_the_other_users(host: Host3270) -> None:
    adapter = opened(host.address, ["WRONG", "PASS0002"])
    with ThreadPoolExecutor(4) as threads:
        for reply in threads.map(lambda _: adapter.call(call(ENQUIRY, BUSY)), range(20)):
            assert reply.records[0]["customer"] == BUSY
    adapter.close()
    assert host.journal.count("refused") == 1


def test_a_password_that_does_not_fit_its_field_is_never_sent(host: Host3270) -> None:
    adapter = opened(host.address, ["PASSWORD-TOO-LONG"])
    assert "PASSWORD" not in failed(adapter, call(ENQUIRY, BUSY), BadLogon).detail
    adapter.close()
    assert host.journal.count("refused") == 0


def test_a_user_who_is_signed_on_elsewhere_is_passed_over() -> None:
    needs.program("s3270")
    with Host3270(ghost_seconds=30) as host:
        elsewhere = opened(host.address, ["PASS0001"])
        elsewhere.call(call(ENQUIRY, BUSY))
        users = [{"lu": "OTHER1", "credentials": "FIGW01:PASS0001"}, {"lu": "OTHER2", "credentials": "FIGW02:PASS0002"}]
        adapter = opened(host.address, users=users)
        adapter.call(call(ENQUIRY, BUSY))
        alone = opened(host.address, users=[{"lu": "OTHER3", "credentials": "FIGW01:PASS0001"}])
        failed(alone, call(ENQUIRY, BUSY), Unavailable)
        for each in (alone, adapter, elsewhere):
            each.close()
        assert host.journal.count("signon") == 2


def test_a_session_that_the_host_signed_off_is_replaced(host: Host3270) -> None:
    with Host3270(idle_seconds=0.2) as host:
        adapter = opened(host.address, ["PASS0001"])
        adapter.call(call(ENQUIRY, BUSY))
        time.sleep(0.5)
        adapter.call(call(ENQUIRY, BUSY))
        adapter.close()
        assert host.journal.count("signoff", "idle") == 1


def test_idle_and_worn_sessions_are_signed_off(host: Host3270) -> None:
    adapter = opened(host.address, ["PASS0001"], sessions={"idle_logoff": "0s", "recycle_after": 2})
    for _ in range(4):
        adapter.call(call(ENQUIRY, BUSY))
    adapter.close()
    assert host.journal.count("signon") == host.journal.count("signoff", "clean") == 4


def test_close_signs_every_session_off(host: Host3270, bank: Adapter) -> None:
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: bank.call(call(LIST, BUSY)), range(9)))
    bank.close()
    assert host.journal.count("signon") == host.journal.count("signoff", "clean") > 0
    assert host.journal.count("ghost") == 0


def test_close_ends_a_call_that_hangs(host: Host3270, one: Adapter) -> None:
    one.call(call(ENQUIRY, BUSY))
    host.switches.mute = True
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(one.call, call(ENQUIRY, BUSY, seconds=30))
        time.sleep(0.2)
        start = time.monotonic()
        one.close()
        assert time.monotonic() - start < 5
        with pytest.raises(Unavailable):
            hanging.result(5)


def test_a_killed_process_takes_its_terminals_along(host: Host3270, tmp_path: Path) -> None:
    script = tmp_path / "asks.py"
    script.write_text(
        "import sys, time\n"
        "from tests.adapters.test_tn3270 import BUSY, ENQUIRY, call, opened\n"
        "adapter = opened(('127.0.0.1', int(sys.argv[1])))\n"
        "adapter.call(call(ENQUIRY, BUSY))\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    argv = [sys.executable, str(script), str(host.address[1])]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], env={"PYTHONPATH": "."}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.kill()
    until = time.monotonic() + 3
    while not host.journal.count("ghost") and time.monotonic() < until:
        time.sleep(0.02)
    assert host.journal.count("ghost") == 1


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


@pytest.fixture
def authority(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """A server's context for `localhost`, and the text of the certificate that vouches for it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = tmp_path / "server.pem"
    file.write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, certificate.public_bytes(pem).decode()


def test_tls_believes_only_the_stated_authority(authority: tuple[ssl.SSLContext, str], tmp_path: Path) -> None:
    needs.program("s3270")
    context, text = authority
    file = tmp_path / "ca.pem"
    file.write_text(text)
    with Host3270(tls=context) as host:
        place = ("localhost", host.address[1])
        for ca in (text, str(file)):
            adapter = opened(place, tls={"verify": True, "ca": ca})
            assert adapter.call(call(ENQUIRY, BUSY)).records[0]["customer"] == BUSY
            adapter.close()
        for address, tls in ((place, {}), (("127.0.0.1", place[1]), {"ca": text})):
            adapter = opened(address, tls=tls)
            failed(adapter, call(ENQUIRY, BUSY), Unavailable)
            adapter.close()
        adapter = opened(("127.0.0.1", place[1]), tls={"verify": False})
        adapter.probe(3)
        adapter.close()
