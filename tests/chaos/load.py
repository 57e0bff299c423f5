"""Clients that ask all the time, for rows that do something to the facade meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.chaos.rig import Rig, Seen
from tests.crowd import Crowd


class Load(Crowd):
    """`clients` threads asking `names` in turn until the block ends; `seen` is all of their answers."""

    def __init__(self, rig: Rig, names: Sequence[str], clients: int = 8) -> None:
        self._rig, self._names = rig, names
        self.seen: list[Seen] = []
        super().__init__(clients)

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            self.seen.append(self._rig.ask(self._names[number % len(self._names)]))
            number += 1

    @property
    def told(self) -> str:
        return ", ".join(f"{n} {slug}" for slug, n in sorted(Counter(s.slug for s in self.seen).items()))

    @property
    def slowest(self) -> float:
        return max((s.seconds for s in self.seen), default=0.0)

    def but(self, *slugs: str) -> list[Seen]:
        """Answers of other classes than these."""
        return [s for s in self.seen if s.slug not in slugs]
