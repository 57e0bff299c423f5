"""`make chaos`: every fault of every party against a real facade, as a table. Exit 0 when all were survived."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos import table


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    asked.add_argument("--only", default="", help="rows whose `party fault` has this text")
    asked.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="figway-chaos-") as folder:
        return 0 if table.run(Path(folder), only=given.only, seed=given.seed, say=lambda line: print(line, flush=True)) else 1


if __name__ == "__main__":
    sys.exit(main())
