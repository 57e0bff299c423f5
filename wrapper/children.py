"""What the demo runs beside itself: Python modules as child processes that end with it, however it ends.

Signals are blocked in the demo and asked for (`pause`), so that none can break into the starting or the ending of a child.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from wrapper.admission import GRACEFUL
from wrapper.server import die_with_parent

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CannotStart(Exception):
    """The demo can't be had here; the message says why in a sentence."""


class Stopped(Exception):
    """Somebody pressed Ctrl-C, or sent TERM."""


def pause(seconds: float) -> None:
    """Wait so long; raises Stopped when a signal has come, or comes."""
    if signal.sigtimedwait(SIGNALS, seconds):
        raise Stopped


def child(
    module: str, arguments: Sequence[str], environ: Mapping[str, str], said: IO[bytes], running: ExitStack
) -> subprocess.Popen[bytes]:
    """A Python module as a child in a session of its own: Ctrl-C reaches only us, and we stop the children in order."""
    made = subprocess.Popen(  # noqa: S603 - our own interpreter, our own modules
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
        preexec_fn=_in_child,
    )
    running.callback(_stop, made)
    return made


def wait(ready: Callable[[], bool], child: subprocess.Popen[bytes], log: Path, what: str) -> None:
    until = time.monotonic() + START_SECONDS
    while not ready():
        if child.poll() is not None:
            raise CannotStart(f"{what} did not start: {last_words(log)}")
        if time.monotonic() > until:
            raise CannotStart(f"{what} was not ready after {START_SECONDS:g} seconds")
        pause(0.05)


def last_words(log: Path) -> str:
    """The last line that a child wrote for people."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    said = [line for line in lines if line and not line.startswith(("{", "["))]
    return said[-1].removeprefix("figway: ") if said else "it gave no reason"


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
