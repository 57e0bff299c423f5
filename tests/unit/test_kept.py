"""What is kept of one person: found, held, erased, and dropped when its time is over; and that it is then in no file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stores import Place, Time, on_sqlite
from tests.waiting import until
from wrapper.migration.facts import Batch, Epoch, Sample
from wrapper.policy.keys import Caller
from wrapper.problems import NotPossible
from wrapper.state.kept import CLASSES, ERASURES
from wrapper.state.records import WriteId
from wrapper.state.store import Store
from wrapper.subjects import Subject

DAY = 86400.0
ERIKA, MAX = Subject("customer", "0000012345"), Subject("customer", "0000099999")
MADE = {"score": 0.4, "outcome": "refuse", "features": {"age": 44}, "reasons": [{"feature": "age", "weight": 0.2}]}
EPOCH = Epoch("a", "build-1", "c0ffee", "")


def id(key: str) -> WriteId:
    return WriteId("alice", "payments.create", key)


def done(store: Store, key: str, *people: Subject, answer: object = None) -> None:
    store.reserve(id(key), {"of": key}, 30, subjects=people)
    store.settle(id(key), answer or {"status": 200, "body": {"name": key}})


def job(store: Store, key: str, *people: Subject, replied: bool = True) -> str:
    """A job that has its reply, or waits for it."""
    name = f"JOB{key}"
    store.reserve(id(f"for {name}"), {}, 30, subjects=people)
    store.add_job(id(f"for {name}"), name, {"debtor": key}, "t", 60)
    store.claim("worker", 30)
    store.published(name, "worker")
    if replied:
        store.replied(name, {"data": key, "meta": {}})
    return name


def sample(store: Store, text: str, *people: Subject) -> None:
    store.record(Batch(samples=[Sample(EPOCH, f"value {text}", {"control": text}, people)]))


def both(store: Store) -> None:
    """Something of everything, of two people."""
    for name, person in (("ERIKA", ERIKA), ("MAX", MAX)):
        done(store, name, person)
        job(store, name, person)
        sample(store, name, person)
        store.add_decision("alice", "", "loans.decide", "risk/1", "hash", [person], {**MADE, "of": name})
        store.subject_key(person)
        store.issue(Caller(f"app-of-{name.lower()}", claims={"customer": frozenset({person.value}), "branch": frozenset({"1"})}))


def test_all_that_is_kept_of_a_person_is_found_and_nothing_of_others(store: Store) -> None:
    both(store)
    done(store, "TOGETHER", MAX, ERIKA)
    kept = store.kept_of(store.fingerprint(ERIKA))
    assert [write["key"] for write in kept["writes"]] == ["TOGETHER", "for JOBERIKA", "ERIKA"]
    assert kept["writes"][-1]["answer"] == {"status": 200, "body": {"name": "ERIKA"}}
    assert [(j["id"], j["params"], j["answer"]["data"]) for j in kept["jobs"]] == [("JOBERIKA", {"debtor": "ERIKA"}, "ERIKA")]
    assert [s["shown"] for s in kept["samples"]] == [{"control": "ERIKA"}]
    assert [d["made"] for d in kept["decisions"]] == [{**MADE, "of": "ERIKA"}]
    assert [(c["kind"], c["name"]) for c in kept["callers"]] == [("keys", "app-of-erika")]
    assert "MAX" not in repr(kept)


def test_what_is_erased_is_gone_and_the_same_key_never_writes_again(store: Store) -> None:
    both(store)
    found, number = store.fingerprint(ERIKA), store.generation(ERASURES)
    erased = store.erase_of(found)
    assert erased == {"writes": 2, "jobs": 1, "samples": 1, "decisions": 1, "legs": 0, "claims": 1, "keys": 1}
    assert store.kept_of(found) == {"writes": [], "jobs": [], "samples": [], "decisions": [], "legs": [], "callers": []}
    assert store.subject_keys(ERIKA) == []
    assert store.generation(ERASURES) == (number or 0) + 1
    again = store.reserve(id("ERIKA"), {"anything": "else"}, 30)
    assert (again.state, again.answer, again.job) == ("done", None, None)
    assert (store.params("JOBERIKA"), store.answer("JOBERIKA")) == ({}, None)
    assert [dict(row.caller.claims) for row in store.all_keys()] == [{"branch": {"1"}}, {"branch": {"1"}, "customer": {MAX.value}}]
    assert store.reserve(id("MAX"), {"of": "MAX"}, 30).answer == {"status": 200, "body": {"name": "MAX"}}
    assert store.erase_of(found)["writes"] == 0


def test_what_a_late_process_says_of_an_erased_write_is_not_kept(store: Store) -> None:
    done(store, "ERIKA", ERIKA)
    store.erase_of(store.fingerprint(ERIKA))
    store.settle(id("ERIKA"), {"status": 200, "body": {"name": "ERIKA"}})
    assert store.reserve(id("ERIKA"), {}, 30).answer is None


def test_nothing_is_erased_while_something_of_it_is_under_way(store: Store) -> None:
    done(store, "ERIKA", ERIKA)
    found = store.fingerprint(ERIKA)
    store.reserve(id("open"), {}, 30, subjects=[ERIKA])
    store.add_leg(id("open"), "payments", "1", "modern", "pending", {"given": {}})
    job(store, "2", ERIKA, replied=False)
    decided = store.add_decision("alice", "", "loans.decide", "risk/1", "hash", [ERIKA], {"value": 0.4})
    assert store.ask_review(decided, "alice", "it is wrong")
    with pytest.raises(NotPossible) as met:
        store.erase_of(found)
    said = " | ".join(met.value.reasons)
    assert ("payments.create by alice is under way" in said, "JOB2 is published" in said, "modern lacks" in said, "review" in said) == (
        True,
    ) * 4
    assert store.reserve(id("ERIKA"), {"of": "ERIKA"}, 30).answer is not None
    store.release(id("open"))
    assert store.drop("decisions", store.time_of_day() + 1) == 0  # not while it is under review
    assert store.end_review(decided, "bob", "upheld", "it is right")
    store.replied("JOB2", {"data": 1, "meta": {}})
    reported = store.kept_of(found)["decisions"][0]
    assert [reported[name] for name in ("review", "reviewer", "words", "why")] == ["upheld", "bob", "it is wrong", "it is right"]
    assert store.erase_of(found)["writes"] == 2


def test_what_is_also_of_somebody_who_is_held_is_not_erased_with_another(store: Store) -> None:
    done(store, "TOGETHER", ERIKA, MAX)
    store.hold(store.fingerprint(MAX), "ann", "case 7")
    with pytest.raises(NotPossible, match="legal hold"):
        store.erase_of(store.fingerprint(ERIKA))
    assert store.reserve(id("TOGETHER"), {"of": "TOGETHER"}, 30).answer is not None
    store.release_hold(store.fingerprint(MAX))
    assert store.erase_of(store.fingerprint(ERIKA))["writes"] == 1


def test_who_is_held_is_neither_erased_nor_dropped_until_released(place: Place) -> None:
    time = Time()
    with closing(place.open(time.clock)) as store:
        both(store)
        found = store.fingerprint(ERIKA)
        store.hold(found, "ann", "case 7 of ERIKA")
        assert "ERIKA" not in repr(place.said("SELECT * FROM holds"))
        with pytest.raises(NotPossible, match="legal hold"):
            store.erase_of(found)
        later = store.time_of_day() + DAY
        assert {kind: store.drop(kind, later) for kind in CLASSES} == dict.fromkeys(CLASSES, 1)
        assert sorted(write["answer"] is not None for write in store.kept_of(found)["writes"]) == [False, True]
        assert (held := store.held(found)) is not None
        assert (held.who, held.why) == ("ann", "case 7 of ERIKA")
        assert store.release_hold(found)
        assert not store.release_hold(found)
        assert store.due("answers", later) == store.drop("answers", later) == 1
        assert (erased := store.erase_of(found))["jobs"] == erased["decisions"] == 1


def test_only_what_is_past_its_time_is_dropped_in_bounded_portions_and_repeats_are_still_known(store: Store) -> None:
    for number in range(5):
        done(store, str(number))
    store.reserve(id("open"), {}, 30)
    now = store.time_of_day()
    assert (store.due("answers", now - DAY), store.drop("answers", now - DAY)) == (0, 0)
    assert [store.due("answers", now + 1, 2), *(store.drop("answers", now + 1, 2) for _ in range(4))] == [2, 2, 2, 1, 0]
    assert store.reserve(id("3"), {"of": "3"}, 30).state == "done"
    assert store.reserve(id("3"), {"of": "4"}, 30).state == "mismatch"
    assert store.reserve(id("open"), {}, 30).state == "in_flight"


def test_dropped_samples_make_room_for_new_ones(store: Store) -> None:
    for text in "abc":
        store.record(Batch(samples=[Sample(EPOCH, "value x", {"control": text})]))
    assert store.drop("samples", store.time_of_day() + 1, 2) == 2
    sample(store, "x")
    store.record(Batch(samples=[Sample(EPOCH, "value x", {"control": "d"})]))
    assert {s.shown["control"] for _, s in store.samples("a")} >= {"d", "x"}


def sealed(place: Place) -> list[bytes]:
    """Pieces of every sealed value that the tables hold now: a large one lies on many pages."""
    columns = (("writes", "answer"), ("jobs", "params"), ("jobs", "answer"), ("samples", "sealed"), ("decisions", "sealed"))
    values = [bytes(value) for table, column in columns for (value,) in place.said(f"SELECT {column} FROM {table}") if value]  # type: ignore[call-overload]
    return [value[at : at + 24] for value in values for at in range(15, len(value) - 24, 100)]


def there(place: Place, pieces: Sequence[bytes]) -> int:
    """How many of them any file of the database holds, in free pages or its log too."""
    content = b"".join(file.read_bytes() for file in place.file.parent.glob("state.sqlite*"))
    return sum(piece in content for piece in pieces)


@pytest.mark.parametrize("way", ["erased", "dropped"])
def test_what_is_gone_is_in_no_page_and_no_log_of_the_files_not_even_sealed(tmp_path: Path, way: str) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store, closing(place.open()) as other:
        for number in range(120):
            big: Any = {"status": 200, "body": {"name": f"ERIKA {number}", "more": str(number) * (number * 40)}}
            done(store, str(number), ERIKA, answer=big)
        job(store, "1", ERIKA)
        sample(store, "1", ERIKA)
        store.add_decision("alice", "", "loans.decide", "risk/1", "hash", [ERIKA], {**MADE, "features": {"f": "1" * 9000}})
        planted = sealed(place)
        done(store, "MAX", MAX)
        assert other.reserve(id("MAX"), {"of": "MAX"}, 30).state == "done"  # it has connections of its own
        assert there(place, planted) > 0.95 * len(planted) > 5000  # a few lie across two pages
        if way == "erased":
            store.erase_of(store.fingerprint(ERIKA))
        else:
            for kind in CLASSES:
                assert store.drop(kind, store.time_of_day() + 1) > 0
        assert store.overwrite_deleted() == ""
        assert there(place, planted) == 0
        assert other.reserve(id("MAX"), {"of": "MAX"}, 30).state == "done"


def test_an_open_reader_is_told_of_when_the_log_could_not_be_cut(tmp_path: Path) -> None:
    place = on_sqlite(tmp_path)
    with closing(place.open()) as store:
        done(store, "ERIKA", ERIKA)
        with store._db.bulk() as tx:
            tx.one("SELECT COUNT(*) FROM writes")
            store.erase_of(store.fingerprint(ERIKA))
            assert "purge" in store.overwrite_deleted()
        assert store.overwrite_deleted() == ""


def test_postgresql_vacuums_what_was_erased_and_says_what_that_leaves(server: Any, tmp_path: Path) -> None:
    from tests.unit.stores import on_postgres

    place = on_postgres(server, tmp_path, "vacuumed")
    with closing(place.open()) as store:
        both(store)
        planted = sealed(place)
        store.erase_of(store.fingerprint(ERIKA))
        assert "VACUUM" in store.overwrite_deleted()
        assert 0 < len(left := sealed(place)) < len(planted)
        assert set(left) < set(planted)
        vacuumed = "SELECT vacuum_count > 0 FROM pg_stat_user_tables WHERE relname = 'writes' AND schemaname = 'vacuumed'"
        until(lambda: place.said(vacuumed) == [(True,)], 5)
