"""Clocks that leases and reservations can be held to, and the names of the processes that hold them.

A host's wall clock is stepped by operators and NTP; what is promised for some seconds must outlive that. `steady` counts seconds since
the host booted, sleep included, so it means something to every process of this boot and to none after it.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@cache
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(frozen=True, slots=True)
class Clock:
    """This host's clocks, and which boot they count from."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = _boottime
    boot: Callable[[], str] = _boot


def me() -> str:
    """This process, told apart from every other one there ever was: host/boot/pid namespace/pid/start/random."""
    return _name(os.getpid())


@cache
def _name(pid: int) -> str:
    return f"{platform.node().replace('/', '_')}/{_here()}/{pid}/{_started(pid)}/{os.urandom(4).hex()}"


def gone(process: str) -> bool:
    """Whether a process by its me() has certainly ended. Of another host, another boot or another container nobody here can tell."""
    parts = process.split("/")
    if len(parts) != 6 or "/".join(parts[1:3]) != _here():
        return False
    try:
        return _started(int(parts[3])) != parts[4]
    except OSError:
        return False  # it is somebody else's, and hidden


@cache
def _here() -> str:
    return f"{_boot()}/{os.readlink('/proc/self/ns/pid')}"


def _started(pid: int) -> str:
    """When it started, in the kernel's ticks; '' when it is not running. Its name, the second field, may hold anything but `)` last."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
