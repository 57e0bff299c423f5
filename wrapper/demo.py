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
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path

import click

from wrapper import tour
from wrapper.admission import GRACEFUL
from wrapper.server import die_with_parent
from wrapper.settings import Settings, as_environment, from_environment
from wrapper.state.store import Store

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(Exception):
    """The demo can't be had here; the message says why in a sentence."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C, or sent TERM."""


def run(once: bool, bind: str) -> int:
    """The exit code: 0 when every call of the tour was as expected, 1 when not, 130 when it was cut short.

    Signals are blocked and asked for (`_pause`), so that none can break into the starting or the ending of a child."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        with ExitStack() as running:
            right, total = _all(bind, running, once)
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
    click.echo(tour.summary(right, total) if once else "figway: stopped; nothing is left running")
    return 0 if right == total else 1


def _all(bind: str, running: ExitStack, once: bool) -> tuple[int, int]:
    """Everything up, the tour taken; with `once` unset, served until somebody ends it."""
    folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="figway-demo-", ignore_cleanup_errors=True)))
    settings = from_environment(
        catalogue=str(ROOT / "fixtures" / "catalogue"),
        state=f"sqlite:///{folder}/state.sqlite",
        state_key=f"{folder}/state.key",
        bind=_free(bind),
        log_level="info",
    )
    made = _keys(settings)
    click.echo("Starting a mainframe, a credit bureau, a file drop, a ledger and a new accounts service ...")
    settings = replace(settings, environ={**settings.environ, **_estate(settings, folder, running)})
    click.echo(f"Starting Figway in front: figway serve --catalogue fixtures/catalogue --bind {settings.bind} ...\n")
    facade = _serve(settings, folder, running)
    right = 0
    for as_expected in tour.take(_address(settings.bind), made):
        right += as_expected
        _pause(0)
    if not once:
        click.echo(tour.summary(right, len(tour.STEPS)))
        _explain(settings.bind, made["lender"], folder)
        with suppress(Stopped):
            while facade.poll() is None:
                _pause(0.5)
            raise CannotStart(f"figway serve has ended by itself: {_last_words(folder / 'figway.log')}")
    return right, len(tour.STEPS)


def _pause(seconds: float) -> None:
    """Wait so long; raises Stopped when a signal has come, or comes."""
    if signal.sigtimedwait(SIGNALS, seconds):
        raise Stopped


def _keys(settings: Settings) -> dict[str, str]:
    """API keys of the tour's callers, by name."""
    with closing(Store(settings.state, settings.state_key)) as store:
        return {caller.name: store.issue(caller) for caller in tour.CALLERS}


def _estate(settings: Settings, folder: Path, running: ExitStack) -> dict[str, str]:
    """The demo estate's settings, once all of it is up."""
    told = folder / "estate.env"
    child = _child("fixtures", ["--env-file", str(told)], settings, folder / "estate.log", running)
    _wait(told.exists, child, folder / "estate.log", "the demo estate")
    return dict(word.split("=", 1) for word in shlex.split(told.read_text(encoding="utf-8")) if word != "export")


def _serve(settings: Settings, folder: Path, running: ExitStack) -> subprocess.Popen[bytes]:
    child = _child("wrapper.cli", ["serve"], settings, folder / "figway.log", running)
    _wait(lambda: _ready(_address(settings.bind)), child, folder / "figway.log", "figway serve")
    return child


def _child(module: str, arguments: Sequence[str], settings: Settings, log: Path, running: ExitStack) -> subprocess.Popen[bytes]:
    """A Python module as a child in a session of its own: Ctrl-C reaches only us, and we stop the children in order."""
    with log.open("wb") as said:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter, our own modules
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=as_environment(settings),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            preexec_fn=_in_child,
        )
    running.callback(_stop, child)
    return child


def _in_child() -> None:
    die_with_parent()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACEFUL + 15)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait(5)


def _wait(ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, what: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if child.poll() is not None:
            raise CannotStart(f"{what} did not start: {_last_words(log)}")
        if time.monotonic() > until:
            raise CannotStart(f"{what} was not ready after {START_SECONDS:g} seconds")
        _pause(0.05)


def _last_words(log: Path) -> str:
    """The last line that a child wrote for people."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("{", "["))]
    return said[-1].removeprefix("figway: ") if said else "it gave no reason"


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


def _explain(bind: str, key: str, folder: Path) -> None:
    host, port = _address(bind)
    base = f"http://{host}:{port}"
    click.echo(f"""
Figway goes on serving. {click.style("Every endpoint, to read and to try:", bold=True)} {base}/docs/

  The docs page asks for this key (button "Authorize"), and so does curl:

  KEY={key}
  curl -H "Authorization: Bearer $KEY" {base}/v1/customers/{tour.CUSTOMER}

  For ./figway call and ./figway check --live in another terminal, load the settings of this estate:

  . {folder}/estate.env

  The log is {folder}/figway.log. Ctrl-C ends it all and leaves nothing behind.""")
