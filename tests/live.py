"""A facade as anybody would start it: `figway serve` as a process of its own, with API keys, until the block ends."""

from __future__ import annotations

import http.client
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import command
from tests.waiting import free_port
from wrapper.policy.keys import Caller
from wrapper.state.store import Store

ROOT = Path(__file__).resolve().parents[1]
CATALOGUE = ROOT / "fixtures" / "catalogue"


@dataclass(frozen=True, slots=True)
class Served:
    """Where it is, the API keys by caller, its state store's URL, its log, its supervisor, and in how many seconds it was ready."""

    address: tuple[str, int]
    keys: Mapping[str, str]
    state: str
    log: Path
    pid: int = 0
    took: float = 0.0


@contextmanager
def estate(folder: Path) -> Iterator[dict[str, str]]:
    """The demo estate as a process of its own, as far from the measured one as a back end is: its settings."""
    told = folder / "estate.env"
    child = subprocess.Popen([sys.executable, "-m", "fixtures", "--env-file", str(told)], cwd=ROOT)
    try:
        until = time.monotonic() + 30
        while not told.exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.05)
        words = shlex.split(told.read_text(), comments=True)
        yield dict(word.split("=", 1) for word in words if word != "export")
    finally:
        child.terminate()
        child.wait(15)


@contextmanager
def serving(
    settings: Mapping[str, str], callers: Sequence[Caller], folder: Path, catalogue: Path = CATALOGUE, state: str | None = None
) -> Iterator[Served]:
    """Ready when the block begins; at its end it must stop by itself, with exit code 0. `settings` say where the estate is."""
    state = state or f"sqlite:///{folder}/state.sqlite"
    with closing(Store(state, Path(key) if (key := settings.get("FIGWAY_STATE_KEY")) else None)) as store:
        made = {caller.name: store.issue(caller) for caller in callers}
    address = ("127.0.0.1", free_port())
    options = ["--catalogue", str(catalogue), "--state", state, "--bind", f"{address[0]}:{address[1]}"]
    log = folder / "figway.log"
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **settings}  # as the launcher has it
    with log.open("wb") as out:
        argv = [sys.executable, "-m", "wrapper.cli", "serve", *options]
        began = time.monotonic()
        child = subprocess.Popen(argv, cwd=ROOT, env=environ, stdout=out, stderr=out, start_new_session=True)
    try:
        answered(address, child, "/health/ready")
        yield Served(address, made, state, log, child.pid, time.monotonic() - began)
    finally:
        child.terminate()
        assert child.wait(40) == 0, log.read_text()[-2000:]


def answered(address: tuple[str, int], child: subprocess.Popen[bytes], path: str, headers: Mapping[str, str] | None = None) -> None:
    """Return when it says 200."""
    until = time.monotonic() + 30
    while time.monotonic() < until and child.poll() is None:
        line = http.client.HTTPConnection(*address, timeout=5)
        try:
            line.request("GET", path, headers=dict(headers or {}))
            if line.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.02)
        finally:
            line.close()
    raise AssertionError(f"{command(child.pid)} did not get ready")
