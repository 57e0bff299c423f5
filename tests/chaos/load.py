"""Clients that ask all the time, for rows that do something to the facade meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from types import TracebackType

from tests.chaos.rig import Rig, Seen


class Load:
    """`clients` threads asking `names` in turn until the block ends; `seen` is all of their answers."""

    def __init__(self, rig: Rig, names: Sequence[str], clients: int = 8) -> None:
        self._rig, self._names, self._stop = rig, names, threading.Event()
        self.seen: list[Seen] = []
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            self.seen.append(self._rig.ask(self._names[number % len(self._names)]))
            number += 1

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    @property
    def told(self) -> str:
        return ", ".join(f"{n} {slug}" for slug, n in sorted(Counter(s.slug for s in self.seen).items()))

    @property
    def slowest(self) -> float:
        return max((s.seconds for s in self.seen), default=0.0)

    def but(self, *slugs: str) -> list[Seen]:
        """Answers of other classes than these."""
        return [s for s in self.seen if s.slug not in slugs]
