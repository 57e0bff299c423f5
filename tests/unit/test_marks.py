"""Rows that let somebody in: what is changed or put there without the store's key lets nobody in, and breaks nothing."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.unit.stores import Place, Time, on_sqlite
from wrapper import log
from wrapper.cli import figway
from wrapper.policy.keys import Caller, authenticate
from wrapper.problems import NotPossible, Unauthenticated
from wrapper.state.issuer import Client, Grant, Person
from wrapper.state.records import WriteId
from wrapper.state.store import Store, restored
from wrapper.subjects import Subject

CALLER = Caller("app", frozenset({"a:read"}), frozenset({"servicing"}), {"customer": frozenset({"1"})}, "north")
GRANT = Grant("app", "ann", frozenset({"a:read"}), "https://app.example/", "challenge")


@pytest.mark.parametrize(
    "change",
    [
        "name = 'admin'", "scopes = 'a:read role:operator'", "purposes = 'servicing fraud'", "claims = '{\"customer\": [\"*\"]}'",
        "claims = ''", "tenant = 'south'", "digest = 'x'", "expires = 9e9", "expires = NULL", "created = 1.0", "mark = ''", "mark = 'ü'",
        "id = 'ffffffffffff'",
    ],
)  # fmt: skip
def test_a_key_that_is_changed_without_the_stores_key_is_none(store: Store, place: Place, change: str) -> None:
    sent = store.issue(CALLER, 60.0)
    assert authenticate(sent, store, 0.0).caller == CALLER
    place.said(f"UPDATE keys SET {change}")
    with pytest.raises(Unauthenticated):
        authenticate(sent.replace(sent[3:15], "ffffffffffff") if change.startswith("id") else sent, store, 0.0)
    [row] = store.all_keys()
    assert (row.genuine, row.caller.scopes, row.caller.claims) == (False, frozenset(), {})
    with pytest.raises(NotPossible):
        store.rotate(row.caller.name, 60.0)
    assert store.kept_of(store.fingerprint(Subject("customer", "1", "north")))["writes"] == []
    assert store.revoke(row.caller.name) == 1


def test_a_key_that_is_changed_is_listed_as_what_it_is(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store:
        store.issue(CALLER)
    place.said("UPDATE keys SET scopes = 'role:operator'")
    listed = CliRunner().invoke(figway, ["key", "list", "--state", place.url])
    assert (listed.exit_code, " forged " in listed.output, "operator" in listed.output) == (0, True, False)


def test_a_key_that_was_revoked_rotated_or_had_a_customer_erased_is_as_good_as_that(store: Store, place: Place) -> None:
    sent = store.issue(CALLER)
    new = store.rotate("app", 60.0)
    store.erase_of(store.fingerprint(Subject("customer", "1", "north")))
    for key in (sent, new):
        assert authenticate(key, store, 0.0).caller == replace(CALLER, claims={})
    assert store.revoke("app") == 2
    place.said("UPDATE keys SET revoked = 0")
    assert store.key(sent[3:15]) is None


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("clients", "scopes = 'role:operator'"), ("clients", "material = 'mine'"), ("clients", "redirects = 'https://evil.example/'"),
        ("clients", "proof = 'none'"), ("clients", "claims = 'not sealed'"), ("people", "tenant = ''"),
        ("people", "scopes = 'role:operator'"),
        ("people", "password = 'mine'"), ("codes", "person = 'eve'"), ("codes", "redirect = 'https://evil.example/'"),
        ("codes", "scopes = 'role:operator'"), ("families", "person = 'eve'"), ("families", "token = 'mine'"), ("families", "until = 9e9"),
    ],
)  # fmt: skip
def test_what_the_issuer_keeps_is_good_only_as_it_was_kept(store: Store, place: Place, table: str, change: str) -> None:
    app, ann = Client(CALLER, "key", "jwk", ("https://app.example/",)), Person(replace(CALLER, name="ann"), "hash")
    store.add_client(app)
    store.add_person(ann)
    for code in ("code", "spent"):
        store.add_code(code, GRANT, 60.0)
    assert store.redeem("spent", "family", "token", 60.0)
    assert store.renew("family", "token", "next")
    assert (store.client("app"), store.person("ann"), store.code("code")) == (app, ann, GRANT)
    assert store.family("family") is not None
    place.said(f"UPDATE {table} SET {change}")
    kept = {"clients": store.client("app"), "people": store.person("ann"), "codes": store.code("code"), "families": store.family("family")}
    assert [name for name, one in kept.items() if one is None] == [table]
    assert (len(store.clients()), len(store.people())) == (table != "clients", table != "people")
    if table == "codes":
        assert not store.redeem("code", "another", "token", 60.0)
    if table == "families":
        assert not store.renew("family", "mine" if "mine" in change else "next", "more")


def test_the_log_tells_once_of_a_row_that_is_not_genuine(store: Store, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    sent = store.issue(CALLER)
    place.said("UPDATE keys SET scopes = 'role:operator'")
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            authenticate(sent, store, 0.0)
    log.flush()
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "was changed" in line]
    assert [(line["event"], line["outcome"], sent[3:15] in line["detail"]) for line in told] == [("state", "refused", True)]


def test_a_backup_keeps_marks_and_forged_rows_stay_forged(store: Store, place: Place, tmp_path: Path) -> None:
    good, bad = store.issue(CALLER), store.issue(replace(CALLER, name="bad"))
    place.said("UPDATE keys SET scopes = 'role:operator' WHERE name = 'bad'")
    store.reserve(WriteId("app", "x", "1"), {}, 30)
    store.backup(tmp_path / "backup")
    url = f"sqlite:///{tmp_path}/again/state.sqlite"
    restored(url, None, tmp_path / "backup")
    with closing(Store(url, None, Time().clock)) as again:
        assert [key.genuine for key in again.all_keys()] == [True, False]
        assert authenticate(good, again, 0.0).caller == CALLER
        assert again.key(bad[3:15]) is None
