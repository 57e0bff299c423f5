"""A private PostgreSQL cluster for tests: made in a temporary folder, on a free port, gone afterwards.

PostgreSQL refuses to run as root, so root runs it as another user who owns the folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests import needs
from tests.waiting import free_port

FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_wal_senders=0", "wal_level=minimal"]
PRIVATE = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "logging_collector=off", "max_connections=50"]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running server; `psycopg` is a conninfo of its owner, `odbc()` what an adapter is given."""

    host: str
    port: int
    driver: str

    @property
    def psycopg(self) -> str:
        return f"host={self.host} port={self.port} user=postgres dbname=postgres"

    def odbc(self, address: tuple[str, int] | None = None, more: str = "") -> str:
        """An ODBC connection string, to this server or to a proxy in front of it."""
        host, port = address or (self.host, self.port)
        return f"DRIVER={self.driver};Server={host};Port={port};Database=postgres;UID=postgres;{more}"


@contextlib.contextmanager
def cluster(certificate: str = "") -> Iterator[Cluster]:
    """Start one (about two seconds), and stop it by its pid at the end; with a `certificate` and its key, as PEM, it speaks TLS too."""
    initdb, server = needs.program("initdb"), needs.program("postgres")
    driver = needs.file("/usr/lib/*/odbc/psqlodbcw.so", "/usr/lib/*/psqlodbcw.so")
    folder = Path(tempfile.mkdtemp(prefix="figway-postgres-"))
    user = _user(folder)
    data, log = folder / "data", folder / "log"
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True, capture_output=True, timeout=60, user=user, cwd=folder, extra_groups=[] if user else None,
        )  # fmt: skip
        port = free_port()
        secure = _certified(data, certificate, user) if certificate else ()
        options = [word for setting in (*FAST, *PRIVATE, *secure, f"port={port}") for word in ("-c", setting)]
        with log.open("wb") as out:
            process = subprocess.Popen(
                [server, "-D", data, *options], stdout=out, stderr=out, user=user, cwd=folder, extra_groups=[] if user else None
            )
        try:
            _wait(process, port, log)
            yield Cluster("127.0.0.1", port, driver)
        finally:
            process.send_signal(signal.SIGQUIT)  # immediate: nothing here is worth a checkpoint
            process.wait(15)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _certified(data: Path, certificate: str, user: int | None) -> tuple[str, ...]:
    file = data / "server.pem"
    file.write_text(certificate)
    file.chmod(0o600)
    if user is not None:
        os.chown(file, user, -1)
    return "ssl=on", "ssl_cert_file=server.pem", "ssl_key_file=server.pem"


def _user(folder: Path) -> int | None:
    """Whom the server runs as; None is ourselves. The folder becomes theirs."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            uid = pwd.getpwnam(name).pw_uid
            os.chown(folder, uid, -1)
            return uid
    raise RuntimeError("root can run PostgreSQL only as another user, and there is neither postgres nor nobody")


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until it accepts queries: a connection alone comes too early."""
    import psycopg

    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(f"host=127.0.0.1 port={port} user=postgres dbname=postgres connect_timeout=5").close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}") from None
            time.sleep(0.05)
        else:
            return
