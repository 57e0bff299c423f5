"""Who asks for what: no credential, scopes that one has not, purposes that one only states, other people's customers, sides and systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.attack.parts import DEMO, Attack, Control, Seen, control
from tests.attack.served import A, B, Target, unique

KEYS = "wrapper.policy.keys"
SCOPE = control("scope", (KEYS, "if scope not in caller.scopes:", "if False:"))
PURPOSE = control(
    "a purpose is the caller's", (KEYS, "if not caller.purposes:", "if False:"), (KEYS, "if stated not in caller.purposes:", "if False:")
)
SUITABLE = control("a purpose is the endpoint's", (KEYS, "if stated not in auth.purposes:", "if False:"))
OBJECT = control("the caller's own customer", ("wrapper.policy.objects", "if not may(caller, value, params):", "if False:"))
SECRET = control("the key's secret", (KEYS, "if not hmac.compare_digest(row.digest, hashed(found[2])):", "if False:"))

INCOME, CREDIT, APPLICATION, ACCOUNTS = (
    "/v1/customers/{}/income",
    "/v1/credit/EJ100000A",
    "/v1/customers/{}/application",
    "/v1/customers/{}/accounts",
)
PAYMENT = {"payments": [{"debtor": "000100010001", "creditor": "000123450001", "amount": "25.00", "due": "2026-12-01"}]}
MOVE = {"line1": "1 EVIL ROAD", "town": "LEEDS", "postcode": "LS1 4DY"}


def gets(path: str, key: str | None, data: bool = True, **headers: str) -> Callable[[Target], Seen]:
    """Got when there are data in the answer."""

    def act(target: Target) -> Seen:
        answer = target.ask(f"GET {path}", key=key, headers={name.replace("_", "-"): value for name, value in headers.items()})
        return Seen(
            answer.status == 200 and bool(answer.body.get("data", True) if data else answer.content),
            f"{answer.status} {answer.content[:60]!r}",
        )

    return act


def pays(key: str) -> Callable[[Target], Seen]:
    def act(target: Target) -> Seen:
        answer = target.ask("POST /v1/payments", key=key, body=PAYMENT, headers={"Idempotency-Key": unique()})
        return Seen(answer.status in (200, 202), f"{answer.status} {answer.content[:60]!r}")

    return act


def moves(key: str, customer: str) -> Callable[[Target], Seen]:
    """Got when the host has a new address for the customer."""

    def act(target: Target) -> Seen:
        before = target.estate.host.journal.count("commit")
        answer = target.ask(f"PUT /v1/customers/{customer}/address", key=key, body=MOVE, headers={"Idempotency-Key": unique()})
        return Seen(target.estate.host.journal.count("commit") > before, f"{answer.status} {answer.content[:60]!r}")

    return act


def guessed(key: str, change: Callable[[str], str]) -> Callable[[Target], Seen]:
    """A key of which the public part is known."""

    def act(target: Target) -> Seen:
        answer = target.ask(f"GET {INCOME.format(A)}", key=None, headers={"Authorization": f"Bearer {change(target.key(key))}"})
        return Seen(answer.status == 200, f"{answer.status} {answer.content[:60]!r}")

    return act


def side(key: str, wanted: str) -> Callable[[Target], Seen]:
    """Got when the side answers that the caller names."""

    def act(target: Target) -> Seen:
        answer = target.ask(f"GET {ACCOUNTS.format(A)}", key=key, headers={"Figway-Side": wanted})
        sides = [source["side"] for source in answer.body.get("meta", {}).get("sources", ())]
        return Seen(sides == [wanted], f"{answer.status} {sides}")

    return act


def _scope(name: str, attack: Any, twin: Any) -> Attack:
    return Attack(name, "scopes", SCOPE, attack, twin, DEMO)


def _object(name: str, attack: Any, twin: Any, by: Control = OBJECT) -> Attack:
    return Attack(name, "objects", by, attack, twin, DEMO)


own = gets(INCOME.format(A), "alice")
ATTACKS = (
    _scope("scope.income", gets(INCOME.format(A), "nothing"), own),
    _scope("scope.accounts", gets(ACCOUNTS.format(A), "nothing"), gets(ACCOUNTS.format(A), "alice")),
    _scope("scope.credit", gets(CREDIT, "nothing"), gets(CREDIT, "alice")),
    _scope("scope.application", gets(APPLICATION.format(A), "nothing"), gets(APPLICATION.format(A), "alice")),
    _scope("scope.read_only_pays", pays("auditor"), pays("alice")),
    _scope("scope.read_only_moves", moves("auditor", A), moves("alice", A)),
    _scope("scope.admin_reads_customers", gets(INCOME.format(A), "changer", Figway_Purpose="credit-risk"), own),
    Attack(
        "scope.systems",
        "scopes",
        SCOPE,
        gets("/health/systems", "alice", data=False),
        gets("/health/systems", "changer", data=False),
        DEMO,
    ),
    Attack(
        "purpose.by_bare_header",
        "purposes",
        PURPOSE,
        gets(CREDIT, "aimless", Figway_Purpose="credit-risk"),
        gets(CREDIT, "alice", Figway_Purpose="credit-risk"),
        DEMO,
    ),
    Attack(
        "purpose.of_somebody_else", "purposes", PURPOSE, gets(CREDIT, "servant", Figway_Purpose="credit-risk"), gets(CREDIT, "alice"), DEMO
    ),
    Attack("purpose.not_of_the_endpoint", "purposes", SUITABLE, gets(CREDIT, "servant"), gets(INCOME.format(A), "servant"), DEMO),
    Attack(
        "purpose.stated_wrongly",
        "purposes",
        SUITABLE,
        gets(APPLICATION.format(A), "servant", Figway_Purpose="servicing"),
        gets(INCOME.format(A), "servant", Figway_Purpose="servicing"),
        DEMO,
    ),
    _object("object.income", gets(INCOME.format(B), "alice"), own),
    _object("object.accounts", gets(ACCOUNTS.format(B), "alice"), gets(ACCOUNTS.format(B), "bob")),
    _object("object.application", gets(APPLICATION.format(A), "bob"), gets(APPLICATION.format(B), "bob")),
    _object("object.risk_of_another", gets(f"/v1/customers/{A}/risk", "bob"), gets(f"/v1/customers/{A}/risk", "alice")),
    _object("object.address_of_another", moves("bob", A), moves("bob", B)),
    Attack("key.other_secret", "keys", SECRET, guessed("alice", lambda key: key[:16] + "A" * 43), guessed("alice", str), DEMO),
    Attack(
        "key.anothers_secret",
        "keys",
        SECRET,
        guessed("alice", lambda key: key[:16] + "b" * 43),
        guessed("alice", lambda key: f" {key} ".rstrip()),
        DEMO,
    ),
    Attack("side.without_the_scope", "testers", SCOPE, side("alice", "modern"), side("tester", "modern"), DEMO),
)
