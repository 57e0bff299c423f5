"""What is kept of decisions, on both engines: once, sealed, found by subject, and with the backup."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.unit.stores import Place, on_sqlite
from wrapper.state.store import Store, restored
from wrapper.subjects import Subject

SEVEN = Subject("customer", "7", "north")
MADE = {"score": 0.7, "outcome": "declined", "features": {"job": "freelance"}, "reasons": [{"feature": "job", "moves": 0.2}]}


def added(store: Store, subject: Subject = SEVEN, who: str = "north/bank") -> str:
    return store.add_decision(who, "north", "risk", "m@1", "hash", [subject], MADE)


def test_a_decision_is_kept_once_and_found_by_its_subject(store: Store, place: Place) -> None:
    id = added(store)
    assert added(store) == id
    added(store, Subject("customer", "8", "north"))
    found = store.decision(id)
    assert found is not None
    assert (found.made, found.review, found.words) == (MADE, "", None)
    assert place.said(f"SELECT id FROM decisions WHERE subject = '{store.fingerprint(SEVEN)}'") == [(id,)]
    assert store.decision("0" * 32) is None


def test_a_list_is_of_a_tenant_and_a_state(store: Store) -> None:
    id = added(store)
    other = store.add_decision("bank", "", "risk", "m@1", "hash", [SEVEN], MADE)
    assert store.ask_review(id, "north/bank", "look again")
    assert [one.id for one in store.decisions("north", "open")] == [id]
    assert [one.id for one in store.decisions("", None)] == [other]
    assert store.decisions("", "open") == []
    assert len(store.decisions(None)) == 2
    assert len(store.decisions(None, limit=1)) == 1


def test_a_list_goes_on_after_any_of_its_decisions_and_is_of_a_model_and_a_time(store: Store) -> None:
    made = {store.add_decision("bank", "", "risk", f"m@{n % 2}", "hash", [Subject("customer", str(n))], MADE) for n in range(6)}
    whole = store.decisions(None)
    assert {one.id for one in whole} == made
    paged = store.decisions(None, limit=2)
    while page := store.decisions(None, limit=2, before=paged[-1]):
        paged += page
    assert paged == whole
    assert [one.model for one in store.decisions(None, model="m@1")] == ["m@1"] * 3
    assert store.decisions(None, since=whole[0].created)[0] == whole[0]
    assert store.decisions(None, since=whole[0].created + 1) == []


def test_of_many_who_ask_for_a_review_or_end_it_one_does(store: Store) -> None:
    id = added(store)
    with ThreadPoolExecutor(4) as threads:
        asked = list(threads.map(lambda n: store.ask_review(id, "north/bank", f"look {n}"), range(4)))
        ended = list(threads.map(lambda n: store.end_review(id, f"judge{n}", "upheld", "looked"), range(4)))
    assert sorted(asked) == sorted(ended) == [False, False, False, True]
    found = store.decision(id)
    assert found is not None
    assert (found.review, found.why) == ("upheld", "looked")


def test_a_backup_has_decisions_and_their_reviews(tmp_path: Path) -> None:
    store = on_sqlite(tmp_path).open()
    id = added(store)
    store.ask_review(id, "north/bank", "look again")
    store.backup(tmp_path / "backup.gz")
    store.close()
    there = on_sqlite(tmp_path / "new")
    restored(there.url, there.key, tmp_path / "backup.gz")
    again = there.open()
    found = again.decision(id)
    assert found is not None
    assert (found.made, found.review, found.words) == (MADE, "open", "look again")
    again.close()
