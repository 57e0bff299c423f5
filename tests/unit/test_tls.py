"""TLS settings are all there or told in words, and handshakes take turns."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.pki import Authority
from wrapper.settings import BadSettings, Settings, from_environment
from wrapper.tls import SHAKES, Certificates, context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def given(authority: Authority) -> Settings:
    server = authority.issue("server")
    return Settings(Path("catalogue"), "", Path("models"), tls_cert=server.cert, tls_key=server.key, tls_client_ca=authority.file)


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"FIGWAY_TLS_CERT": "c"}, "tls_cert needs tls_key: set FIGWAY_TLS_KEY"),
        ({"FIGWAY_TLS_KEY": "k"}, "tls_key needs tls_cert: set FIGWAY_TLS_CERT"),
        ({"FIGWAY_TLS_CLIENT_CA": "a"}, "tls_client_ca needs tls_cert"),
        ({"FIGWAY_TLS_CLIENT": "required", "FIGWAY_TLS_CERT": "c", "FIGWAY_TLS_KEY": "k"}, "tls_client needs tls_client_ca"),
        ({"FIGWAY_TLS_CLIENT": "maybe", "FIGWAY_TLS_CLIENT_CA": "a", "FIGWAY_TLS_CERT": "c", "FIGWAY_TLS_KEY": "k"}, "optional, required"),
    ],
)
def test_half_of_the_settings_is_refused(environ: dict[str, str], said: str) -> None:
    with pytest.raises(BadSettings, match=said):
        from_environment({"FIGWAY_CATALOGUE": "somewhere", **environ})


def test_files_that_can_not_be_used_are_told_in_words(given: Settings, authority: Authority, tmp_path: Path) -> None:
    assert given.tls_key is not None
    key = serialization.load_pem_private_key(given.tls_key.read_bytes(), None)
    locked, empty = tmp_path / "locked.key", tmp_path / "empty"
    sealed = serialization.BestAvailableEncryption(b"word")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, sealed))
    empty.touch()
    for change, said in (
        ({"tls_cert": tmp_path / "none"}, r"tls_cert .*/none, tls_key .*: no such file"),
        ({"tls_cert": empty}, "private key without a passphrase"),
        ({"tls_key": authority.issue("other").key}, "key values mismatch"),
        ({"tls_key": locked}, "without a passphrase"),
        ({"tls_client_ca": empty}, "tls_client_ca .*/empty: .*it must be PEM certificates"),
    ):
        with pytest.raises(BadSettings, match=f"(?i){said}"):
            context(replace(given, **change))  # type: ignore[arg-type]


def test_a_crowd_of_handshakes_takes_turns(given: Settings, authority: Authority) -> None:
    certificates, piece = Certificates(given), memoryview(bytearray(65536))
    with ExitStack() as held:
        wires = []
        for _ in range(SHAKES * 2 + 1):
            there, here = (held.enter_context(end) for end in socket.socketpair())
            hello = ssl.MemoryBIO()
            with pytest.raises(ssl.SSLWantReadError):
                authority.trusted().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="server").do_handshake()
            there.sendall(hello.read())
            for end in (there, here):
                end.setblocking(False)
            wires.append((there, certificates.cover(here)))
        for answered in (SHAKES, SHAKES * 2, SHAKES * 2 + 1):
            for _, wire in wires:
                with pytest.raises(BlockingIOError):
                    wire.recv_into(piece)
            assert sum(_has_come(there) for there, _ in wires) == answered
            certificates.left = SHAKES


def _has_come(end: socket.socket) -> bool:
    try:
        return bool(end.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
