"""The job worker: publishes deferred calls, collects their replies, carries over what one side of a write lacks (outbox.py), and survives
its own death.

    accepted --> publishing --> published --> replied
     |   |           |              `--> failed     the reply came, and is a refusal or can't be read
     |   |           `--> unknown                   it can't be told whether it was published: settled by looking again, or by its reply
     |   `--> failed                                the back end has nothing of it
     `--> poisoned                                  three workers died of it before its first step

The jobs table is the truth. A step is recorded before the act, under a lease that the store checks: a worker that was thought dead
can't say anything of a job any more, and one that takes over goes on from the step recorded or reports `unknown`, never again from the
start. From the first step on, no trouble of ours (the store, the catalogue, a death) makes a job failed or poisoned: only the back end's
own word does. Only a reply writes an answer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from adapters.base import Adapter, Call, Deferred, Reply, Ticket
from adapters.errors import AdapterError, CircuitOpen, Closed, DeadlineExceeded, OutcomeUnknown, Unavailable
from wrapper import log
from wrapper.audit import daily
from wrapper.audit.anchor import NOTHING
from wrapper.audit.follow import Fault
from wrapper.audit.purge import Upkeep
from wrapper.operation import SIDES, Operation, Side, Source
from wrapper.outbox import Outbox
from wrapper.pilot import Pilot
from wrapper.privacy import Purge
from wrapper.problems import Inadequate, NoSuchThing, NotReady, RequestError, problem
from wrapper.request import Given
from wrapper.service import Service
from wrapper.sides import Adapters
from wrapper.state.census import Counted
from wrapper.state.clock import me
from wrapper.state.records import Job, LeaseLost
from wrapper.state.store import Store
from wrapper.units import DAY, HOUR

LEASE = 60.0
POLL = 0.2
BACKOFF = 5.0
CENSUS = 5.0
LOOK_AGAIN = 15.0
SETTLE = 1.0
PILOT = 1.0
ANCHOR = 10.0
PURGE = 60.0


class Runner:
    """One worker. `run` until stopped; `turn` does what can be done now, which is what tests use."""

    def __init__(
        self,
        service: Service,
        adapters: Adapters,
        store: Store,
        count: Callable[[Counted], None] | None = None,
        pilot: Pilot | None = None,
        upkeep: Upkeep | None = None,
        purge: Purge | None = None,
        verify_in: float = HOUR,
    ) -> None:
        """`count` is told now and then what is open; `pilot` and `upkeep` (of the audit trail) have threads of their
        own while the worker runs; `purge` drops what is past its time. All of an anchored trail is verified `verify_in` seconds from the
        start on, and then once a day."""
        self._pilot, self._upkeep = pilot, upkeep
        self._purge, self._purge_due = purge, 0.0
        self._verify_in = verify_in
        self._count, self._count_due = count, 0.0
        self._service, self._adapters, self._store = service, adapters, store
        self._name = f"{me()}{os.urandom(4).hex()}"  # of a process that has ended, the store frees the job at once
        self._writes_due = 0.0
        self.outbox = Outbox(service, store)

    def run(self, stop: threading.Event) -> None:
        """Turns until `stop` is set; an error of ours or of the store is logged and survived."""
        beside = [threading.Thread(target=self._watch, args=(stop,), name="figway-pilot", daemon=True)]
        beside += [threading.Thread(target=self._carry, args=(stop, side), name=f"figway-to-{side}", daemon=True) for side in SIDES]
        beside.append(threading.Thread(target=self._keep_trail, args=(stop,), name="figway-audit-upkeep", daemon=True))
        for thread in beside:
            thread.start()
        threading.Thread(target=self._verify_trail, args=(stop,), name="figway-audit-verify", daemon=True).start()  # only reads
        while not stop.is_set():
            busy = False
            with _apart("jobs"):
                busy = self.turn()
            with _apart("census"):
                self._census()
            with _apart("purge"):
                self._drop()
            stop.wait(0 if busy else POLL)
        for thread in beside:
            thread.join()

    def _watch(self, stop: threading.Event) -> None:
        """A drop that stalls holds up no rollback, and the pilot no drop."""
        while self._pilot is not None and not stop.is_set():
            with _apart("pilot"):
                self._pilot.turn()
            stop.wait(PILOT)

    def _keep_trail(self, stop: threading.Event) -> None:
        """The audit trail is anchored as it grows, and what is too old goes."""
        if self._upkeep is None or self._upkeep.anchor is None:
            log.get().warning("audit", outcome=NOTHING)
        while self._upkeep is not None and not stop.is_set():
            with _apart("audit"):
                try:
                    faults = self._upkeep.turn()
                except Fault as error:
                    faults = [error]
                for fault in faults:
                    self._service.audit.fault(fault)
            stop.wait(ANCHOR)

    def _verify_trail(self, stop: threading.Event) -> None:
        anchor = self._upkeep.anchor if self._upkeep is not None else None
        due = self._verify_in
        while anchor is not None and not stop.wait(due):
            due = DAY
            with _apart("audit"):
                for fault in daily.faults(anchor, stop.wait):
                    self._service.audit.fault(fault)

    def _carry(self, stop: threading.Event, side: Side) -> None:
        """Nor does a side that stalls hold up the other one's legs."""
        while not stop.is_set():
            busy = False
            with _apart("legs"):
                busy = self.outbox.turn(side)
            stop.wait(0 if busy else POLL)

    def _census(self) -> None:
        if self._count is not None and time.monotonic() >= self._count_due:
            self._count_due = time.monotonic() + CENSUS
            self._count(self._store.census())

    def _drop(self) -> None:
        """A portion of what is past its time, and the next one soon while there is more."""
        if self._purge is not None and time.monotonic() >= self._purge_due:
            self._purge_due = time.monotonic() + PURGE  # also when it fails
            if self._purge.turn():
                self._purge_due = 0.0

    def turn(self) -> bool:
        """Publish at most one job, then look once for replies. True when a job was taken."""
        job = self._store.claim(self._name, LEASE)
        if job is not None:
            with _apart("publish", id=job.id):
                self._publish(job)
        self._collect()
        self._archive()
        with _apart("settle writes"):
            self._settle_writes()
        return job is not None

    def _publish(self, job: Job) -> None:
        try:
            outcome = self._submit(job)
        except LeaseLost:
            outcome = "lease lost"
        except NotReady:
            outcome = "store not ready"  # when the lease ends, whoever takes the job goes on from the step on record
        self._tell(job.id, job.operation, outcome, job.trace)

    def _submit(self, job: Job) -> str:
        try:
            operation, source = self._deferred(job)
            params = self._service.load(operation, Given(**self._store.params(job.id)))
            ticket = self._ticket(job, operation, source, params)
            self._service.quotas.spend_system(source.system, job.caller)
            with self._service.cache.changing(operation):
                self._adapter(source.system).submit(ticket, lambda step: self._store.step(job.id, self._name, step, LEASE))
        except NotReady:
            raise
        except OutcomeUnknown as error:
            return self._not_known(job, error)
        except Closed as error:  # it has its hours: the job waits for them, however long that is
            self._store.later(job.id, self._name, max(BACKOFF, min(error.retry_after or BACKOFF, LEASE)))
            return "later"
        except (Unavailable, DeadlineExceeded) as error:
            if time.time() + BACKOFF >= job.expect_by:
                return self._give_up(job, error)
            self._store.later(job.id, self._name, BACKOFF)
            return "later"
        except (AdapterError, RequestError) as error:
            return self._give_up(job, error)
        self._store.published(job.id, self._name)
        return "published"

    def _give_up(self, job: Job, error: AdapterError | RequestError) -> str:
        """`failed` only when it came to us untouched: what the worker before us did after its last step, no error of ours can tell."""
        if not job.untouched:
            return self._not_known(job, error)
        self._store.failed(job.id, self._name, _problem(error, job.trace))
        return "failed"

    def _not_known(self, job: Job, error: AdapterError | RequestError) -> str:
        self._store.unknown(job.id, self._name, _problem(error, job.trace), LOOK_AGAIN)
        return "unknown"

    def _settle_writes(self) -> None:
        """Writes of processes that died, and those of unknown outcome; at the start, and then every few seconds."""
        now = time.monotonic()
        if now >= self._writes_due:
            self._writes_due = now + SETTLE
            self._service.settling.turn(now)

    def _collect(self) -> None:
        """Look for replies, system by system. A reply is read by its batch id and its definition alone: nothing sealed is opened."""
        by_system: dict[str, list[tuple[Operation, Ticket]]] = defaultdict(list)
        for job in self._store.waiting():
            try:
                operation, source = self._deferred(job)
            except NoSuchThing:
                continue  # it may come back with the next catalogue
            by_system[source.system].append((operation, self._ticket(job, operation, source, {})))
        for system, waiting in by_system.items():
            with _apart("collect", system=system):
                self._look(system, waiting)

    def _look(self, system: str, waiting: Sequence[tuple[Operation, Ticket]]) -> None:
        operations = {ticket.id: operation for operation, ticket in waiting}
        for ticket, reply in self._adapter(system).collect([t for _, t in waiting], time.monotonic() + LEASE / 2):
            with _apart("settle", id=ticket.id):
                self._settle(ticket, operations[ticket.id], reply)

    def _settle(self, ticket: Ticket, operation: Operation, reply: Reply | AdapterError) -> None:
        """The answer is stored before the reply is cleared away: a crash between the two only repeats the clearing."""
        try:
            if isinstance(reply, AdapterError):
                raise reply
            self._store.replied(ticket.id, self._service.read_reply(operation, reply))
            outcome = "replied"
        except (AdapterError, Inadequate) as error:
            outcome = "failed"
            self._store.unusable(ticket.id, _problem(error, ticket.call.trace))
        self._service.cache.changed(operation)
        by = {} if isinstance(reply, AdapterError) else {"by": reply.by}
        self._tell(ticket.id, operation.name, outcome, ticket.call.trace, **by)

    def _tell(self, id: str, operation: str, outcome: str, trace: str, **by: str) -> None:
        """The log how a job fares, and the audit trail what was done at the back end."""
        log.get().info("job", id=id, operation=operation, outcome=outcome, request_id=trace)
        if outcome in ("published", "replied", "failed", "unknown"):
            self._service.audit.note("job", job=id, op=operation, outcome=outcome, request=trace, **by)

    def _archive(self) -> None:
        for job in self._store.unarchived():
            with _apart("archive", id=job.id):
                try:
                    operation, source = self._deferred(job)
                    self._adapter(source.system).archive(self._ticket(job, operation, source, {}), time.monotonic() + 10)
                except NoSuchThing:
                    pass  # nobody knows any more where it lies
                self._store.archived(job.id)

    def _deferred(self, job: Job) -> tuple[Operation, Source]:
        """Raises NoSuchThing when this catalogue does not have the job's endpoint."""
        operation = self._service.catalogue.operations.get(job.operation)
        if operation is None or operation.legacy is None or not operation.legacy.deferred:
            raise NoSuchThing(f"{job.operation} is not a deferred endpoint any more")
        return operation, operation.legacy

    def _adapter(self, system: str) -> Deferred:
        adapter: Adapter = self._adapters[system]
        assert isinstance(adapter, Deferred)
        return adapter

    def _ticket(self, job: Job, operation: Operation, source: Source, params: Mapping[str, Any]) -> Ticket:
        call = Call(operation.name, source.target, params, time.monotonic() + operation.deadline, job.trace, operation.effect)
        return Ticket(job.id, call, job.step)


@contextmanager
def _apart(event: str, **about: str) -> Iterator[None]:
    """Whatever goes wrong inside is logged and stays inside: one job's or one system's trouble is not the others'."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the worker outlives whatever one turn meets
        known = isinstance(error, AdapterError | RequestError)
        left_alone = isinstance(error, Closed | CircuitOpen)  # asked again every turn, and nothing new
        tell = log.get().debug if left_alone else log.get().warning if known else log.get().error
        tell(event, outcome=type(error).__name__, exc_info=not known, **about)


def _problem(error: AdapterError | RequestError, trace: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(problem(error, trace).body))
    return body
