"""`figway serve`: gunicorn and one job worker under a small supervisor; this module is also gunicorn's configuration.

The supervisor passes TERM and INT on as a graceful stop, HUP as a reload, starts a dead job worker again, and ends with
gunicorn's own exit code. Its children die with it, even when it is killed (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any

from wrapper.settings import Settings, as_environment

GRACEFUL = 30
PR_SET_PDEATHSIG = 1


def worker_exit(_server: Any, worker: Any) -> None:
    """gunicorn's hook in a worker that ends: sign off from every system."""
    parts = getattr(worker.wsgi, "extensions", {}).get("figway")
    if parts is not None:
        parts.close()


def serve(settings: Settings) -> int:
    """Runs until told to stop; returns the exit code."""
    return _Supervisor(settings).run()


class _Supervisor:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._start("gunicorn", _gunicorn(self._settings))
        self._start("jobs", [sys.executable, "-m", "wrapper.cli", "jobs", "work"])
        while self._children["gunicorn"].poll() is None:
            self._stopping.wait(0.25)
            if self._stopping.is_set():
                break
            self._revive()
        return self._stop()

    def _start(self, name: str, argv: Sequence[str]) -> None:
        self._started[name] = time.monotonic()
        self._children[name] = subprocess.Popen(  # noqa: S603 - our own interpreter, our own modules
            argv, env=as_environment(self._settings), stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_parent
        )

    def _revive(self) -> None:
        """One job worker, always; a worker that dies at once is not started more than once in two seconds."""
        jobs = self._children["jobs"]
        if jobs.poll() is not None and time.monotonic() - self._started["jobs"] > 2:
            self._start("jobs", [str(a) for a in jobs.args])  # type: ignore[union-attr]

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            for child in self._children.values():
                child.send_signal(signal.SIGHUP if child is self._children.get("gunicorn") else signal.SIGTERM)
            return
        self._stopping.set()

    def _stop(self) -> int:
        """TERM to all, then KILL to whoever is left after the graceful time."""
        for child in self._children.values():
            child.terminate()
        until = time.monotonic() + GRACEFUL + 8
        for child in self._children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(5)
        code = self._children["gunicorn"].returncode
        return 0 if self._stopping.is_set() and code in (0, -signal.SIGTERM) else code or 1


def _gunicorn(settings: Settings) -> list[str]:
    """gthread only: our back ends block in C and on pipes, where cooperative workers stop as a whole."""
    options = {
        "--config": "python:wrapper.server", "--worker-class": "gthread",
        "--workers": str(settings.workers), "--threads": str(settings.threads),
        "--bind": settings.bind, "--graceful-timeout": str(GRACEFUL), "--timeout": "60", "--keep-alive": "5", "--log-level": "warning",
    }  # fmt: skip
    flags = [part for pair in options.items() for part in pair]
    return [sys.executable, "-m", "gunicorn", *flags, "--no-control-socket", "wrapper.app:from_environment()"]


def die_with_parent() -> None:
    """For a child between fork and exec: TERM when its parent dies, however that happens."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
