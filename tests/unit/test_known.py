"""A caller is remembered for seconds, and for longer only while the store can't be read."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fixtures.issuer import signer, token
from wrapper.access import Issuer
from wrapper.policy import keys
from wrapper.policy.keys import Caller, KeyRow
from wrapper.policy.known import FRESH, LAST, Known
from wrapper.policy.roles import ROLES
from wrapper.policy.tokens import Tokens
from wrapper.problems import NotReady, RequestError, Unauthenticated


@dataclass
class Rows:
    """Where keys are kept; it counts who asks."""

    rows: dict[str, KeyRow] = field(default_factory=dict)
    asked: int = 0
    down: bool = False

    def key(self, id: str) -> KeyRow | None:
        self.asked += 1
        if self.down:
            raise NotReady("the state store can't be used")
        return self.rows.get(id)


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def made() -> tuple[Rows, Clock, Known, str]:
    token, row = keys.new(Caller("alice"))
    store, clock = Rows({row.id: row}), Clock()
    return store, clock, Known(store, clock=clock), f"Bearer {token}"


def test_the_store_is_asked_once_in_a_while(made: tuple[Rows, Clock, Known, str]) -> None:
    store, clock, known, sent = made
    assert {known.caller(sent).name for _ in range(10)} == {"alice"}
    assert store.asked == 1
    clock.now += FRESH
    assert known.caller(sent).name == "alice"
    assert store.asked == 2


def test_a_revoked_key_is_refused_after_the_fresh_time_at_the_latest(made: tuple[Rows, Clock, Known, str]) -> None:
    store, clock, known, sent = made
    known.caller(sent)
    store.rows = {id: replace(row, revoked=True) for id, row in store.rows.items()}
    clock.now += FRESH
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            known.caller(sent)
    store.down = True  # and is not known from before when the store goes down then
    with pytest.raises(NotReady):
        known.caller(sent)


def test_what_is_not_a_valid_key_is_never_remembered(made: tuple[Rows, Clock, Known, str]) -> None:
    _, _, known, sent = made
    for wrong in (None, "", "Basic eA==", sent[:-1] + "é", sent[:-2] + "__", f"{sent},{sent}"):
        for _ in range(2):
            with pytest.raises((Unauthenticated, RequestError)):
                known.caller(wrong)
    assert known.caller(sent).name == "alice"


def test_while_the_store_is_down_the_last_known_caller_is_taken_for_a_while(made: tuple[Rows, Clock, Known, str]) -> None:
    store, clock, known, sent = made
    known.caller(sent)
    store.down = True
    clock.now += LAST - 1
    assert known.caller(sent).name == "alice"
    asked = store.asked
    assert known.caller(sent).name == "alice"
    assert store.asked == asked  # a store that times out costs its time-out seldom
    clock.now += FRESH
    with pytest.raises(NotReady):
        known.caller(sent)
    with pytest.raises(NotReady):
        known.caller("Bearer fw_0123456789ab_" + "x" * 43)


def test_all_spellings_of_a_key_are_one(made: tuple[Rows, Clock, Known, str]) -> None:
    store, _, known, sent = made
    key = sent.partition(" ")[2]
    assert {known.caller(f"{scheme} {' ' * n}{key} ").name for scheme in ("Bearer", "bearer", "BEARER") for n in range(5)} == {"alice"}
    assert store.asked == 1
    with pytest.raises(Unauthenticated):
        known.caller(f"Basic {key}")


def test_a_key_is_refused_from_the_moment_it_expires_also_while_it_is_remembered() -> None:
    key, row = keys.new(Caller("alice"))
    store, clock, wall = Rows({row.id: replace(row, expires=5002.0)}), Clock(), Clock(5000.0)
    known = Known(store, clock=clock, wall=wall)
    assert known.caller(f"Bearer {key}").name == "alice"
    for now in (clock, wall):
        now.now += 2
    with pytest.raises(Unauthenticated):
        known.caller(f"Bearer {key}")
    store.down = True  # nor is it taken for want of a store
    with pytest.raises(NotReady):
        known.caller(f"Bearer {key}")


def test_a_token_is_not_remembered_past_its_end_and_is_good_until_then() -> None:
    by, clock, wall = signer(), Clock(), Clock(5000.0)
    shown = [by.jwk()]
    tokens = Tokens([(Issuer("sso", "https://sso", "", "figway"), lambda: json.dumps({"keys": shown}).encode())], wall)
    known = Known(Rows(), tokens, clock=clock, wall=wall)
    claims = {"iss": "https://sso", "aud": "figway", "sub": "alice", "client_id": "ui"}
    sent = f"Bearer {token(by, {**claims, 'exp': 5003})}"
    assert known.caller(sent).name == "sso:alice"
    for seconds in (2.9, 0.1):
        assert known.caller(sent).name == "sso:alice"
        for now in (clock, wall):
            now.now += seconds
    with pytest.raises(Unauthenticated):
        known.caller(sent)


def test_the_memory_is_bounded_and_forgets_who_was_vouched_for_longest_ago() -> None:
    made = [keys.new(Caller(f"caller-{n}")) for n in range(4)]
    store = Rows({row.id: row for _, row in made})
    known = Known(store, clock=Clock(), most=3)
    sent = [f"Bearer {key}" for key, _ in made]
    for one in sent:
        known.caller(one)
    asked = store.asked
    for one in reversed(sent[1:]):
        known.caller(one)
    assert store.asked == asked
    known.caller(sent[0])
    assert store.asked == asked + 1


def test_roles_are_the_scopes_that_they_stand_for() -> None:
    key, row = keys.new(Caller("alice", frozenset({"role:viewer", "role:nobody", "a:read"})))
    caller = Known(Rows({row.id: row})).caller(f"Bearer {key}")
    assert caller.scopes == {"role:viewer", "role:nobody", "a:read", "health:read", "migration:read"}


def test_no_role_both_changes_a_stage_and_approves_it_or_sees_personal_values() -> None:
    for name, scopes in ROLES.items():
        assert not {"migration:change", "migration:approve"} <= scopes, name
        assert not {"pii:read", "pii:reveal"} & scopes, name


def test_the_documentation_says_what_each_role_may() -> None:
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
    told = {}
    for name in ROLES:
        row = re.search(rf"^\| `{name}` \| (.*) \|$", page, re.MULTILINE)
        assert row is not None
        told[name] = frozenset(re.findall(r"`([^`]+)`", row[1])) | (ROLES["viewer"] if "those of a viewer" in row[1] else frozenset())
    assert told == ROLES


def test_many_callers_at_once_are_each_taken_for_themselves() -> None:
    made = [keys.new(Caller(f"caller-{n}")) for n in range(20)]
    known = Known(Rows({row.id: row for _, row in made}), most=5)

    def ask(n: int) -> bool:
        return all(known.caller(f"Bearer {made[(n + k) % 20][0]}").name == f"caller-{(n + k) % 20}" for k in range(200))

    with ThreadPoolExecutor(8) as crowd:
        assert all(crowd.map(ask, range(16)))
