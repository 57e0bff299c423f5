"""A caller is remembered for seconds, and for longer only while the store can't be read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from wrapper.policy import keys
from wrapper.policy.keys import Caller, KeyRow
from wrapper.policy.known import FRESH, LAST, Known
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
