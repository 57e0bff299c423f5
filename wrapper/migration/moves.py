"""An endpoint's history as data: moves from one standing to another, and proposals that wait for a second person."""

from __future__ import annotations

from dataclasses import dataclass

from wrapper.migration.decide import Standing


@dataclass(frozen=True, slots=True)
class Move:
    """One line of an endpoint's history. `number` counts 1, 2, 3 for each endpoint; `at` is seconds since 1970; `second` is who agreed,
    where two people were needed."""

    endpoint: str
    number: int
    at: float
    standing: Standing
    who: str
    second: str
    ticket: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A move that waits for a second person."""

    endpoint: str
    at: float
    standing: Standing
    who: str
    ticket: str
    why: str
