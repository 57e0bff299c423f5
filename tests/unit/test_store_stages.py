"""Stages in the store: moves that nobody loses or makes twice, their history, and proposals, on either engine."""

from __future__ import annotations

import threading
from contextlib import closing
from decimal import Decimal

import pytest

from tests.unit.stores import Place, Time
from wrapper.migration.decide import Standing
from wrapper.migration.moves import Proposal
from wrapper.state.store import Store

SHADOW = Standing("shadow")
CANARY = Standing("canary", Decimal("0.015"), {"claims-ui": Decimal(1), "batch-recon": Decimal(0)})


def test_the_newest_move_of_an_endpoint_is_where_it_stands(store: Store) -> None:
    assert store.standings() == (0, {})
    assert store.move(["loans.get"], SHADOW, "ann", "begin")
    assert store.move(["loans.get"], CANARY, "ann", "parity is shown", second="bob", ticket="CHG-1", report="{}")
    number, standings = store.standings()
    assert number == store.stages_number() == 2
    assert list(standings) == ["loans.get"]
    move = standings["loans.get"]
    assert (move.number, move.standing, move.who, move.second, move.ticket, move.why) == (
        2, CANARY, "ann", "bob", "CHG-1", "parity is shown",
    )  # fmt: skip
    assert str(move.standing.share) == "0.015"
    assert [old.number for old in store.moves("loans.get")] == [2, 1]
    assert (store.report("loans.get", 2), store.report("loans.get", 1), store.report("loans.get", 3)) == ("{}", None, None)


def test_endpoints_are_moved_together_each_with_a_number_of_its_own(place: Place) -> None:
    with closing(place.open(Time().clock)) as store:
        assert store.move(["b"], SHADOW, "ann", "")
        assert store.move(["b", "a"], CANARY, "ann", "")
        assert store.stages_number() == 2
        assert {name: move.number for name, move in store.standings()[1].items()} == {"a": 1, "b": 2}
        assert [(move.endpoint, move.number) for move in store.moves(limit=2)] == [("a", 1), ("b", 2)]
        assert len(store.moves()) == 3


def test_a_move_on_another_standing_than_its_mover_saw_does_nothing(store: Store) -> None:
    assert not store.move(["a", "b"], SHADOW, "ann", "", expected={"a": 0, "b": 1})
    assert store.move(["a", "b"], SHADOW, "ann", "", expected={"a": 0, "b": 0})
    assert not store.move(["a"], CANARY, "bob", "", expected={"a": 0})
    assert store.stages_number() == 1
    assert [move.who for move in store.moves()] == ["ann", "ann"]


def test_of_many_who_move_at_once_one_does(place: Place) -> None:
    """Each has connections of its own, as another process or host has."""
    rounds, won = 6, []
    with closing(place.open()) as one, closing(place.open()) as two, closing(place.open()) as three:
        barrier = threading.Barrier(3)

        def go(store: Store, who: str) -> None:
            for number in range(rounds):
                barrier.wait(10)
                if store.move(["a", "b"], SHADOW, who, str(number), expected={"a": number}):
                    won.append((who, str(number)))

        threads = [threading.Thread(target=go, args=(store, str(n))) for n, store in enumerate((one, two, three))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert one.stages_number() == rounds
        for endpoint in "ab":
            assert [(move.who, move.why) for move in reversed(one.moves(endpoint))] == won
            assert [move.number for move in reversed(one.moves(endpoint))] == list(range(1, rounds + 1))


@pytest.mark.parametrize(
    ("family", "side", "state", "moves"),
    [
        *(("loans", "legacy", state, False) for state in ("pending", "owed", "failed", "unknown")),
        *(("loans", "legacy", state, True) for state in ("done", "settled")),
        ("loans", "modern", "pending", True),
        ("cards", "legacy", "owed", True),
    ],
)
def test_what_legacy_lacks_holds_a_move_back(store: Store, place: Place, family: str, side: str, state: str, moves: bool) -> None:
    place.said(
        "INSERT INTO legs (id, family, subject, operation, side, caller, key, owner, given, state, next_at, number, created)"
        f" VALUES ('L', '{family}', 's', 'o', '{side}', 'c', 'k', '', {given(place)}, '{state}', 0, 1, 0)"
    )
    assert store.move(["a"], SHADOW, "pilot", "errors", unless_owed="loans") is moves
    assert store.move(["a"], SHADOW, "pilot", "errors")
    assert store.stages_number() == 1 + moves


def given(place: Place) -> str:
    """No bytes, as either engine writes them."""
    return "x''" if place.url.startswith("sqlite") else "''"


def test_a_proposal_waits_until_it_is_withdrawn_replaced_or_carried_out(store: Store) -> None:
    first = Proposal("a", 5.0, CANARY, "ann", "CHG-1", "parity is shown")
    store.propose(first)
    store.propose(other := Proposal("b", 4.0, SHADOW, "ann", "", ""))
    assert store.proposals() == [other, first]
    assert store.proposal("a") == first
    again = Proposal("a", 6.0, SHADOW, "bob", "CHG-2", "less")
    store.propose(again)
    assert store.proposal("a") == again
    assert store.withdraw("b")
    assert not store.withdraw("b")
    assert not store.move(["a"], CANARY, "ann", "", second="bob", expected={"a": 1})
    assert store.proposal("a") == again  # nothing was moved
    assert store.move(["a"], CANARY, "ann", "", second="bob")
    assert store.proposals() == []
