"""What each worker may do to each system, by the catalogue's numbers, the workers and the threads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.breaker import Rule
from tests.live import CATALOGUE
from wrapper import catalogue, shares
from wrapper.admission import RESERVED
from wrapper.operation import Catalogue
from wrapper.settings import Settings


@pytest.fixture(scope="module")
def demo() -> Catalogue:
    return catalogue.load(CATALOGUE)


def settings(threads: int = 32, workers: int = 1, replicas: int = 1) -> Settings:
    return Settings(Path("/c"), "", Path("/m"), threads=threads, workers=workers, replicas=replicas)


@pytest.mark.parametrize(
    ("system", "told", "each"),
    [
        ("ledger", settings(), 6),
        ("ledger", settings(workers=2), 3),
        ("ledger", settings(workers=2, replicas=2), 1),
        ("ledger", settings(workers=16), 1),  # one at least
        ("corebank", settings(workers=4), 3),  # leases divide sessions
        ("bureau", settings(), 16),  # 32 would be all of its threads
        ("bureau", settings(threads=14), 4),
    ],
)
def test_a_worker_takes_its_part(demo: Catalogue, system: str, told: Settings, each: int) -> None:
    assert shares.share(demo.systems[system], told).each == each


@pytest.mark.parametrize("threads", [12, 32, 512])
def test_no_system_can_hold_all_threads_that_a_worker_admits(demo: Catalogue, threads: int) -> None:
    for system in demo.systems.values():
        one = shares.share(system, settings(threads=threads))
        assert one.each + one.queue < threads - RESERVED
        assert one.queue >= 1


def test_the_pool_that_a_worker_opens_is_its_part(demo: Catalogue) -> None:
    opened = shares.block(demo.systems["ledger"], {"dsn": "x", "pool": {"max": 6, "recycle": "15m"}}, settings(workers=3))
    assert opened["pool"] == {"max": 2, "recycle": "15m"}
    users = {"users": [1, 2, 3]}
    assert shares.block(demo.systems["corebank"], users, settings(workers=3)) == users


def test_what_an_endpoint_says_of_itself_reaches_the_guard(demo: Catalogue) -> None:
    said = {"concurrency": 4, "breaker": {"open_after": 5, "window": "30s", "probe_every": "10s"}}
    one = next(op for op in demo.operations.values() if op.legacy and op.legacy.system == "ledger")
    made = replace(demo, operations={**demo.operations, one.name: replace(one, limits=said)})
    own = shares.limits(made.systems["ledger"], made, settings(workers=2)).operations[one.name]
    assert (own.places, own.breaker, own.deadline) == (2, Rule(5, 30.0, 10.0), one.deadline)
    assert one.name not in shares.limits(made.systems["drop"], made, settings()).operations


def test_the_table_shows_every_system(demo: Catalogue) -> None:
    head, *rows = shares.table(demo, settings(workers=4))
    assert "each of 4 workers" in head
    assert [row.split()[:3] for row in rows if row.startswith("ledger")] == [["ledger", "6", "1"]]
    assert len(rows) == len(demo.systems)
