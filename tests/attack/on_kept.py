"""What one caller leaves for the next: cached rows, questions under way, entity tags; and fields that are masked."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fixtures.modern import Differences
from tests.attack.parts import Attack, Seen, Site, control
from tests.attack.served import A, B, Target

KEPT = """
endpoint: kept.accounts
summary: The account list as the new service has it, kept for a minute
owner: retail-core
group: kept
route: GET /v1/kept/{customer_id}/accounts
auth: {scope: accounts:read, object: {customer_id: "claim:customer"}}
effect: read
request:
  customer_id: {in: path, type: string, pattern: "[0-9]{10}"}
  kind: {in: query, type: string, optional: true, one_of: [current, savings, loan]}
response:
  items:
    account: {type: string, key: true, pii: account_number, mask: last4}
    kind: {type: string, one_of: [current, savings, loan]}
    opened: {type: date, optional: true}
    balance: {type: decimal, currency: GBP, optional: true}
legacy: {system: accounts-api, path: "/customers/{customer_id}/accounts", query: {kind: "{kind}"}}
limits: {deadline: 5s, cache: {ttl: 60s}}
examples:
  - {request: {customer_id: "0000012345"}, expect: {status: 200}}
"""
SITE = Site("kept", files={"endpoints/kept.accounts.yaml": KEPT})
MASKED = control("masks", ("wrapper.policy.mask", "if data is None or (mask := self.of(caller)) is None:", "if True:"))
KEYED = control("a kept answer is of its question", ("wrapper.cache", "repr(sorted(params.items()))", "0"))
BYPASS = control("who may go past the cache", ("wrapper.service", "request.fresh and BYPASS in request.caller.scopes", "request.fresh"))
TAGGED = control(
    "a tag is of what its caller sees",
    ("wrapper.http", "hashlib.blake2b(body, digest_size=12)", "hashlib.blake2b(request.path.encode(), digest_size=12)"),
)
TWICE = control("a name once", ("wrapper.http", "if twice:", "if False:"))
PATH = "GET /v1/kept/{}/accounts"


def accounts(target: Target, customer: str, key: str, **headers: str) -> list[str]:
    answer = target.ask(PATH.format(customer), key=key, headers=headers)
    return [row["account"] for row in answer.body["data"]] if answer.status == 200 else [str(answer.status)]


def clear(key: str, before: str = "") -> Callable[[Target], Seen]:
    """Got when account numbers come whole; `before`, somebody else has asked."""

    def act(target: Target) -> Seen:
        if before:
            accounts(target, A, before)
        shown = accounts(target, A, key)
        return Seen(shown[0].isdecimal() and len(shown[0]) > 4, str(shown[:2]))

    return act


def anothers(first: str, then: str) -> Callable[[Target], Seen]:
    """Bob asks about `first`, then Alice about `then`. Got when what she gets is what he got."""

    def act(target: Target) -> Seen:
        his = accounts(target, first, "bob" if first == B else "alice")
        hers = accounts(target, then, "alice")
        return Seen(his == hers, f"{hers[:2]}")

    return act


def together(customers: tuple[str, str]) -> Callable[[Target], Seen]:
    """Two ask at once while the service is slow. Got when both are given the same."""

    def act(target: Target) -> Seen:
        target.estate.modern.differences = Differences(latency=0.5)
        try:
            with ThreadPoolExecutor(2) as threads:
                his = threads.submit(accounts, target, customers[0], "auditor")
                time.sleep(0.1)
                hers = threads.submit(accounts, target, customers[1], "auditor")
                return Seen(his.result() == hers.result() != [], f"{hers.result()[:2]}")
        finally:
            target.estate.modern.differences = Differences()

    return act


def floods(key: str) -> Callable[[Target], Seen]:
    """Got when each of five questions reaches the back end."""

    def act(target: Target) -> Seen:
        accounts(target, A, key)
        before = target.estate.modern.requests
        for _ in range(5):
            accounts(target, A, key, **{"Cache-Control": "no-cache"})
        asked = target.estate.modern.requests - before
        return Seen(asked == 5, f"the back end was asked {asked} times")

    return act


def not_modified(key: str) -> Callable[[Target], Seen]:
    """The tag of what an auditor sees, unmasked. Got when it is good for this caller."""

    def act(target: Target) -> Seen:
        tag = target.ask(PATH.format(A), key="auditor").headers["etag"]
        return Seen((met := target.ask(PATH.format(A), key=key, headers={"If-None-Match": tag})).status == 304, str(met.status))

    return act


def queried(query: str) -> Callable[[Target], Seen]:
    """A name twice: one part reads the first, another the last. Got when it is answered."""

    def act(target: Target) -> Seen:
        answer = target.ask(f"{PATH.format(A)}?{query}", key="alice")
        return Seen(answer.status == 200, f"{answer.status}")

    return act


def _attack(name: str, family: str, by: Any, attack: Any, twin: Any) -> Attack:
    return Attack(name, family, by, attack, twin, SITE)


ATTACKS = (
    _attack("mask.account_numbers", "masks", MASKED, clear("alice"), clear("auditor")),
    _attack("mask.after_an_auditor_asked", "masks", MASKED, clear("alice", before="auditor"), clear("auditor", before="alice")),
    _attack("cache.of_another_customer", "cache", KEYED, anothers(B, A), anothers(A, A)),
    _attack("cache.asked_together", "cache", KEYED, together(("0000010002", "0000010004")), together(("0000010005", "0000010005"))),
    _attack("cache.bypass", "cache", BYPASS, floods("alice"), floods("tester")),
    _attack("cache.tag_of_another_view", "cache", TAGGED, not_modified("alice"), not_modified("auditor")),
    _attack("query.kind_twice", "bodies", TWICE, queried("kind=loan&kind=current"), queried("kind=loan")),
    _attack("query.kind_twice_encoded", "bodies", TWICE, queried("kind=loan&%6bind=current"), queried("%6bind=loan")),
)
