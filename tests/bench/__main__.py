"""`make bench`: what Figway costs against what a user would write without it. The README's table is what this prints.

    make bench                      all rows, about four minutes
    make bench ARGS="--only d"      one row of the issue: a-e over HTTP and in process, f start and memory,
                                    g under granian, h shadowing, 3 a stalled mainframe, p what lets a request in
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
from tests.bench.table import Row, markdown

FULL, QUICK = Plan(9, 0.8, 3.0, 3), Plan(1, 0.2, 0.5, 1)
ALL = "abcdefgh3p"


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
    with facades.everything(env, folder, keys) as servers:
        yield from facades.rows(load, servers, plan)
        if "e" in keys:
            yield from facades.sessions(load, servers, plan)
        if "h" in keys:
            yield from facades.shadowing(load, servers, plan)
        if "3" in keys:
            yield from facades.stalled(load, other, servers, plan)
        if "f" in keys:
            yield from facades.start(env, folder, servers, plan)
    if set(keys) & set("cdep"):
        yield from inprocess.rows(env, folder / "inside", keys, plan.rounds)


if __name__ == "__main__":
    sys.exit(main())
