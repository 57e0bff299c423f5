"""Stores and clocks for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wrapper.state.clock import Clock
from wrapper.state.store import Store


@dataclass
class Time:
    """A host's clocks, set by hand."""

    wall: float = 1_800_000_000.0
    steady: float = 1000.0
    booted: str = "boot"

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.steady, lambda: self.booted)


def store_of(folder: Path, time: Time | None = None) -> Store:
    return Store(f"sqlite:///{folder}/state.sqlite", clock=time.clock if time else None)
