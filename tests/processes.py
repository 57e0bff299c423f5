"""The processes that a process has started, and whether they are gone."""

from __future__ import annotations

import time
from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """The processes that a living process has started, at any depth, zombies included, with their command lines."""
    try:
        children = [int(n) for task in Path(f"/proc/{pid}/task").iterdir() for n in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {known: command(known) for child in children for known in (child, *descendants(child))}


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(running: dict[int, str], seconds: float = 2.0) -> bool:
    """Whether all of these end in time, or have; a pid that was given to a stranger meanwhile does not count."""
    until = time.monotonic() + seconds
    while any(line and command(pid) == line for pid, line in running.items()):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
