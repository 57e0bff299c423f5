"""The job worker: publishes deferred calls, collects their replies, and survives its own death.

    accepted -> publishing -> published -> replied
                    |             `-> failed      the reply came and is unusable
                    |-> failed                    the back end has nothing of it
                    |-> unknown                   it can't be told whether it was published; settled by looking again, or by a reply
                    `-> poisoned                  three workers died of it

The jobs table is the truth. A step is recorded before the act, under a lease that the store checks: a worker that was thought dead
can't record a step any more, and one that takes over goes on from the step recorded or reports `unknown`, never again from the start.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from adapters.base import Adapter, Call, Deferred, Reply, Ticket
from adapters.errors import AdapterError, DeadlineExceeded, OutcomeUnknown, Unavailable
from wrapper import log
from wrapper.operation import Operation, Source
from wrapper.problems import Inadequate, RequestError, problem
from wrapper.request import Given
from wrapper.service import Adapters, Service
from wrapper.state.store import Job, LeaseLost, Store

LEASE = 60.0
POLL = 0.2
BACKOFF = 5.0
LOOK_AGAIN = 15.0


class Runner:
    """One worker. `run` until stopped; `turn` does what can be done now, which is what tests and `figway call` use."""

    def __init__(self, service: Service, adapters: Adapters, store: Store) -> None:
        self._service, self._adapters, self._store = service, adapters, store
        self._name = f"{os.getpid()}-{os.urandom(4).hex()}"

    def run(self, stop: threading.Event) -> None:
        """Turns until `stop` is set; an error of ours or of the store is logged and survived."""
        while not stop.is_set():
            try:
                busy = self.turn()
            except Exception as error:  # noqa: BLE001 - the worker outlives whatever one turn meets
                log.get().error("jobs", outcome=type(error).__name__, exc_info=not isinstance(error, RequestError))
                busy = False
            stop.wait(0 if busy else POLL)

    def turn(self) -> bool:
        """Publish at most one job, then look once for replies. True when a job was taken."""
        job = self._store.claim(self._name, LEASE)
        if job is not None:
            self._publish(job)
        self._collect()
        self._archive()
        return job is not None

    def _publish(self, job: Job) -> None:
        found = self._deferred(job)
        if found is None:
            self._store.failed(
                job.id, "failed", {"title": "The endpoint is gone", "detail": f"{job.operation} is not a deferred endpoint any more"}
            )
            return
        operation, source, adapter = found
        outcome = "published"
        try:
            adapter.submit(self._ticket(job, operation, source), lambda step: self._store.step(job.id, self._name, step, LEASE))
            self._store.published(job.id)
        except LeaseLost:
            outcome = "lease lost"
        except OutcomeUnknown as error:
            outcome = "unknown"
            self._store.unknown(job.id, self._name, _problem(error, job), LOOK_AGAIN)
        except (Unavailable, DeadlineExceeded) as error:
            outcome = self._put_off(job, error)
        except (AdapterError, RequestError) as error:
            outcome = "failed"
            self._store.failed(job.id, "failed", _problem(error, job))
        log.get().info("job", id=job.id, operation=job.operation, outcome=outcome, request_id=job.trace)

    def _put_off(self, job: Job, error: AdapterError) -> str:
        """The back end has nothing of it yet: later, until the reply itself would be overdue."""
        if time.time() + BACKOFF < job.expect_by:
            self._store.later(job.id, self._name, BACKOFF)
            return "later"
        self._store.failed(job.id, "failed", _problem(error, job))
        return "failed"

    def _collect(self) -> None:
        by_system: dict[str, list[tuple[Operation, Ticket]]] = defaultdict(list)
        for job in self._store.waiting():
            found = self._deferred(job)
            if found is not None:
                operation, source, _ = found
                by_system[source.system].append((operation, self._ticket(job, operation, source)))
        for system, waiting in by_system.items():
            try:
                self._look(system, waiting)
            except AdapterError as error:
                log.get().warning("collect", system=system, outcome=type(error).__name__)

    def _look(self, system: str, waiting: Sequence[tuple[Operation, Ticket]]) -> None:
        adapter = self._adapters[system]
        assert isinstance(adapter, Deferred)
        operations = {ticket.id: operation for operation, ticket in waiting}
        for ticket, reply in adapter.collect([t for _, t in waiting], time.monotonic() + LEASE / 2):
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
            self._store.failed(ticket.id, "failed", dict(problem(error, ticket.call.trace).body))
        log.get().info("job", id=ticket.id, operation=operation.name, outcome=outcome, request_id=ticket.call.trace)

    def _archive(self) -> None:
        for job in self._store.unarchived():
            found = self._deferred(job)
            if found is not None:
                operation, source, adapter = found
                try:
                    adapter.archive(self._ticket(job, operation, source), time.monotonic() + 10)
                except AdapterError as error:
                    log.get().warning("archive", id=job.id, outcome=type(error).__name__)
                    continue
            self._store.archived(job.id)

    def _deferred(self, job: Job) -> tuple[Operation, Source, Deferred] | None:
        operation = self._service.catalogue.operations.get(job.operation)
        if operation is None or operation.legacy is None or not operation.legacy.deferred:
            return None
        adapter: Adapter = self._adapters[operation.legacy.system]
        assert isinstance(adapter, Deferred)
        return operation, operation.legacy, adapter

    def _ticket(self, job: Job, operation: Operation, source: Source) -> Ticket:
        params = self._service.load(operation, _given(job.params))
        call = Call(operation.name, source.target, params, time.monotonic() + operation.deadline, job.trace, operation.effect)
        return Ticket(job.id, call, job.step)


def _given(stored: Mapping[str, Any]) -> Given:
    return Given(**{place: dict(stored[place]) for place in ("path", "query", "header", "body")})


def _problem(error: AdapterError | RequestError, job: Job) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(problem(error, job.trace).body))
    return body
