"""What the embedded issuer keeps, on both engines: what may be used once is given once, and what is over is gone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.stores import Time, on_sqlite
from wrapper.policy.keys import Caller
from wrapper.problems import NotPossible
from wrapper.state.issuer import RETIRED, Client, Grant, Person
from wrapper.state.store import Store, restored

APP = Client(Caller("app", frozenset({"a:read"})), "none", redirects=("https://app.example/cb", "https://app.example/b"))
ANN = Person(Caller("ann", frozenset({"a:read"}), frozenset({"servicing"}), {"customer": frozenset({"1"})}, "north"), "hash")
GRANT = Grant("app", "ann", frozenset({"a:read"}), "https://app.example/cb", "challenge")


def wins(*tries: Callable[[], bool]) -> int:
    """How many of these that come at once are told yes."""
    told: list[bool] = []
    threads = [threading.Thread(target=lambda attempt=attempt: told.append(attempt())) for attempt in tries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(told) == len(tries)
    return sum(told)


def test_clients_and_people_are_kept_and_no_two_have_one_name(store: Store) -> None:
    store.add_client(APP)
    store.add_person(ANN)
    assert (store.client("app"), store.person("ann")) == (APP, ANN)
    assert (store.clients(), store.people()) == ([APP], [ANN])
    for again in (Caller("app"), Caller("ann")):
        with pytest.raises(NotPossible, match=again.name):
            store.add_client(Client(again, "none"))
        with pytest.raises(NotPossible, match=again.name):
            store.add_person(Person(again, "hash"))
    assert store.remove_client("app")
    assert not store.remove_client("app")
    assert store.client("app") is None


def test_a_code_is_redeemed_once_and_its_second_use_ends_what_it_began(store: Store) -> None:
    store.add_code("code", GRANT, 60)
    assert store.code("code") == GRANT
    assert wins(*(lambda n=n: store.redeem("code", f"family-{n}", "token", 600) for n in range(4))) == 1
    assert [store.family(f"family-{n}") for n in range(4)] == [None] * 4
    store.add_code("code", GRANT, 60)
    assert store.redeem("code", "family", "token", 600)
    kept = store.family("family")
    assert kept is not None
    assert (kept.client, kept.person, kept.scopes) == ("app", "ann", {"a:read"})
    assert store.code("code") is None
    assert store.family("family") is None


def test_of_a_family_one_refresh_token_is_good_and_any_other_ends_it(store: Store) -> None:
    store.add_code("code", GRANT, 60)
    assert store.redeem("code", "family", "1", 600)
    assert store.renew("family", "1", "2")
    assert store.renew("family", "2", "3")
    assert not store.renew("family", "1", "4")
    assert store.family("family") is None
    assert not store.renew("family", "3", "4")
    store.add_code("other", GRANT, 60)
    store.redeem("other", "family", "1", 600)
    assert wins(*(lambda n=n: store.renew("family", "1", f"next-{n}") for n in range(4))) == 1


@pytest.mark.parametrize("who", ["app", "ann"])
def test_who_is_removed_takes_along_what_was_given(store: Store, who: str) -> None:
    store.add_client(APP)
    store.add_person(ANN)
    store.add_code("open", GRANT, 60)
    store.add_code("code", GRANT, 60)
    store.redeem("code", "family", "token", 600)
    assert store.remove_client(who) or store.remove_person(who)
    assert store.code("open") is None
    assert store.family("family") is None


def test_an_assertion_is_used_once(store: Store) -> None:
    assert wins(*(lambda: store.first_use("jti", 60) for _ in range(4))) == 1
    assert store.first_use("another", 60)


def test_signing_keys_are_replaced_and_published_until_their_tokens_are_over(store: Store) -> None:
    assert store.signing_key() is None
    first, second, third = ({"kid": kid, "d": "secret", "x": "public"} for kid in ("1", "2", "3"))
    assert wins(lambda: store.add_signing_key(first, first=True), lambda: store.add_signing_key(second, first=True)) == 1
    held = store.signing_key()
    assert held in (first, second)
    store.add_signing_key(third)
    assert store.signing_key() == third
    published = store.public_keys()["keys"]
    assert [key["kid"] for key in published] == ["3", held["kid"] if held else ""]
    assert all("d" not in key for key in published)
    store.add_signing_key(first if held == second else second, retired=0)
    assert len(store.public_keys()["keys"]) == 1


def test_what_is_over_is_deleted(tmp_path: Path) -> None:
    place, time = on_sqlite(tmp_path), Time()
    with closing(place.open(time.clock)) as store:
        store.add_code("late", GRANT, 60)
        store.add_code("code", GRANT, 60)
        assert store.redeem("code", "family", "token", 600)
        assert store.first_use("jti", 60)
        store.add_signing_key({"kid": "1"})
        store.add_signing_key({"kid": "2"})
        time.steady += RETIRED + 1
        assert store.code("late") is None
        assert store.family("family") is None
        assert not store.renew("family", "token", "next")
        assert [key["kid"] for key in store.public_keys()["keys"]] == ["2"]
        store.add_code("new", GRANT, 60)
        assert store.redeem("new", "new", "token", 600)
        assert store.first_use("jti", 60)
        store.add_signing_key({"kid": "3"})
    counts = [place.said(f"SELECT COUNT(*) FROM {table}")[0][0] for table in ("codes", "families", "assertions", "signing_keys")]
    assert counts == [0, 1, 1, 2]


def test_a_backup_has_who_may_ask_and_not_what_was_given(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path / "here")
    with closing(place.open()) as store:
        store.add_client(APP)
        store.add_person(ANN)
        store.add_signing_key({"kid": "1"})
        store.add_code("code", GRANT, 60)
        store.redeem("code", "family", "token", 600)
        store.backup(tmp_path / "backup")
    there = on_sqlite(tmp_path / "there")
    restored(there.url, there.key, tmp_path / "backup")
    with closing(there.open()) as store:
        assert (store.clients(), store.people(), store.signing_key()) == ([APP], [ANN], {"kid": "1"})
        assert store.family("family") is None
