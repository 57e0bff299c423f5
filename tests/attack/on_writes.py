"""Other people's jobs and idempotency keys: across callers, and across tenants whose callers have one name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.attack.on_callers import PAYMENT
from tests.attack.parts import DEMO, Attack, Control, Seen, control
from tests.attack.served import Target, unique

WRITES = "wrapper.writes"
JOB = control(
    "a job is its caller's",
    (WRITES, "return None if job is None or job.caller != caller.principal else", "return None if job is None else"),
)
OWN = control("an idempotency key is its caller's", (WRITES, "WriteId(request.caller.principal,", 'WriteId("anybody",'))
TENANT = control(
    "a tenant's name is part of who one is",
    ("wrapper.policy.keys", 'return f"{self.tenant}/{self.name}" if self.tenant else self.name', "return self.name"),
)


def pay(target: Target, caller: str, key: str, amount: str = "25.00") -> Any:
    payment = {**PAYMENT["payments"][0], "amount": amount}
    return target.ask("POST /v1/payments", key=caller, body={"payments": [payment]}, headers={"Idempotency-Key": key})


def job(answer: Any) -> str:
    return str(answer.body["meta"]["job"]["id"])


def reads(owner: str, reader: str) -> Callable[[Target], Seen]:
    """Got when `reader` is told of a job of `owner`."""

    def act(target: Target) -> Seen:
        made = job(pay(target, owner, unique()))
        told = target.ask(f"GET /jobs/{made}", key=reader)
        return Seen(told.status == 200 and job(told) == made, f"{told.status} {told.content[:60]!r}")

    return act


def replays(owner: str, other: str) -> Callable[[Target], Seen]:
    """Got when `other`, sending what `owner` sent under the same key, is given the owner's job."""

    def act(target: Target) -> Seen:
        key = unique()
        made, again = job(pay(target, owner, key)), pay(target, other, key)
        return Seen(job(again) == made, f"{again.status} {job(again)}, first {made}")

    return act


def blocks(owner: str, other: str, wanted: int = 422) -> Callable[[Target], Seen]:
    """Got when a key that `owner` has used keeps `other` from a write of their own."""

    def act(target: Target) -> Seen:
        key = unique()
        pay(target, owner, key)
        met = pay(target, other, key, "9.00")
        return Seen(met.status == wanted, f"{met.status}")

    return act


def _two(name: str, by: Control, act: Any, owner: str = "alice", other: str = "bob") -> Attack:
    return Attack(name, "jobs and keys", by, act(owner, other), act(owner, owner), DEMO)


ATTACKS = (
    _two("job.of_another", JOB, reads),
    _two("job.of_another_tenant", TENANT, reads, "north/app", "south/app"),
    _two("key.replay_of_another", OWN, replays),
    _two("key.replay_of_another_tenant", TENANT, replays, "north/app", "south/app"),
    _two("key.taken_by_another", OWN, blocks),
    _two("key.taken_by_another_tenant", TENANT, blocks, "north/app", "south/app"),
)
