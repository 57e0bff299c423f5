"""What an SFTP server or a shutdown may do to an adapter in the middle of its work."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from adapters.errors import AdapterError, DeadlineExceeded, Failed, Unavailable
from fixtures.faults import Fault, Proxy
from fixtures.sftp import DropServer, _Files
from tests.adapters.conformance import footprint
from tests.adapters.drops import Server

ID = "ABCDEFGH0002"


class _BadSector(_Files):
    """It can't write one part of a file, and takes what comes before and after."""

    def write(self, file_obj: Any, offset: int, data: bytes) -> Any:
        if offset == 32768:
            raise asyncssh.SFTPFailure("input/output error")
        return super().write(file_obj, offset, data)


class _Damaged(DropServer):
    def _session(self, channel: Any) -> asyncssh.SFTPServer:
        return _BadSector(channel, self.root, self.opened)


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    with getattr(request, "param", DropServer)(tmp_path) as drop:
        drop.batch.stop()
        yield Server(drop.address, drop.user, drop.key, drop.host_key, drop.root)


@pytest.mark.parametrize("server", [_Damaged], indirect=True)
def test_a_batch_with_a_hole_in_it_is_not_published_though_its_size_is_right(server: Server) -> None:
    drop, steps = server.open(), list[str]()
    with pytest.raises(Failed):
        drop.submit(server.ticket(ID, *["1.00"] * 1000), steps.append)
    drop.close()
    assert steps == []
    assert not (server.root / f"pay/in/PAY.{ID}.DAT").exists()


def test_a_connection_that_comes_up_as_the_adapter_is_closed_goes_with_it(server: Server) -> None:
    with Proxy(server.address) as proxy:
        before = footprint(("figway-watchdog",))
        proxy.set(Fault(latency=0.1))
        drop = server.open(proxy.address)

        def look() -> None:
            with suppress(AdapterError):
                drop.call(server.lookup(5))

        caller = threading.Thread(target=look)
        caller.start()
        time.sleep(0.25)
        drop.close()
        caller.join(6)
        assert not footprint(("figway-watchdog",)).threads - before.threads  # paramiko has one a connection


def test_a_connection_that_fails_in_its_handshake_leaves_no_thread(server: Server) -> None:
    with Proxy(server.address) as proxy:
        before = footprint(("figway-watchdog",))
        proxy.set(Fault(cut=400))
        drop = server.open(proxy.address)
        for _ in range(3):
            with pytest.raises(Unavailable):
                drop.call(server.lookup(2))
        drop.close()
        time.sleep(0.1)
        assert not footprint(("figway-watchdog",)).threads - before.threads


def test_a_name_that_is_looked_up_for_ever_is_late(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(iter(lambda: time.sleep(2), None)))
    drop = server.open(("drop.example", 22))
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        drop.call(server.lookup(0.2))
    assert time.monotonic() - start < 1
    drop.close()
