"""The demo mainframe against the real s3270, driven by a small client of the test's own (the adapter is tested elsewhere)."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fixtures.customers import by_id
from fixtures.host3270 import Address, Host3270, datastream
from fixtures.host3270.records import amount
from tests.unit.terminal3270 import Open, Terminal
from tests.waiting import until

BUSY = "0000012345"


@pytest.fixture
def host() -> Iterator[Host3270]:
    with Host3270(ghost_seconds=0.6, row_delay=0.1) as running:
        yield running


@pytest.mark.parametrize("prefix, mode", [("", "tn3270e"), ("N:", "tn3270")])
def test_both_protocols_give_the_lu_that_was_asked_for(host: Host3270, opened: Open, prefix: str, mode: str) -> None:
    terminal = opened(host, lu="FIGW02", prefix=prefix)
    assert terminal.field(4) == "FIGW02"
    assert ("tn3270e" in " ".join(terminal.do("Query(ConnectionState)")).lower()) == (mode == "tn3270e")
    assert terminal.sign_on("FIGW02", "PASS0002") == "MENU"


def test_a_terminal_without_lu_gets_one_and_a_taken_lu_is_refused(host: Host3270, opened: Open) -> None:
    assert opened(host).field(4).startswith("TCP")
    opened(host, lu="FIGW01")
    with pytest.raises(RuntimeError):
        opened(host, lu="FIGW01")


@pytest.mark.parametrize("model", ["3278-2", "3279-2", "3279-3", "3279-4", "3279-5"])
def test_every_model_works_and_the_statement_needs_132_columns(host: Host3270, opened: Open, model: str) -> None:
    terminal = opened(host, model=model)
    terminal.sign_on()
    terminal.choose("4")
    if not model.endswith("5"):
        assert terminal.row(24).strip() == "TERMINAL IS NOT 132 COLUMNS WIDE"
        return
    terminal.ask(BUSY)
    assert terminal.field(4, column=40) == "CLARA ALLEN"
    assert terminal.until(27, "MORE")
    assert terminal.field(23, column=90) == "CURRENT ACCOUNT"
    assert len(terminal.row(8)) > 90


def test_tls_with_a_private_authority(opened: Open, tmp_path: Path) -> None:
    certificate, context = _self_signed(tmp_path)
    with Host3270(tls=context) as host:
        terminal = opened(host, prefix="L:", name="localhost", options=("-cafile", str(certificate)))
        assert terminal.do("Query(Tls)") == ["secure host-verified"]
        assert terminal.sign_on() == "MENU"


@pytest.mark.parametrize("codepage", ["cp037", "cp1047"])
def test_what_is_typed_arrives_exactly(opened: Open, codepage: str) -> None:
    with Host3270(codepage=codepage) as host:
        terminal = opened(host, codepage=codepage)
        terminal.sign_on()
        terminal.new_address(BUSY, "MÜLLER [^]")
        assert terminal.field(8) == "MÜLLER [^]"
        terminal.press("PF(5)")
        assert terminal.row(24).strip() == "ADDRESS UPDATED"
        (commit,) = host.journal.entries("commit")
        assert commit.after == Address("MÜLLER [^]", by_id()[BUSY].town, by_id()[BUSY].postcode)
        assert commit.before is not None
        assert commit.before.line1 == by_id()[BUSY].line1


def test_a_euro_is_no_character_of_code_page_037(host: Host3270, signed_on: Terminal) -> None:
    signed_on.new_address(BUSY, "5 €")
    assert signed_on.row(24).strip() == "ADDRESS NOT ACCEPTED: CHARACTER"
    assert host.journal.count("commit") == 0


def test_sign_on_is_refused_with_its_reason_and_the_third_bad_password_revokes(host: Host3270, opened: Open) -> None:
    terminal = opened(host)
    assert terminal.sign_on("NOBODY", "X") == "USER UNKNOWN"
    assert terminal.sign_on("OLDPW1", "PASS0201") == "PASSWORD EXPIRED"
    assert [terminal.sign_on("SPARE1", "WRONG") for _ in range(3)] == ["PASSWORD NOT VALID", "PASSWORD NOT VALID", "USER REVOKED"]
    assert terminal.sign_on("SPARE1", "PASS0101") == "USER REVOKED"
    assert host.journal.count("refused") == 6
    assert "WRONG" not in " ".join(terminal.do("Ascii()"))


def test_a_cut_leaves_a_ghost_and_a_sign_off_does_not(host: Host3270, opened: Open, signed_on: Terminal) -> None:
    signed_on.kill()
    other = opened(host, lu="FIGW01")
    assert other.sign_on() == "ALREADY SIGNED ON"
    until(lambda: other.sign_on() == "MENU")
    other.choose("X")
    assert other.row(24).strip() == "SIGNED OFF"
    assert other.sign_on() == "MENU"
    assert (host.journal.count("ghost"), host.journal.count("signoff", "clean")) == (1, 1)


def test_an_idle_session_is_signed_off(opened: Open) -> None:
    with Host3270(idle_seconds=0.4) as host:
        terminal = opened(host)
        terminal.sign_on()
        assert terminal.until(24, "SIGNED OFF BY TIME LIMIT")
        assert terminal.sign_on() == "MENU"


def test_an_enquiry_shows_the_truth_and_blanks_for_what_is_missing(signed_on: Terminal) -> None:
    signed_on.choose("1")
    for number in ("0000010002", "0000010030"):
        signed_on.ask(number)
        customer = by_id()[number]
        assert signed_on.field(6) == customer.name
        assert signed_on.field(11) == f"{customer.since:%d/%m/%Y}"
        assert signed_on.field(13, 15) == amount(customer.assets, customer.row)
    assert signed_on.field(14, 15) == ""


@pytest.mark.parametrize("typed, message", [("9999999999", "CUSTOMER NOT FOUND"), ("1O", "CUSTOMER NUMBER NOT NUMERIC")])
def test_a_bad_number_is_named(signed_on: Terminal, typed: str, message: str) -> None:
    signed_on.choose("1")
    signed_on.ask(typed)
    assert (signed_on.row(24).strip(), signed_on.field(6)) == (message, "")


def test_the_account_list_unlocks_early_pages_and_repeats_its_end(signed_on: Terminal) -> None:
    signed_on.choose("2")
    signed_on.ask(BUSY)
    unlocked = signed_on.screen()
    assert (unlocked[3].split(), unlocked[7].strip(), unlocked[23].strip()) == (["CUSTOMER", BUSY], "", "")
    assert signed_on.pages() == [a.number for a in by_id()[BUSY].accounts]
    signed_on.press("PF(8)")
    signed_on.until(24, "END OF LIST")
    assert signed_on.field(8, 12, 4) == by_id()[BUSY].accounts[26].number
    signed_on.press("PF(3)")
    assert "MENU" in signed_on.row(1)


def test_a_row_may_move_over_a_page_boundary(host: Host3270, signed_on: Terminal) -> None:
    host.switches.moving = True
    signed_on.choose("2")
    signed_on.ask(BUSY)
    met = signed_on.pages()
    assert len(met) == len(set(met)) + 2


@pytest.mark.parametrize(
    "value, seed, shown",
    [
        (Decimal("-1234.56"), 0, "1,234.56-"),
        (Decimal("-1234.56"), 1, "1,234.56CR"),
        (Decimal("-1234"), 2, "1,234-"),
        (Decimal("1234.50"), 2, "1,234.50"),
        (4000, 2, "4,000"),
        (0, 0, "0.00"),
        (None, 0, ""),
    ],
)
def test_amounts_come_in_three_hands(value: Decimal | int | None, seed: int, shown: str) -> None:
    assert amount(value, seed) == shown


def test_inbound_addresses_of_both_forms_are_read() -> None:
    twelve, fourteen = b"\x7d\x40\x40\x11\xc1\x50\xf1\xf2", b"\x7d\x40\x40\x11\x00\x11\xf1\x11\x00\x50\xf2"
    assert datastream.read(twelve, "cp037") == datastream.Input("enter", {80: "12"})
    assert datastream.read(fourteen, "cp037") == datastream.Input("enter", {17: "1", 80: "2"})
    assert datastream.read(b"\x88\x00", "cp037") is None


def _self_signed(folder: Path) -> tuple[Path, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "host.pem", folder / "host.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return pem, context
