"""What processes hold: threads, descriptors, children, zombies, memory, read from /proc."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.processes import descendants


@dataclass(frozen=True, slots=True)
class Counts:
    """Of a process and all below it; `memory` is the proportional set size in KiB."""

    processes: int
    threads: int
    descriptors: int
    zombies: int
    memory: int

    def over(self, base: Counts, *, threads: int = 6, descriptors: int = 40, processes: int = 3) -> str:
        """What has grown beyond a tolerance for pools that are fuller, and a job worker that is further, than they were: '' or words."""
        grown = [
            f"{name} {getattr(base, name)} -> {getattr(self, name)}"
            for name, much in (("threads", threads), ("descriptors", descriptors), ("processes", processes), ("zombies", 0))
            if getattr(self, name) > getattr(base, name) + much
        ]
        return ", ".join(grown)


def counted(pid: int) -> Counts:
    """Everything from `pid` downwards; a process that ends meanwhile counts as nothing."""
    threads = descriptors = zombies = memory = processes = 0
    for each in (pid, *descendants(pid)):
        with suppress(OSError):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{each}/status").read_text().splitlines() if ":" in line)
            if status["State"].strip().startswith("Z"):
                zombies += 1
                continue
            processes += 1
            threads += int(status["Threads"])
            descriptors += len(list(Path(f"/proc/{each}/fd").iterdir()))
            memory += pss(each)
    return Counts(processes, threads, descriptors, zombies, memory)


def pss(pid: int) -> int:
    """KiB; shared pages are divided among their users."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0
