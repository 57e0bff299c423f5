"""A store's life: upgraded in place from the first schema, backed up while in use, restored where there was none."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from tests.unit.stores import Place, on_sqlite
from wrapper.cli import figway
from wrapper.migration.decide import Standing
from wrapper.migration.evidence import Seen
from wrapper.migration.facts import Batch, Calls, Epoch, Sample
from wrapper.migration.moves import Proposal
from wrapper.policy.keys import Caller
from wrapper.state.clock import Clock
from wrapper.state.database import BadStore
from wrapper.state.postgres import Postgres
from wrapper.state.records import WriteId
from wrapper.state.schema import STEPS, VERSION
from wrapper.state.seal import Seal
from wrapper.state.sqlite import Sqlite
from wrapper.state.store import Store, restored

DONE, OPEN, LOST = (WriteId("alice", "payments.create", name) for name in ("done", "open", "lost"))
EPOCH = Epoch("a", "build-1", "c0ffee", "")
VERSION_1 = f"PRAGMA journal_mode=WAL; {STEPS[1]}; PRAGMA user_version=1"


def old(value: object, key: bytes) -> bytes:
    """A value as versions before sealed it."""
    return Fernet(key).encrypt(json.dumps(value).encode())


def test_a_store_of_the_first_version_is_upgraded_with_all_that_it_knows(tmp_path: Path) -> None:
    place, key = on_sqlite(tmp_path), Fernet.generate_key()
    place.key.write_bytes(key)
    seal = Seal(key)
    with closing(sqlite3.connect(place.file)) as db:
        db.executescript(VERSION_1)
        db.execute("INSERT INTO keys VALUES ('0123456789ab', 'digest', 'alice', 'a:b', 'servicing', '{}', 1.0, 0)")
        db.execute(
            "INSERT INTO writes VALUES ('alice', 'payments.create', 'done', ?, 'done', 5.0, ?, NULL, 1.0)",
            (seal.fingerprint({"x": 1}), old({"status": 200}, key)),
        )
        db.execute(
            "INSERT INTO writes VALUES ('alice', 'payments.create', 'open', ?, 'reserved', 9e9, NULL, NULL, 1.0)", (seal.fingerprint({}),)
        )
        db.execute(
            "INSERT INTO jobs (id, caller, operation, params, trace, state, next_at, created, updated, expect_by)"
            " VALUES ('JOB1', 'alice', 'payments.create', ?, '', 'accepted', 1.0, 1.0, 1.0, 9e9)",
            (old({"x": 1}, key),),
        )
        db.commit()
    with closing(place.open()) as store:
        assert store.key("0123456789ab") is not None
        place.said("INSERT INTO keys VALUES ('ba9876543210', 'digest', 'eve', 'a:b', '', '{}', 1.0, 0, '', NULL, '')")  # this once
        assert store.key("ba9876543210") is None
        assert store.reserve(DONE, {"x": 1}, 30).answer == {"status": 200}
        assert store.reserve(OPEN, {}, 30).state == "in_flight"  # a process of the first version may still be at it
        claimed = store.claim("worker", 30)
        assert claimed is not None
        assert store.params(claimed.id) == {"x": 1}
        store.bump(["a"])
    place.open().close()
    assert place.said("PRAGMA user_version") == [(VERSION,)]
    place.key.write_bytes(Fernet.generate_key())
    with pytest.raises(BadStore, match="another key"):
        place.open()


def test_what_a_version_before_had_deleted_is_gone_from_the_file_once_it_is_upgraded(tmp_path: Path) -> None:
    place, planted = on_sqlite(tmp_path), b"gAAAAA-deleted-"
    place.key.write_bytes(Fernet.generate_key())
    row = "INSERT INTO writes VALUES ('alice', 'payments.create', ?, '', 'done', 5.0, ?, NULL, 1.0)"
    with closing(sqlite3.connect(place.file)) as db:
        db.execute("PRAGMA secure_delete=OFF")
        db.executescript(VERSION_1)
        db.executemany(row, [(str(number), planted * 100) for number in range(20)])
        db.execute("DELETE FROM writes")
        db.commit()
    assert planted in place.file.read_bytes()
    place.open().close()
    assert place.said("PRAGMA user_version") == [(VERSION,)]
    assert not any(planted in file.read_bytes() for file in tmp_path.iterdir())


def test_a_store_of_the_version_before_is_upgraded_on_either_engine(place: Place) -> None:
    """What it has been asked to do since is all there is to it: the version only adds."""
    engine = Sqlite(place.file, Clock()) if place.url.startswith("sqlite") else Postgres(place.url, place.key.parent)
    place.key.write_bytes(key := Fernet.generate_key())
    for number in range(1, 4):
        for statement in STEPS[number].split(";"):
            place.said(engine.dialect(statement))
    place.said(f"INSERT INTO figway (name, value) VALUES ('seal', '{Seal(key).fingerprint('figway')}'), ('version', '3')")
    place.said("INSERT INTO generations (name, number) VALUES ('accounts', 7)")
    if isinstance(engine, Sqlite):
        place.said("PRAGMA journal_mode=WAL")
        place.said("PRAGMA user_version=3")
    with closing(place.open()) as store:
        assert (store.generation("accounts"), store.standings()) == (7, (0, {}))
        assert store.move(["a"], Standing("shadow"), "ann", "")
        store.record(Batch(keys={(EPOCH, "modern", "g", "1"): True}))
    with closing(place.open()) as store:
        assert store.stages_number() == 1
        assert (found := store.facts("a")) is not None
        assert found.seen == Seen(1, 1)


def test_a_store_of_the_first_version_with_a_strange_key_is_refused(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    place.key.write_bytes(Fernet.generate_key())
    with closing(sqlite3.connect(place.file)) as db:
        db.executescript(VERSION_1)
        db.execute(
            "INSERT INTO writes VALUES ('alice', 'payments.create', 'done', '', 'done', 5.0, ?, NULL, 1.0)",
            (old({"status": 200}, Fernet.generate_key()),),
        )
        db.commit()
    with pytest.raises(BadStore, match="another key"):
        place.open()
    assert place.said("PRAGMA user_version") == [(1,)]


def filled(store: Store) -> str:
    """A store with something of everything; returns a key's id."""
    key = store.issue(Caller("alice", frozenset({"a:b"}), claims={"customer": frozenset({"1"})}))
    for write in (DONE, OPEN):
        store.reserve(write, {}, 30)
    store.intend(OPEN, {"ask": "x"})
    store.settle(DONE, {"status": 200, "body": "ü"})
    store.bump(["accounts"])
    for id in ("ACCEPTED", "HALFWAY", "OVER"):
        store.reserve(write := WriteId("alice", "payments.create", id), {}, 30)
        store.add_job(write, id, {"x": 1}, "", 3600)
    store.claim("elsewhere", 60)
    for id in ("HALFWAY", "OVER"):
        taken = store.claim("elsewhere", 60)
        assert taken is not None
        store.step(id, "elsewhere", "renaming", 60)
    store.published("OVER", "elsewhere")
    store.replied("OVER", {"data": 1})
    store.take_lease(["LU1"], "elsewhere/a", 0, 60)
    store.bar_lease("LU2")
    store.move(["loans.get"], Standing("canary", Decimal("0.01")), "ann", "shown", second="bob", report="{}")
    store.propose(Proposal("loans.get", 1.0, Standing("modern"), "ann", "", ""))
    store.record(seen())
    return key.split("_")[1]


def seen() -> Batch:
    """Something of everything that is kept of comparisons."""
    batch = Batch(keys={(EPOCH, "modern", "g", "1"): False, (EPOCH, "self", "g", "2"): True})
    batch.counts[EPOCH, "equal"] += 1
    batch.recent["a", 5, "compared"] += 1
    batch.samples.append(Sample(EPOCH, "value x", {"control": "ü"}))
    batch.consumers["a", "claims-ui", "legacy", "2026-11-26"] = Calls(1, 0.5, 1.0, 2.0)
    return batch


def test_what_is_restored_is_what_was_there_and_promises_nothing_of_the_present(store: Store, place: Place, tmp_path: Path) -> None:
    known = filled(store)
    rows = store.backup(tmp_path / "backup")
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0
    after = tmp_path / "after"
    after.mkdir()
    there = (
        on_sqlite(after)
        if place.url.startswith("sqlite")
        else Place(place.url.replace("search_path%3Dt", "search_path%3Dr"), after / "key")
    )
    if not place.url.startswith("sqlite"):
        place.said(f"CREATE SCHEMA r{place.url.rpartition('%3Dt')[2]}")
    assert restored(there.url, there.key, tmp_path / "backup") == rows
    with closing(there.open()) as again:
        assert again.key(known) == store.key(known)
        assert again.reserve(DONE, {}, 30).answer == {"status": 200, "body": "ü"}
        assert again.reserve(OPEN, {}, 30).state == "unknown"
        assert again.unsettled() == []
        assert [(job.id, job.state) for job in again.jobs()] == [("OVER", "replied"), ("HALFWAY", "unknown"), ("ACCEPTED", "unknown")]
        assert again.claim("worker", 30) is None  # whether it was published since, only its reply can tell
        assert len(again.waiting()) == 2
        assert again.answer("OVER") == {"data": 1}
        assert again.generation("accounts") == 1
        assert again.lease_barred("LU2")
        assert again.take_lease(["LU1"], "elsewhere/b", 0, 60) == ("LU1", 2)
        again.bump(["new"])
        assert (again.standings(), again.report("loans.get", 1)) == (store.standings(), "{}")
        assert again.proposals() == []  # it may have been withdrawn since
        for asked in (Store.samples, Store.consumers, Store.facts):
            assert asked(again, "a") == asked(store, "a")
        assert again.recent("a", 0) == {"compared": 1}
        again.record(seen())
        assert (found := again.facts("a")) is not None
        assert (found.seen, found.noise, found.counts) == (Seen(1, 0), Seen(1, 1), {"equal": 2})  # its keys are known again
        assert again.move(["loans.get"], Standing("shadow"), "ann", "", expected={"loans.get": 1})
    with pytest.raises(BadStore, match="is a store already"):
        restored(there.url, there.key, tmp_path / "backup")


def test_a_store_of_one_engine_can_be_restored_on_the_other(place: Place, store: Store, tmp_path: Path) -> None:
    known = filled(store)
    store.backup(tmp_path / "backup")
    (tmp_path / "other").mkdir()
    other = on_sqlite(tmp_path / "other")
    restored(other.url, other.key, tmp_path / "backup")
    with closing(other.open()) as again:
        assert again.key(known) == store.key(known)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _changed(path: Path) -> None:
    import gzip

    text = gzip.decompress(path.read_bytes()).replace(b"alice", b"mallo")
    path.write_bytes(gzip.compress(text))


def _newer(path: Path) -> None:
    import gzip

    head, rest = gzip.decompress(path.read_bytes()).split(b"\n", 1)
    path.write_bytes(gzip.compress(json.dumps({**json.loads(head), "version": 99}).encode() + b"\n" + rest))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_cut, "not a whole backup"), (_changed, "not a whole backup"), (_newer, "version 99"),
        (lambda path: path.write_bytes(b"nothing"), "not a whole backup"), (Path.unlink, "no file"),
    ],
)  # fmt: skip
def test_a_backup_that_is_not_whole_makes_no_store(store: Store, tmp_path: Path, damage: Callable[[Path], object], said: str) -> None:
    filled(store)
    store.backup(tmp_path / "backup")
    damage(tmp_path / "backup")
    (tmp_path / "after").mkdir()
    there = on_sqlite(tmp_path / "after")
    with pytest.raises(BadStore, match=said):
        restored(there.url, there.key, tmp_path / "backup")
    assert not there.file.exists()
    assert not there.key.exists()


def test_a_backup_overwrites_no_file_and_another_key_is_left_alone(tmp_path: Path) -> None:
    with closing(on_sqlite(tmp_path).open()) as store:
        store.backup(tmp_path / "backup")
        with pytest.raises(BadStore, match="File exists"):
            store.backup(tmp_path / "backup")
    assert sorted(path.name for path in tmp_path.glob("backup*")) == ["backup"]
    (tmp_path / "after").mkdir()
    there = on_sqlite(tmp_path / "after")
    there.key.write_bytes(Fernet.generate_key())
    with pytest.raises(BadStore, match="another key"):
        restored(there.url, there.key, tmp_path / "backup")


def test_the_commands_back_up_restore_and_lift_a_bar(tmp_path: Path) -> None:
    here, there = f"sqlite:///{tmp_path}/a/state.sqlite", f"sqlite:///{tmp_path}/b/state.sqlite"
    with closing(Store(here)) as store:
        filled(store)

    def said(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(figway, words)
        assert done.exit_code == code, done.output
        return done.output

    listed = said("lease", "list", "--state", here)
    assert "LU1 held" in listed
    assert "LU2 barred free" in listed
    assert "LU2 may be taken" in said("lease", "unbar", "LU2", "--state", here)
    assert "not barred" in said("lease", "unbar", "LU2", "--state", here, code=1)
    assert "rows" in said("state", "backup", f"{tmp_path}/backup", "--state", here)
    assert "rows" in said("state", "restore", f"{tmp_path}/backup", "--state", there)
    assert "is a store already" in said("state", "restore", f"{tmp_path}/backup", "--state", there, code=1)
    assert "alice" in said("key", "list", "--state", there)
