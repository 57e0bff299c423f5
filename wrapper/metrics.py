"""What is counted and timed, for Prometheus: declared here, once; a name that is not declared here is not counted.

Several processes (`figway serve`) keep their numbers in memory-mapped files of one folder, PROMETHEUS_MULTIPROC_DIR (`cells.py`). `page`
adds the numbers up, in any process, without asking one. Labels are bounded: names of the catalogue, statuses, error classes; never a
path, an id or a caller's word.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from wrapper.cells import cells

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SHARES = (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
ROOM = 512 * 1024  # bytes that each file of this process has from the start

HAPPENED: Mapping[str, str] = {
    "shed": "Calls refused at once or after their time in the queue, for want of room",
    "retried": "Calls sent again after a failure that allows it",
    "closed_hours": "Calls refused outside of business hours",
    "breaker_opened": "Times that the circuit breaker opened",
    "breaker_closed": "Times that the circuit breaker closed again",
    "watchdog_fired": "Calls ended from outside because their deadline had passed",
    "quarantined": "Connections put aside, never to be used again",
    "session_opened": "Sessions or connections opened",
    "session_closed": "Sessions or connections closed in good order",
    "session_killed": "Sessions or connections ended by force",
    "logon_refused": "Sign-ons that the back end refused",
    "lu_refused": "Times that the back end did not take an LU or its user: in use elsewhere",
    "handed_over": "Leases given to somebody who waited",
    "lease_lost": "Leases lost while in use",
    "cache_hit": "Answers from the cache",
    "cache_miss": "Answers that the cache did not have",
    "cache_stale": "Answers from the cache past their time, because the back end is down",
    "cache_coalesced": "Requests that waited for another one's answer",
    "compared": "Answers of this modern system that were compared with legacy's",
    "different": "Of these the ones that differ",
    "uncompared": "Comparisons with this modern system that were due and not made: dropped, or not asked",
    "promoted": "Moves of endpoints further to this system, made by themselves",
    "rolled_back": "Moves of endpoints back from this system, made by themselves",
    "rollback_refused": "Times that an endpoint had to go back and could not, since legacy lacks writes",
    "quota_refused": "Requests refused because a quota or an endpoint's rate was used up",
    "rate_refused": "Calls not made because the system's own rate, or a consumer's share of it, was used up",
    "login_refused": "Logins refused untried, because too many from their address had failed",
    "quota_alone": "Tokens asked of a process's fixed share of a limit, because the state store is away",
    "store_failed": "Times that the state store could not be used",
    "audit_records": "Records that are on the audit trail",
    "audit_refused": "Requests and acts refused, because they could not be recorded",
    "audit_lost": "Records of what has happened that could not be kept",
    "audit_faults": "Faults of the audit trail, each time that it is looked at: it was changed",
    "log_dropped": "Log lines dropped, because whoever reads the log stalls",
    "spans_lost": "Batches of spans that the collector did not take",
}
LEVELS: Mapping[str, str] = {
    "in_flight": "Calls at the back end now",
    "queued": "Calls that wait for room",
    "breaker_state": "0 closed, 1 half open, 2 open: the worst of all processes",
    "sessions": "Sessions or connections that are open",
    "sessions_in_use": "Sessions or connections in use",
    "sessions_waiting": "Calls that wait for a session",
    "users_barred": "Users whose credential was refused: an operator lifts it",
}
TOOK: Mapping[str, str] = {
    "queue": "Time spent waiting for room",
    "logon": "Time that a sign-on took",
    "connect": "Time that connecting took",
    "store_read": "Time of a read of the state store",
    "store_write": "Time of a transaction of the state store that writes",
    "audit_write": "Time of a write to the audit trail, of one record or of many that waited together",
}
OPEN: Mapping[str, str] = {
    "jobs_overdue": "Open jobs past the time in which their endpoint expects a reply",
    "job_oldest_seconds": "Age of the oldest open job",
    "writes_unknown": "Writes whose outcome is unknown",
}
_FIGWAY = ("quota_refused", "login_refused", "log_dropped", "spans_lost", "audit_records", "audit_refused", "audit_lost", "audit_faults")
_ELSEWHERE = {"store_failed": "store", "quota_alone": "store"} | dict.fromkeys(_FIGWAY, "figway")  # the rest happens to systems
LEGS = ("pending", "owed", "failed", "unknown")
JOBS = ("accepted", "publishing", "published", "unknown", "failed", "poisoned")
Tell = Callable[[float], None]
_WORST = {"breaker_state", "users_barred"}  # the rest is added up over the processes
_FILES = ("counter", "histogram", "gauge_livesum", "gauge_livemax")


class Metrics:
    """This process's numbers; implements adapters.base.Events. Nothing here blocks or raises once it is made."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is the PROMETHEUS_MULTIPROC_DIR that this process was started with, if any."""
        self._folder = folder if folder is not None and _room(folder) else None
        values.ValueClass = values.MutexValue if self._folder is None else cells(self._folder, _FILES)
        self._registry = CollectorRegistry()
        made = self._registry if self._folder is None else None  # what is shared is collected from the files
        on = "system"
        self._requests = Counter("figway_requests_total", "Requests answered", ["operation", "side", "status"], registry=made)
        self._seconds = Histogram("figway_request_seconds", "Time to answer a request", ["operation"], buckets=SECONDS, registry=made)
        called = [on, "operation", "side", "outcome"]
        self._calls = Counter("figway_backend_calls_total", "Back-end calls: ok or the class of the error", called, registry=made)
        took = [on, "operation"]
        self._call_seconds = Histogram("figway_backend_call_seconds", "Time of a back-end call", took, buckets=SECONDS, registry=made)
        left = "Share of the deadline that was left when a back-end call ended"
        self._left = Histogram("figway_deadline_left_ratio", left, took, buckets=SHARES, registry=made)
        self._decisions = Counter("figway_decisions_total", "Scores that decided, by outcome", ["model", "outcome"], registry=made)
        self._happened = {n: Counter(f"figway_{n}_total", help, [on], registry=made) for n, help in HAPPENED.items()}
        self._levels = {n: Gauge(f"figway_{n}", help, [on], multiprocess_mode=_mode(n), registry=made) for n, help in LEVELS.items()}
        self._took = {n: Histogram(f"figway_{n}_seconds", help, [on], buckets=SECONDS, registry=made) for n, help in TOOK.items()}
        self._jobs = Gauge("figway_jobs", "Jobs by state, without the replied ones", ["state"], multiprocess_mode="livemax", registry=made)
        legs = "Writes that one side has and the other has not, by state"
        self._legs = Gauge("figway_legs_open", legs, ["state"], multiprocess_mode="livemax", registry=made)
        self._open = {n: Gauge(f"figway_{n}", help, multiprocess_mode="livemax", registry=made) for n, help in OPEN.items()}
        self._told_requests: dict[tuple[str, str, int], tuple[Tell, Tell]] = {}
        self._told_calls: dict[tuple[str, str, str, str], tuple[Tell, Tell, Tell]] = {}
        self._told: dict[tuple[str, str], Tell] = {}

    def begin(self, systems: Iterable[str]) -> None:
        """What can happen has happened 0 times: the first time of a series that was not there is seen by no alert."""
        names = [*systems]
        for event in HAPPENED:
            for system in [_ELSEWHERE[event]] if event in _ELSEWHERE else names:
                self._tell(self._happened, event, system, 0)

    def request(self, operation: str, side: str, status: int, seconds: float) -> None:
        """One request was answered."""
        found = self._told_requests.get((operation, side, status))
        if found is None:
            found = _taking(self._requests.labels(operation, side, str(status))), _taking(self._seconds.labels(operation))
            self._told_requests[operation, side, status] = found
        count, took = found
        count(1)
        took(seconds)

    def call(self, system: str, operation: str, side: str, outcome: str, seconds: float, left: float) -> None:
        """One back-end call has ended, with this share of its deadline left (0 to 1)."""
        found = self._told_calls.get((system, operation, side, outcome))
        if found is None:
            both = _taking(self._call_seconds.labels(system, operation)), _taking(self._left.labels(system, operation))
            found = _taking(self._calls.labels(system, operation, side, outcome)), *both
            self._told_calls[system, operation, side, outcome] = found
        count, took, had_left = found
        count(1)
        took(seconds)
        had_left(left)

    def decided(self, model: str, outcome: str) -> None:
        """A score has made a decision, which is on record; a repeat within the day is counted, and on record once."""
        self._decisions.labels(model, outcome).inc()

    def happened(self, event: str, system: str) -> None:
        """See base.Events."""
        self._tell(self._happened, event, system, 1)

    def level(self, gauge: str, system: str, value: float) -> None:
        """See base.Events."""
        self._tell(self._levels, gauge, system, value)

    def took(self, what: str, system: str, seconds: float) -> None:
        """See base.Events."""
        self._tell(self._took, what, system, seconds)

    def _tell(self, declared: Mapping[str, Counter | Gauge | Histogram], name: str, system: str, value: float) -> None:
        tell = self._told.get((name, system))
        if tell is None:
            if name not in declared:
                return
            tell = self._told[name, system] = _taking(declared[name].labels(system))
        tell(value)

    def census(self, jobs: Mapping[str, int], overdue: int, oldest: float, unknown_writes: int, legs: Mapping[str, int]) -> None:
        """What is open in the state store, as the job worker sees it."""
        for state in JOBS:
            self._jobs.labels(state).set(jobs.get(state, 0))
        for state in LEGS:
            self._legs.labels(state).set(legs.get(state, 0))
        for name, number in zip(OPEN, (overdue, oldest, unknown_writes), strict=True):
            self._open[name].set(number)

    def page(self) -> tuple[bytes, str]:
        """All processes' numbers, or this one's where it is alone, and the content type."""
        return page(self._folder) if self._folder is not None else _printed(self._registry)


def page(folder: Path) -> tuple[bytes, str]:
    """The numbers of all processes that share `folder`, dead ones too, and the content type. For any process; none of them is asked."""
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_live*_*.db")}:
        if not Path(f"/proc/{pid}").exists():
            _forget(pid, folder)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]
    return _printed(registry)


def _forget(pid: int, folder: Path) -> None:
    """A process that has died loses its gauges; what it had counted stays, in no more room than it takes."""
    with suppress(OSError):
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        for kind in ("counter", "histogram"):
            with open(folder / f"{kind}_{pid}.db", "r+b") as file:
                file.truncate(int.from_bytes(file.read(4), sys.byteorder))


def _printed(registry: CollectorRegistry) -> tuple[bytes, str]:
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _mode(gauge: str) -> Literal["livesum", "livemax"]:
    return "livemax" if gauge in _WORST else "livesum"


def _room(folder: Path) -> bool:
    """Whether this process can take part. Its files get their room now: a full disk that is met through the mapping ends it (SIGBUS)."""
    try:
        for kind in _FILES:
            with open(folder / f"{kind}_{os.getpid()}.db", "ab") as file:
                os.posix_fallocate(file.fileno(), 0, ROOM)
    except OSError:
        for kind in _FILES:  # half a file would be taken for damage by whoever adds all up
            with suppress(OSError):  # a disk that is read-only takes away none either
                (folder / f"{kind}_{os.getpid()}.db").unlink(missing_ok=True)
        return False
    return True


def _taking(child: Counter | Gauge | Histogram) -> Tell:
    """What takes a number, straight to where it lies: prometheus_client's own way there is longer than that of some requests."""
    if isinstance(child, Histogram):
        return partial(_observe, child._sum.inc, child._upper_bounds, [bucket.inc for bucket in child._buckets])
    tell: Tell = child._value.set if isinstance(child, Gauge) else child._value.inc
    return tell


def _observe(total: Tell, bounds: Sequence[float], buckets: Sequence[Tell], value: float) -> None:
    total(value)
    buckets[bisect_left(bounds, value)](1)
