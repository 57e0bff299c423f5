"""What is measured over HTTP: servers under the same gunicorn, and what they take of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live import ROOT, Served, answered
from tests.processes import command, descendants
from tests.waiting import free_port

THREADS = 32
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Server:
    """Where it listens and which processes answer."""

    address: tuple[str, int]
    workers: tuple[int, ...]

    def cpu(self) -> float:
        """Seconds of CPU that the workers have used so far, by the kernel's own count."""
        return sum(_cpu(pid) for pid in self.workers)

    def memory(self) -> float:
        """MiB of a worker, shared pages counted by share (PSS)."""
        lines = Path(f"/proc/{self.workers[0]}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:"))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


@contextmanager
def peer(name: str, environ: Mapping[str, str], path: str, headers: Mapping[str, str] | None = None) -> Iterator[Server]:
    """An application of `tests/bench/peers/`; ready when it has answered `path`."""
    address = ("127.0.0.1", free_port())
    options = ["--worker-class", "gthread", "--workers", "1", "--threads", str(THREADS), "--keep-alive", "5", "--no-control-socket"]
    argv = [sys.executable, "-m", "gunicorn", *options, "--log-level", "error", "--bind", f"127.0.0.1:{address[1]}"]
    child = subprocess.Popen([*argv, f"tests.bench.peers.{name}:app"], cwd=ROOT, env={**os.environ, **environ})
    try:
        answered(address, child, path, headers)
        yield Server(address, _workers(child.pid))
    finally:
        child.terminate()
        child.wait(15)


def facade(served: Served) -> Server:
    """The workers of a `figway serve`."""
    return Server(served.address, _workers(served.pid))


def _workers(pid: int) -> tuple[int, ...]:
    """The processes below `pid` that are a server's and have no such process below them: its workers."""
    known = {pid: command(pid), **descendants(pid)}
    serving = [known for known, line in known.items() if "gunicorn" in line or "granian" in line]
    return tuple(one for one in serving if not any(other in serving for other in descendants(one)))
