"""Writes happen once: reserved under the caller's Idempotency-Key before anything is sent, settled by what came of it.

    new        ours to do                      done      the first answer again, or the job's present state
    in_flight  409: somebody is doing it       unknown   settled by asking (settle.py) if that can be; else 504, and never sent again
    mismatch   422: the key was used for another request

Where the back end itself takes an idempotency key, an unknown write is sent again under it when its caller asks again, as long as no later
write of that record has begun.

A write that failed before anything could happen gives its key back, so that the caller may try again. What the store can't be told
afterwards is told late (late.py). Answers are kept as they came, unmasked: the service masks them for whoever asks, each time anew.
"""

from __future__ import annotations

import base64
import re
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown, Unavailable
from wrapper.late import Late
from wrapper.operation import Operation, Side, Source
from wrapper.policy.keys import Caller
from wrapper.problems import InFlight, Invalid, NotKept, NotReady, RequestError
from wrapper.request import Answer, Request, Terms
from wrapper.settle import GRACE, Settling, again, over
from wrapper.state.clock import me
from wrapper.state.records import Job, Reservation, WriteId
from wrapper.state.store import Store
from wrapper.units import iso

FINAL = ("replied", "failed", "poisoned")
_KEY = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)


class Write:
    """A reserved write; leaving the block settles it by how it ended."""

    def __init__(self, store: Store, late: Late, id: WriteId, again: bool = False) -> None:
        """`again`: it was sent before, under the same key, and nobody knows what came of that."""
        self._store, self._late, self.id, self._again = store, late, id, again

    def __enter__(self) -> Write:
        return self

    def act(self, intent: Mapping[str, Any] | None) -> None:
        """Note, right before the act, what a settler must know. Raises Unavailable when that can't be: then there is no act."""
        try:
            if intent is not None:
                self._store.intend(self.id, intent)
        except NotReady as error:
            refused = Unavailable(f"nothing was sent: {error.detail}")
            refused.spoils = False
            raise refused from error

    def done(self, answer: Answer) -> Answer:
        """Keep the answer for replays. The write has happened: a store that fails now must not turn it into an error, and the caller
        is told that it is not on record yet."""
        if self._late.tell(partial(self._store.settle, self.id, {"status": answer.status, "body": answer.body})):
            return answer
        return replace(answer, body={**answer.body, "meta": {**answer.body["meta"], "audit": "pending"}})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """The caller hears what became of the write, even when the store can't note it now. By the time anything was sent, a
        RequestError has become an OutcomeUnknown."""
        if error is not None:
            nothing = isinstance(error, AdapterError | RequestError) and not isinstance(error, OutcomeUnknown)
            self._late.tell(partial(self._store.release if nothing and not self._again else self._store.settle_unknown, self.id))
            if nothing and self._again:  # what it was this time says nothing of the first one
                raise OutcomeUnknown(
                    "this write was sent before and its outcome is unknown yet; the same request again may tell"
                ) from error


class Writes:
    """Reserves writes and turns deferred ones into jobs. At most `waiters` callers wait for a job's answer at once: each holds a thread."""

    def __init__(self, store: Store, waiters: int, late: Late, settling: Settling) -> None:
        self._store, self._late, self._settling = store, late, settling
        self._places = threading.BoundedSemaphore(waiters)

    def begin(self, operation: Operation, side: Side, request: Request, terms: Terms) -> Write | Answer:
        """A Write to do now at this side, or the answer of the one that was done before. Raises RequestError or OutcomeUnknown."""
        key = request.idempotency_key
        if key is None or not _KEY.fullmatch(key):
            raise RequestError(
                "a write needs the header Idempotency-Key: 1 to 255 visible characters, a new one for each write, the same for a repeat"
            )
        id = WriteId(request.caller.principal, operation.name, key, f"{me()}{secrets.token_hex(4)}")
        source = operation.source(side)
        noted = source is not None and (source.deferred or source.ask is not None)
        known = self._reserve(id, request, terms, noted)
        if self._settled(known, terms):
            known = self._reserve(id, request, terms, noted)
        match known.state:
            case "new":
                return Write(self._store, self._late, id)
            case "in_flight":
                raise InFlight("a request with this Idempotency-Key is being served; ask again when it has ended")
            case "mismatch":
                raise Invalid("this Idempotency-Key was used for another request; use a new key for a new write")
            case "unknown" if source is not None and repeatable(source) and self._store.retake(id, side, _seconds(terms)):
                return Write(self._store, self._late, id, again=True)
            case "unknown":
                if (left := known.unsettled) is not None and left.open and left.gone and not over(left):
                    raise InFlight("this write was cut short and is being settled; ask again", headers=again(left))
                hope = "; the same request again may tell" if left is not None and left.open else ""
                raise OutcomeUnknown(
                    f"this write was sent before and its outcome is unknown{hope}; look before you write again under a new key"
                )
        return self._replayed(known)

    def _replayed(self, known: Reservation) -> Answer:
        """What was answered the first time. Raises NotKept."""
        replayed = {"Idempotency-Replayed": "true"}
        if known.job is not None:
            return self.job_answer(self._job(known.job), replayed)
        if known.answer is None:
            raise NotKept("this write was done under this Idempotency-Key, and its answer is not kept any more; nothing was done again")
        return Answer(known.answer["status"], known.answer["body"], replayed)

    def reserved(self, id: WriteId) -> Write:
        """One of our own that is reserved already."""
        return Write(self._store, self._late, id)

    def _reserve(self, id: WriteId, request: Request, terms: Terms, noted: bool) -> Reservation:
        return self._store.reserve(id, asdict(request.given), _seconds(terms), noted, terms.subjects)

    def _settled(self, known: Reservation, terms: Terms) -> bool:
        """Whether more is known of it now. What keeps us from asking is not the caller's concern: for them the outcome is unknown."""
        with suppress(AdapterError, RequestError):
            half = terms.within((terms.deadline - time.monotonic()) / 2)
            return known.unsettled is not None and known.unsettled.open and self._settling.settle(known.unsettled, half) is not None
        return False

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
        return None if job is None or job.caller != caller.principal else self.job_answer(job, {}, pending=200)

    def _job(self, id: str) -> Job:
        job = self._store.job(id)
        assert job is not None, "jobs are never deleted"
        return job

    def job_answer(self, job: Job, headers: Mapping[str, str], pending: int = 202) -> Answer:
        """The job's answer once there is one, else its state. `overdue` says that the reply should have come."""
        about: dict[str, Any] = {
            "id": job.id, "state": job.state, "operation": job.operation, "created": iso(job.created), "updated": iso(job.updated),
        }  # fmt: skip
        if job.state not in FINAL and time.time() > job.expect_by:
            about["overdue"] = True
        if job.error is not None:
            about["problem"] = job.error
        body = self._store.answer(job.id) if job.state == "replied" else {"data": None, "score": None, "meta": {}}
        if body is None:
            raise NotKept("this job was answered, and its answer is not kept any more")
        status = 200 if job.state == "replied" else pending
        waiting = {"Retry-After": "2"} if job.state not in FINAL else {}
        return Answer(status, {**body, "meta": {**body["meta"], "job": about}}, {"Location": f"/jobs/{job.id}", **waiting, **headers})


def repeatable(source: Source) -> bool:
    """Whether the back end takes an idempotency key: then what is sent again under the same key is done once."""
    return bool(getattr(source.target, "idempotency", ""))


def _seconds(terms: Terms) -> float:
    """For how long a write is reserved."""
    return terms.deadline - time.monotonic() + GRACE


def job_id() -> str:
    """12 characters A-Z and digits: the date and 30 random bits. It is the batch id in files and records: the store takes none twice."""
    return time.strftime("%y%m%d", time.gmtime()) + base64.b32encode(secrets.token_bytes(5)).decode()[:6]
