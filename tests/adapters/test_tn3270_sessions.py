"""Users, sign-on, sign-off and TLS of the 3270 adapter, against the demo mainframe."""

from __future__ import annotations

import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.base import Adapter
from adapters.errors import (
    BadLogon,
    PoolExhausted,
    Unavailable,
)
from fixtures.host3270 import Host3270
from tests import needs
from tests.adapters.bank import BUSY, ENQUIRY, LIST, call, failed, opened, static


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
        users = [{"lu": "OTHER1", "credentials": static("FIGW01:PASS0001")}, {"lu": "OTHER2", "credentials": static("FIGW02:PASS0002")}]
        adapter = opened(host.address, users=users)
        adapter.call(call(ENQUIRY, BUSY))
        alone = opened(host.address, users=[{"lu": "OTHER3", "credentials": static("FIGW01:PASS0001")}])
        failed(alone, call(ENQUIRY, BUSY, seconds=0.3), PoolExhausted)
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
        "from tests.adapters.bank import BUSY, ENQUIRY, call, opened\n"
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
