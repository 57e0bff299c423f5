"""What the chaos scripts have in common: a seed and numbers from the command line, a folder of their own, and the exit code."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main(prog: str, about: str | None, run: Callable[..., bool], **defaults: Any) -> int:
    """`run(folder, seed=..., say=..., **options)` says whether all was well; `defaults` are its options beside the seed."""
    asked = argparse.ArgumentParser(prog=f"python -m {prog}", description=about)
    for name, value in {**defaults, "seed": int(time.time()) % 100_000}.items():
        asked.add_argument(f"--{name}", type=type(value), default=value)
    given = vars(asked.parse_args())
    with tempfile.TemporaryDirectory(prefix="figway-chaos-") as folder:
        return 0 if run(Path(folder), say=lambda line: print(line, flush=True), **given) else 1
