"""`make bench`: what Figway costs against what a user would write without it. The README's table is what this prints.

    make bench                      all rows, about four minutes
    make bench ARGS="--only d"      one row of the issue: a-e over HTTP and in process, f start and memory, 3 a stalled mainframe
    make bench ARGS=--quick         every row once, briefly: whether it runs, not how fast

Everything runs on loopback in one run, server against server in turn. Figures are ratios to a bare Flask hello on gunicorn
gthread with one worker; a ratio is a median over rounds, with its quartiles.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.bench import estate, facades, inprocess
from tests.bench.facades import Plan
from tests.bench.rounds import Load, loading
from tests.bench.servers import facade
from tests.bench.table import Row, markdown

FULL, QUICK = Plan(9, 0.8), Plan(1, 0.2)
ALL = "abcdef3"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure Figway against what a user would write.")
    parser.add_argument("--only", choices=list(ALL), help="one row, by its letter in the issue")
    parser.add_argument("--quick", action="store_true", help="briefly: whether it runs, not how fast")
    given = parser.parse_args(arguments)
    plan = QUICK if given.quick else FULL
    made = list(rows(plan, given.only or ALL))
    print(f"\nPython {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end\n")
    print(markdown(made))
    return 0


def rows(plan: Plan, keys: str) -> Iterator[Row]:
    """Measured one after another; each is told as soon as it is known."""
    with tempfile.TemporaryDirectory() as made, loading() as load, loading() as other:
        folder = Path(made)
        with estate.backends(folder) as env:
            for row in _rows(env, folder, load, other, plan, keys):
                print(row.line(), file=sys.stderr, flush=True)
                yield row


def _rows(env: Mapping[str, str], folder: Path, load: Load, other: Load, plan: Plan, keys: str) -> Iterator[Row]:
    if set(keys) & set("abcde3"):
        with facades.everything(env, folder, keys) as servers:
            yield from facades.rows(load, servers, plan)
            if "e" in keys:
                yield from facades.sessions(load, servers, plan)
            if "3" in keys:
                yield from facades.stalled(load, other, servers, plan)
    if set(keys) & set("cde"):
        yield from inprocess.rows(env, folder / "inside", keys, plan.rounds)
    if "f" in keys:
        yield from _start(env, folder, plan, load)


def _start(env: Mapping[str, str], folder: Path, plan: Plan, load: Load) -> Iterator[Row]:
    """From the command to the first answer of /health/ready; memory after some work."""
    took, memory = [], 0.0
    for n in range(min(plan.rounds, 3)):
        with facades.figway(env, folder / f"start{n}", facades.THEIRS) as served:
            took.append(served.took)
            server = facade(served)
            headers = {"Authorization": f"Bearer {served.keys['operator']}", "Figway-Purpose": "credit-risk"}
            for path, ids in (("/v1/passed/%s", estate.CUSTOMERS), ("/v1/credit/%s", facades.NATIONAL_IDS)):
                load.ask(facades.get(server, path, ids, "", headers), 4, seconds=plan.seconds)
            memory = server.memory()
    start = sorted(took)[len(took) // 2]
    yield Row("f", "start, until ready", f"{start:.2f} s", start, 1, None, "less", " s")
    yield Row("f", "memory of a worker (PSS)", f"{memory:.0f} MiB", memory, 100, None, "less", " MiB")


if __name__ == "__main__":
    sys.exit(main())
