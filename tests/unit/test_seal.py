"""The seal: values that open only as what they are, keys by number, and a rotation that every process notices."""

from __future__ import annotations

import base64
import json
import os
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from tests.unit.stores import Place, on_sqlite
from wrapper.cli import figway
from wrapper.migration.facts import Batch, Epoch, Sample
from wrapper.policy.keys import Caller
from wrapper.problems import NotReady
from wrapper.state.database import BadStore
from wrapper.state.issuer import Client, Person
from wrapper.state.records import WriteId
from wrapper.state.seal import Seal, Unopened, add_key
from wrapper.state.store import Store
from wrapper.subjects import Subject

VALUE = {"name": "ERIKA MUSTERMANN", "balance": "1.10"}
WRITE = WriteId("alice", "payments.create", "key-1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(Fernet.generate_key())
    return path


def test_a_sealed_value_opens_only_as_what_it_is_and_where_it_was(file: Path) -> None:
    seal = Seal(file.read_bytes(), file)
    sealed = seal.close(VALUE, "writes.answer", "alice", "op", "1")
    assert seal.open(sealed, "writes.answer", "alice", "op", "1") == VALUE
    assert seal.close(VALUE, "writes.answer", "alice", "op", "1") != sealed
    assert b"ERIKA" not in sealed
    for what in (("writes.intent", "alice", "op", "1"), ("writes.answer", "bob", "op", "1"), ("writes.answer", "alice", "op1")):
        with pytest.raises(Unopened):
            seal.open(sealed, *what)
    for damaged in (sealed[:-1], sealed[:2], b"", bytes([sealed[0], sealed[1], sealed[2], sealed[3] ^ 1]) + sealed[4:]):
        with pytest.raises(Unopened):
            seal.open(damaged, "writes.answer", "alice", "op", "1")
    with pytest.raises(Unopened):
        Seal(Fernet.generate_key()).open(sealed, "writes.answer", "alice", "op", "1")


def test_what_versions_before_have_sealed_opens(file: Path) -> None:
    old = Fernet(file.read_bytes()).encrypt(json.dumps(VALUE).encode())
    add_key(file, 0)
    assert Seal(file.read_bytes(), file).open(old, "writes.answer") == VALUE


def test_a_decimal_is_sealed_with_all_its_digits(file: Path) -> None:
    seal = Seal(file.read_bytes())
    assert seal.open(seal.close([Decimal("1e2")], "x"), "x") == ["100"]


def test_a_new_key_seals_from_its_time_on_and_old_values_and_fingerprints_stay(file: Path) -> None:
    now = 1000.0
    seal = Seal(file.read_bytes(), file, lambda: now)
    old, mark, kept = seal.close(VALUE, "x"), seal.fingerprint("x"), seal.derived("reports")
    assert add_key(file, 1060) == 2
    early = seal.close(VALUE, "x")
    now = 1060.0
    late = seal.close(VALUE, "x")
    assert [sealed[1:3] for sealed in (old, early, late)] == [b"\0\1", b"\0\1", b"\0\2"]
    again = Seal(file.read_bytes())
    assert [again.open(sealed, "x") for sealed in (old, early, late)] == [VALUE] * 3
    assert (again.fingerprint("x"), again.derived("reports")) == (mark, kept)
    assert again.derived("reports", 2) != kept
    assert file.stat().st_mode & 0o077 == 0


def test_a_host_that_lacks_the_newest_key_says_so_and_opens_what_it_can(file: Path) -> None:
    behind = Seal(file.read_bytes())
    add_key(file, 0)
    sealed = Seal(file.read_bytes(), file).close(VALUE, "x")
    with pytest.raises(NotReady, match="line 2: copy the file"):
        behind.open(sealed, "x")


def test_another_stores_keys_put_in_place_of_ours_are_not_taken(file: Path) -> None:
    seal = Seal(file.read_bytes(), file)
    sealed = seal.close(VALUE, "x")
    file.write_bytes(Fernet.generate_key() + b"\n" + Fernet.generate_key())
    assert (seal.newest(), seal.open(sealed, "x")) == (1, VALUE)
    file.unlink()
    assert seal.open(seal.close(VALUE, "x"), "x") == VALUE


def test_a_key_that_can_not_be_added_leaves_the_file_as_it_was(file: Path) -> None:
    before = file.read_bytes()
    (half := file.with_name("key.new")).write_bytes(b"")
    with pytest.raises(BadStore, match="remove that file"):
        add_key(file, 0)
    half.unlink()
    file.write_bytes(b"nothing")
    with pytest.raises(BadStore, match="holds no key"):
        add_key(file, 0)
    assert not half.exists()
    file.write_bytes(before)
    assert add_key(file, 0) == 2
    assert file.read_bytes().startswith(before + b"\n")


def test_a_rotation_keeps_repeats_people_and_backups_known(store: Store, place: Place, tmp_path: Path) -> None:
    someone = Subject("customer", "0000012345")
    store.reserve(WRITE, {"x": 1}, 30, subjects=[someone])
    store.settle(WRITE, VALUE)
    mark = store.fingerprint(someone)
    store.backup(tmp_path / "before")
    store.rotate_key()
    with closing(place.open()) as again:
        assert again.reserve(WRITE, {"x": 1}, 30).answer == VALUE
        assert again.reserve(WRITE, {"x": 2}, 30).state == "mismatch"
        assert again.fingerprint(someone) == mark
        assert place.said("SELECT subject FROM writes") == [(mark,)]
        assert again.fingerprint(Subject("customer", "0000012345", "retail")) != mark
        again.intend(WRITE, VALUE)
    assert [row[0][1:3] for row in place.said("SELECT intent FROM writes") if isinstance(row[0], bytes)] == [b"\0\2"]
    assert len(place.key.read_bytes().split()) == 3  # two keys, and since when the second one seals
    assert os.stat(place.key).st_mode & 0o077 == 0


def something_of_everything(store: Store, name: str) -> Any:
    """Fill each sealed column anew; how to open all of that."""
    person, value, caller = Subject("customer", name), {"of": name}, Caller(name, claims={"customer": frozenset({name})})
    done, open, drop = (WriteId("alice", "payments.create", f"{kind} {name}") for kind in ("done", "open", "drop"))
    store.issue(caller)
    store.add_client(Client(replace(caller, name=f"app-{name}"), "none"))
    store.add_person(Person(replace(caller, name=f"ann-{name}"), "hash"))
    for write in (done, open, drop):
        store.reserve(write, {}, 30, subjects=[person])
    store.settle(done, value)
    store.intend(open, value)
    store.add_leg(open, "payments", name, "modern", "pending", value)
    store.add_job(drop, f"JOB{name}", value, "t", 60)
    store.claim("worker", 30)
    store.published(f"JOB{name}", "worker")
    store.replied(f"JOB{name}", {"data": value, "meta": {}})
    store.record(Batch(samples=[Sample(Epoch("a", "build-1", "c0ffee", ""), "value x", value, (person,))]))
    decided = store.add_decision("alice", "", "loans.decide", "risk/1", "hash", [person], value)
    store.ask_review(decided, "alice", f"words of {name}")
    store.end_review(decided, "bob", "upheld", f"why of {name}")
    store.subject_key(person)
    store.hold(found := store.fingerprint(person), "ann", f"case of {name}")
    store.add_signing_key({"kid": name, "x": name})
    return lambda: (
        store.kept_of(found), store.subject_keys(person), store.held(found), [k for k in store.public_keys()["keys"] if k["kid"] == name],
    )  # fmt: skip


def test_every_sealed_column_outlives_a_rotation_and_is_sealed_by_the_newest_key_from_then_on(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store:
        opened = something_of_everything(store, "before")
        whole = opened()
        store.rotate_key()
        assert opened() == whole
        again = repr(something_of_everything(store, "after")())
        assert again.count("after") == repr(whole).count("before") > 15
    tables = "sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND (c.type = 'BLOB' OR c.name = 'claims')"
    columns = place.said(f"SELECT t.name, c.name FROM {tables}")
    assert len(columns) > 14
    for table, column in columns:
        values = [value for (value,) in place.said(f"SELECT {column} FROM {table}") if value]
        heads = {(base64.b64decode(value) if isinstance(value, str) else bytes(value))[:3] for value in values}  # type: ignore[call-overload]
        assert heads == {b"\2\0\1", b"\2\0\2"}, f"{table}.{column}: fill it in something_of_everything"


def test_the_customers_that_keys_clients_and_people_may_ask_about_are_kept_sealed(store: Store, place: Place) -> None:
    caller = Caller("app", frozenset({"a:b"}), claims={"customer": frozenset({"0000012345"})})
    store.issue(caller)
    store.add_client(Client(caller, "none"))
    store.add_person(Person(replace(caller, name="ann"), "hash"))
    for table in ("keys", "clients", "people"):
        assert "12345" not in repr(place.said(f"SELECT * FROM {table}"))
    assert store.all_keys()[0].caller.claims == store.clients()[0].caller.claims == store.people()[0].caller.claims == caller.claims


def test_the_command_adds_a_key_that_seals_at_once_or_later(store: Store, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGWAY_STATE_KEY", str(place.key))
    for more, said in (([], "key 2 seals from now on"), (["--after", "3600"], "key 3 seals in 3600 seconds: copy")):
        done = CliRunner().invoke(figway, ["state", "rotate-key", "--state", place.url, *more])
        assert (done.exit_code, said in done.output) == (0, True)
    assert store.newest_key() == 2
