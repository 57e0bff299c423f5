"""Writes happen once: reserved under the caller's Idempotency-Key before anything is sent, settled by what came of it.

    new        ours to do                      done      the first answer again, or the job's present state
    in_flight  409: somebody is doing it       unknown   504: it was sent, nobody knows; never sent again under this key
    mismatch   422: the key was used for another request

A write that failed before anything could happen gives its key back, so that the caller may try again. Answers are kept as they came,
unmasked: the service masks them for whoever asks, each time anew.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown
from wrapper import log
from wrapper.operation import Operation, Source
from wrapper.policy.keys import Caller
from wrapper.problems import InFlight, Invalid, NotReady, RequestError
from wrapper.request import Answer, Given, Request
from wrapper.state.records import Job, WriteId
from wrapper.state.store import Store

GRACE = 30.0  # seconds a reservation outlives its deadline before it counts as a dead process's
FINAL = ("replied", "failed", "poisoned")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class Write:
    """A reserved write; leaving the block settles it by how it ended."""

    def __init__(self, store: Store, id: WriteId) -> None:
        self._store, self.id = store, id

    def __enter__(self) -> Write:
        return self

    def done(self, answer: Answer) -> Answer:
        """Keep the answer for replays. The write has happened: a store that fails now must not turn it into an error.

        The reservation stays behind then, and a repeat hears that the outcome is unknown.
        """
        try:
            self._store.settle(self.id, {"status": answer.status, "body": answer.body})
        except NotReady:
            log.get().warning("write", operation=self.id.operation, outcome="answered, but not kept")
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The caller hears what became of the write, even when the store can't note it: a reservation left behind counts as unknown."""
        if error is None:
            return
        with suppress(RequestError):
            if isinstance(error, AdapterError) and not isinstance(error, OutcomeUnknown):
                self._store.release(self.id)
            else:
                self._store.settle_unknown(self.id)


class Writes:
    """Reserves writes and turns deferred ones into jobs. At most `waiters` callers wait for a job's answer at once: each holds a thread."""

    def __init__(self, store: Store, waiters: int) -> None:
        self._store = store
        self._places = threading.BoundedSemaphore(waiters)

    def begin(self, operation: Operation, caller: Caller, key: str | None, given: Given, deadline: float) -> Write | Answer:
        """A Write to do now, or the answer of the one that was done before. Raises RequestError or OutcomeUnknown."""
        if key is None or not _KEY.fullmatch(key):
            raise RequestError(
                "a write needs the header Idempotency-Key: 1 to 255 visible characters, a new one for each write, the same for a repeat"
            )
        id = WriteId(caller.name, operation.name, key)
        known = self._store.reserve(id, asdict(given), deadline - time.monotonic() + GRACE)
        match known.state:
            case "new":
                return Write(self._store, id)
            case "in_flight":
                raise InFlight("a request with this Idempotency-Key is being served; ask again when it has ended")
            case "mismatch":
                raise Invalid("this Idempotency-Key was used for another request; use a new key for a new write")
            case "unknown":
                raise OutcomeUnknown("this write was sent before and its outcome is unknown; look before you write again under a new key")
        replayed = {"Idempotency-Replayed": "true"}
        if known.job is not None:
            return self.job_answer(self._job(known.job), replayed)
        return Answer(known.answer["status"], known.answer["body"], replayed)

    def defer(self, write: Write, source: Source, request: Request) -> Answer:
        """202 with a job, or the job's answer when it comes within the caller's `wait` and there is a place to wait in."""
        accepted = self._accepted(write, source, request)
        try:
            job = self._waited(accepted, request.wait)
            applied = {"Preference-Applied": f"wait={request.wait:g}"} if request.wait and job.state in FINAL else {}
            return self.job_answer(job, applied)
        except NotReady:
            return self.job_answer(accepted, {})  # it is accepted, whatever the store does now

    def _accepted(self, write: Write, source: Source, request: Request) -> Job:
        """The key is given back unless the store has the job, which it knows even when it could not say so."""
        try:
            while True:  # ends: an id is drawn again only when the store has it
                job = self._store.add_job(write.id, job_id(), asdict(request.given), request.trace, source.expect_within)
                if job is not None:
                    return job
        except BaseException:
            with suppress(RequestError):
                self._store.release(write.id)
            raise

    def _waited(self, job: Job, seconds: float) -> Job:
        """The job when it is final, or when the time is over; as it is when all places are taken."""
        until = time.monotonic() + seconds
        if seconds and self._places.acquire(blocking=False):
            try:
                while time.monotonic() < until and job.state not in FINAL:
                    time.sleep(0.05)
                    job = self._job(job.id)
            finally:
                self._places.release()
        return job

    def job(self, id: str, caller: Caller) -> Answer | None:
        """A job for its own caller; None for anybody else."""
        job = self._store.job(id)
        return None if job is None or job.caller != caller.name else self.job_answer(job, {}, pending=200)

    def _job(self, id: str) -> Job:
        job = self._store.job(id)
        assert job is not None, "jobs are never deleted"
        return job

    def job_answer(self, job: Job, headers: Mapping[str, str], pending: int = 202) -> Answer:
        """The job's answer once there is one, else its state. `overdue` says that the reply should have come."""
        about: dict[str, Any] = {
            "id": job.id, "state": job.state, "operation": job.operation, "created": _iso(job.created), "updated": _iso(job.updated),
        }  # fmt: skip
        if job.state not in FINAL and time.time() > job.expect_by:
            about["overdue"] = True
        if job.error is not None:
            about["problem"] = job.error
        body = self._store.answer(job.id) if job.state == "replied" else {"data": None, "score": None, "meta": {}}
        status = 200 if job.state == "replied" else pending
        waiting = {"Retry-After": "2"} if job.state not in FINAL else {}
        return Answer(status, {**body, "meta": {**body["meta"], "job": about}}, {"Location": f"/jobs/{job.id}", **waiting, **headers})


def job_id() -> str:
    """12 characters A-Z and digits: the date and 30 random bits. It is the batch id in files and records: the store takes none twice."""
    return time.strftime("%y%m%d", time.gmtime()) + base64.b32encode(secrets.token_bytes(5)).decode()[:6]


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
