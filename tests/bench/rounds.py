"""Measuring in turn: every server gets a slice of each round, so that a noisy machine harms all alike, and medians over rounds."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench.servers import Server
from tests.live import ROOT

Asked = tuple[str, int, str]
"""A request as it is sent, the status that its answer must have, and the text that it must hold."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server and what it is asked."""

    server: Server
    requests: Sequence[Asked]


@dataclass(frozen=True, slots=True)
class Slice:
    """One server's turn. `cpu` is seconds a request."""

    rate: float
    cpu: float
    p50: float
    p99: float
    statuses: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """A server against the yardstick: throughput ratio, CPU ratio (medians of rounds), and the quartiles of the first."""

    rate: float
    cpu: float
    quartiles: tuple[float, float]
    micros: float
    p50: float
    p99: float


@dataclass(slots=True)
class Load:
    """The load generator's process."""

    child: subprocess.Popen[str]
    slices: dict[str, list[Slice]] = field(default_factory=dict)

    def ask(self, target: Target, connections: int, **limits: float) -> dict[str, Any]:
        """One job done. Raises AssertionError when an answer is missing or wrong."""
        self.start(target, connections, **limits)
        return self.finish()

    def start(self, target: Target, connections: int, **limits: float) -> None:
        job = {"address": target.server.address, "requests": list(target.requests), "connections": connections, **limits}
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(job) + "\n")
        self.child.stdin.flush()

    def finish(self) -> dict[str, Any]:
        assert self.child.stdout is not None
        told: dict[str, Any] = json.loads(self.child.stdout.readline())
        assert not told["wrong"], f"wrong answers: {told}"
        return told

    def measure(self, target: Target, connections: int, seconds: float, **limits: float) -> Slice:
        """One slice; every answer must be right."""
        before = target.server.cpu()
        told = self.ask(target, connections, seconds=seconds, **limits)
        used = target.server.cpu() - before
        assert set(told["statuses"]) == {str(status) for _, status, _ in target.requests}, told
        assert not told["lost"], told
        count = told["answered"]
        return Slice(count / told["seconds"], used / count, told["p50"], told["p99"], told["statuses"])


@contextmanager
def loading() -> Iterator[Load]:
    child = subprocess.Popen([sys.executable, "-m", "tests.bench.load"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Load(child)
    finally:
        child.terminate()
        child.wait(10)


def in_turn(load: Load, targets: Mapping[str, Target], rounds: int, seconds: float, connections: int = 4) -> dict[str, list[Slice]]:
    """`rounds` slices of each, after one that warms up."""
    slices: dict[str, list[Slice]] = {name: [] for name in targets}
    for target in targets.values():
        load.measure(target, connections, seconds / 2)
    for _ in range(rounds):
        for name, target in targets.items():
            slices[name].append(load.measure(target, connections, seconds))
    return slices


def against(yardstick: Sequence[Slice], ours: Sequence[Slice]) -> Measured:
    """Round by round, each beside the yardstick's slice of the same round."""
    rates = [our.rate / its.rate for our, its in zip(ours, yardstick, strict=True)]
    cpu = statistics.median(our.cpu for our in ours) / statistics.median(its.cpu for its in yardstick)
    cut = statistics.quantiles(rates, n=4) if len(rates) > 1 else [rates[0]] * 3
    middle = statistics.median
    return Measured(
        middle(rates), cpu, (cut[0], cut[2]), middle(s.cpu for s in ours) * 1e6, middle(s.p50 for s in ours), middle(s.p99 for s in ours)
    )
