"""`figway demo`: the embedded estate and a real `figway serve` as child processes, the tour over HTTP, then serving until Ctrl-C.

The facade must not know the estate, so all that passes between them are settings, as it would be with real back ends. However this
ends, the children are stopped (they die with this process, should it be killed) and the temporary folder is removed.
"""

from __future__ import annotations

import http.client
import shlex
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import click

from wrapper import demo_migration, tour
from wrapper.children import ROOT, SIGNALS, CannotStart, Stopped, child, last_words, pause, wait
from wrapper.policy.keys import Caller
from wrapper.settings import Settings, as_environment, from_environment
from wrapper.state.store import Store

Verdict = tuple[bool, str]
"""Whether all was as expected, and the last line."""


@dataclass(frozen=True, slots=True)
class Show:
    """What is shown of a facade that is up: `take` gets its settings, its address, the callers' keys by name, and a folder."""

    callers: Sequence[Caller]
    workers: int
    take: Callable[[Settings, tuple[str, int], Mapping[str, str], Path], Verdict]


NOT_OURS: Mapping[str, Any] = dict.fromkeys(("audit", "audit_key", "audit_anchor", "tls_cert", "tls_key", "tls_client_ca")) | {
    "admin_bind": ""
}
"""What an installation says in this shell is not said of the demo: least of all where its audit trail is."""


def run(once: bool, bind: str, show: str = "tour") -> int:
    """The exit code: 0 when all that was shown (one of SHOWS) was as expected, 1 when not, 130 when it was cut short."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with ExitStack() as running:
            fine, said = _all(bind, running, once, SHOWS[show])
    except CannotStart as error:
        click.echo(f"figway: {error}", err=True)
        return 1
    except Stopped:
        click.echo("figway: stopped; nothing is left running", err=True)
        return 130
    finally:
        while signal.sigtimedwait(SIGNALS, 0):  # somebody was impatient
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    click.echo(said if once else "figway: stopped; nothing is left running")
    return 0 if fine else 1


def _all(bind: str, running: ExitStack, once: bool, show: Show) -> Verdict:
    """Everything up, all of it shown; with `once` unset, served until somebody ends it."""
    folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="figway-demo-", ignore_cleanup_errors=True)))
    settings = from_environment(
        catalogue=str(ROOT / "fixtures" / "catalogue"),
        state=f"sqlite:///{folder}/state.sqlite",
        state_key=f"{folder}/state.key",
        models=str(ROOT / "fixtures" / "models"),
        bind=_free(bind),
        workers=show.workers,
        log_level="info",
    )
    settings = replace(settings, **NOT_OURS)
    with closing(Store(settings.state, settings.state_key)) as store:
        made = {caller.name: store.issue(caller) for caller in show.callers}
    click.echo("Starting a mainframe, a credit bureau, a file drop, a ledger and a new accounts service ...")
    settings = replace(settings, environ={**settings.environ, **_estate(settings, folder, running)})
    workers = f" --workers {show.workers}" if show.workers > 1 else ""
    click.echo(f"Starting Figway: figway serve --catalogue fixtures/catalogue --bind {settings.bind}{workers} ...\n")
    facade = _serve(settings, folder, running)
    fine, said = show.take(settings, _address(settings.bind), made, folder)
    if not once:
        click.echo(said)
        _explain(settings, made["lender"], folder)
        with suppress(Stopped):
            while facade.poll() is None:
                pause(0.5)
            raise CannotStart(f"figway serve has ended by itself: {last_words(folder / 'figway.log')}")
    return fine, said


def _tour(_: Settings, address: tuple[str, int], keys: Mapping[str, str], __: Path) -> Verdict:
    right = 0
    for as_expected in tour.take(address, keys):
        right += as_expected
        pause(0)
    return right == len(tour.STEPS), tour.summary(right, len(tour.STEPS))


SHOWS: Mapping[str, Show] = {
    "tour": Show(tour.CALLERS, 1, _tour),
    "migration": Show(demo_migration.CALLERS, 2, demo_migration.take),
}


def _estate(settings: Settings, folder: Path, running: ExitStack) -> dict[str, str]:
    """The demo estate's settings, once all of it is up."""
    told = folder / "estate.env"
    log = folder / "estate.log"
    with log.open("wb") as out:
        estate = child("fixtures", ["--env-file", str(told)], as_environment(settings), out, running)
    wait(told.exists, estate, log, "the demo estate")
    return dict(word.split("=", 1) for word in shlex.split(told.read_text(encoding="utf-8")) if word != "export")


def _serve(settings: Settings, folder: Path, running: ExitStack) -> subprocess.Popen[bytes]:
    log = folder / "figway.log"
    with log.open("wb") as out:
        facade = child("wrapper.cli", ["serve"], as_environment(settings), out, running)
    wait(lambda: _ready(_address(settings.bind)), facade, log, "figway serve")
    return facade


def _ready(address: tuple[str, int]) -> bool:
    connection = http.client.HTTPConnection(*address, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free(bind: str) -> str:
    """`bind` itself, or another port of the same host when somebody listens there."""
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise CannotStart(f"--bind must be HOST:PORT, like 127.0.0.1:8080; met {bind!r}")
    with suppress(OSError):
        return _bound(host, int(port))
    try:
        other = _bound(host, 0)
    except OSError as error:
        raise CannotStart(f"can't listen on {bind}: {error.strerror}") from None
    click.echo(f"Port {port} is busy, so this demo takes {other}.", err=True)
    return other


def _bound(host: str, port: int) -> str:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return f"{host}:{probe.getsockname()[1]}"


def _address(bind: str) -> tuple[str, int]:
    """Where a client on this machine reaches `bind`."""
    host, _, port = bind.rpartition(":")
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1"}.get(host, host), int(port)  # noqa: S104 - compared, not bound


def _explain(settings: Settings, key: str, folder: Path) -> None:
    host, port = _address(settings.bind)
    base = f"http://{host}:{port}"
    click.echo(f"""
Figway goes on serving. {click.style("Every endpoint, to read and to try:", bold=True)} {base}/docs/

  The docs page asks for this key (button "Authorize"), and so does curl:

  KEY={key}
  curl -H "Authorization: Bearer $KEY" {base}/v1/customers/{tour.CUSTOMER}

  For ./figway call, ./figway check --live and ./figway migrate in another terminal, load the settings of this estate:

  . {folder}/estate.env; export FIGWAY_CATALOGUE={settings.catalogue} FIGWAY_STATE={settings.state} FIGWAY_STATE_KEY={settings.state_key}

  The log is {folder}/figway.log. Ctrl-C ends it all and leaves nothing behind.""")
