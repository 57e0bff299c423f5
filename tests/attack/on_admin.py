"""The admin API of migration: looks, moves and the kill switch, by callers who have the scope of something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.attack.on_callers import SCOPE
from tests.attack.parts import DEMO, Attack, Seen, control
from tests.attack.served import A, B, Target

OBJECT = control("a sweep's own customers", ("wrapper.migrate_api", "service.authorise_object[operation.name](who, loaded)", "pass"))


def does(request: str, key: str, body: Any = None, wanted: int = 200) -> Callable[[Target], Seen]:
    """Got when it is done, or told."""

    def act(target: Target) -> Seen:
        answer = target.ask(request, key=key, body=body)
        return Seen(answer.status == wanted, f"{answer.status} {answer.content[:70]!r}")

    return act


def compares(customer: str) -> Callable[[Target], Seen]:
    return does("POST /migration/accounts.list/compare", "sweeper", {"params": {"customer_id": customer}})


def _scope(name: str, request: str, who: str, rightly: str, body: Any = None) -> Attack:
    return Attack(f"admin.{name}", "admin", SCOPE, does(request, who, body), does(request, rightly, body), DEMO)


WHY = {"why": "an attack"}
ATTACKS = (
    _scope("looks_without_scope", "GET /migration", "alice", "second"),
    _scope("samples_by_a_changer", "GET /migration/accounts.list/samples", "changer", "auditor"),
    _scope("kill_by_a_caller", "POST /migration/payments.create/kill", "alice", "changer", WHY),
    _scope("kill_of_all_by_a_reader", "POST /migration/kill", "auditor", "changer", WHY),
    _scope("kill_by_an_approver", "POST /migration/accounts.list/kill", "second", "changer", WHY),
    Attack("admin.sweep_of_another_customer", "admin", OBJECT, compares(A), compares(B), DEMO),
)
