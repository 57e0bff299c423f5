"""What one side of a write lacks is not forgotten, on either engine: a leg counts once its write has happened, and goes if it has not."""

from __future__ import annotations

from contextlib import closing
from itertools import count
from pathlib import Path

from tests.unit.stores import Place, died
from wrapper.state.legs import LEG, Leg, LegState
from wrapper.state.records import Unsettled, WriteId
from wrapper.state.store import Store, restored

_NUMBERS = count()


def begun(store: Store, key: str = "7", side: str = "modern", state: LegState = "pending") -> WriteId:
    """A write of a record's that is under way, with its leg to `side`."""
    write = WriteId("alice", "things.move", f"k{next(_NUMBERS)}", "me")
    store.reserve(write, {}, 60)
    assert store.add_leg(write, "thing", key, side, state, {"given": write.key}) == ""  # type: ignore[arg-type]
    return write


def done(store: Store, key: str = "7", side: str = "modern", state: LegState = "pending") -> WriteId:
    write = begun(store, key, side, state)
    store.settle(write, {})
    return write


def carried(store: Store, id: str) -> WriteId:
    """The write that carries a leg out, reserved."""
    write = WriteId(LEG, "things.move", id, "worker")
    assert store.reserve(write, {}, 60).state == "new"
    assert store.try_leg(id, 0.0)
    return write


def due(store: Store) -> list[Leg]:
    return [*store.due_legs("legacy", 9), *store.due_legs("modern", 9)]


def test_a_leg_is_due_once_its_write_has_happened_and_its_side_lacks_it_from_before(store: Store) -> None:
    write = begun(store)
    assert (due(store), store.lacking("thing", "7")) == ([], {"modern"})
    assert [leg.happened for leg in store.open_legs()] == [False]
    store.settle(write, {})
    (leg,) = due(store)
    assert (leg.write, leg.side, leg.happened, store.leg_given(leg.id)) == (write, "modern", True, {"given": write.key})
    assert (store.lacking("thing", "8"), store.lacking("other", "7")) == (frozenset(), frozenset())


def test_a_write_that_has_not_happened_leaves_no_leg(store: Store) -> None:
    store.release(begun(store))
    write = begun(store)
    store.found_undone(Unsettled(write, 0.0, True, True, -9.0, None))
    assert (store.open_legs(), store.lacking("thing", "7")) == ([], frozenset())


def test_a_write_of_unknown_outcome_keeps_its_leg_and_nobody_carries_it_over(store: Store) -> None:
    store.settle_unknown(begun(store))
    assert [leg.happened for leg in store.open_legs()] == [None]
    assert due(store) == []
    done(store)
    assert due(store) == []  # later ones wait for it


def test_a_leg_of_a_process_that_died_is_not_under_way(place: Place) -> None:
    died(place)
    with closing(place.open()) as store:
        ((owner,),) = place.said("SELECT owner FROM writes")
        write = WriteId("a", "b", "x", str(owner))
        store.add_leg(write, "thing", "7", "modern", "pending", {})
        assert [leg.happened for leg in store.open_legs()] == [None]
        assert store.add_leg(WriteId("a", "b", "y"), "thing", "7", "modern", "pending", {}) == ""


def test_legs_of_one_record_go_over_one_by_one_in_the_order_of_the_writes_and_others_do_not_wait(store: Store) -> None:
    first, _second, elsewhere = done(store), done(store), done(store, "8")
    there = due(store)
    assert {leg.write for leg in there} == {first, elsewhere}
    own = carried(store, next(leg.id for leg in there if leg.write == first))
    assert {leg.write for leg in due(store)} == {elsewhere}  # somebody is busy with it
    store.settle(own, {})
    assert first not in {leg.write for leg in due(store)}
    assert len(due(store)) == 2


def test_no_write_of_a_record_begins_while_another_is_under_way_or_where_something_lacks(store: Store) -> None:
    first, second = begun(store), WriteId("bob", "things.move", "b")
    assert store.add_leg(second, "thing", "7", "modern", "pending", {}) == "under way"
    assert store.add_leg(second, "thing", "8", "modern", "pending", {}) == ""
    store.settle(first, {})
    assert store.add_leg(second, "thing", "7", "legacy", "pending", {}) == "behind"  # modern, where it would be written, lacks one
    assert store.add_leg(second, "thing", "7", "modern", "pending", {}) == ""


def test_what_becomes_of_the_write_that_carries_a_leg_becomes_of_the_leg(store: Store) -> None:
    for key, say in (("1", store.release), ("2", store.settle_unknown), ("3", lambda write: store.settle(write, {}))):
        done(store, key)
        say(carried(store, next(leg.id for leg in due(store) if leg.attempts == 0)))
    assert store.legs_by_state() == {"pending": 1, "unknown": 1, "done": 1}
    assert [bool(store.lacking("thing", key)) for key in "123"] == [True, True, False]
    assert len(due(store)) == 1


def test_a_settler_finds_out_for_a_leg_too(store: Store) -> None:
    for key, found in (("1", store.found_undone), ("2", store.found_nothing), ("3", lambda write: store.found_done(write, {}))):
        done(store, key)
        own = carried(store, next(leg.id for leg in due(store) if leg.attempts == 0))
        found(Unsettled(own, 0.0, True, True, -9.0, None))
    assert store.legs_by_state() == {"pending": 1, "unknown": 1, "done": 1}


def test_what_is_owed_counts_against_a_rollback_until_it_is_on_its_way_or_settled_by_hand(store: Store, place: Place) -> None:
    for key in ("1", "2"):
        done(store, key, "legacy", "owed")
    assert (store.owed("thing"), store.owed("other"), due(store)) == (2, 0, [])
    assert store.pend_legs("thing", "; alice") == 2
    assert store.owed("thing") == 0  # it is on its way, and reads follow it
    place.said("UPDATE legs SET created = created - 61")
    assert store.owed("thing") == 2  # or is it?
    first, second = due(store)
    assert first.detail == "; alice"
    store.settle(carried(store, first.id), {})
    assert store.owed("thing") == 1
    assert store.close_leg(second.id, "bob: done by hand")
    assert not store.close_leg(second.id, "again")
    assert store.owed("thing") == 0
    assert [store.leg_given(leg.id) for leg in (first, second)] == [{}, {}]  # nothing is kept of what both sides have


def test_a_write_whose_own_outcome_is_unknown_counts_against_a_rollback_at_once(store: Store) -> None:
    write = WriteId("alice", "things.move", "k-unknown")
    store.reserve(write, {}, 30)
    store.add_leg(write, "thing", "7", "legacy", "pending", {})
    assert store.owed("thing") == 0  # it is under way
    store.settle_unknown(write)
    assert store.owed("thing") == 1


def test_a_refused_leg_is_tried_again_only_when_a_person_says_so(store: Store) -> None:
    done(store)
    (leg,) = due(store)
    own = carried(store, leg.id)
    store.release(own)
    store.explain_leg(leg.id, "Refused 422", "failed")
    assert (due(store), store.lacking("thing", "7")) == ([], {"modern"})
    assert store.pend_leg(leg.id)
    assert not store.pend_leg(leg.id)
    assert [(leg.attempts, leg.detail) for leg in due(store)] == [(1, "Refused 422")]


def test_a_leg_that_was_tried_in_vain_is_left_alone_for_a_while(store: Store) -> None:
    done(store)
    own = WriteId(LEG, "things.move", due(store)[0].id, "worker")
    store.reserve(own, {}, 60)
    assert store.try_leg(own.key, 60.0)
    store.release(own)
    assert due(store) == []


def test_an_unknown_write_is_taken_again_where_it_was_sent_unless_a_later_one_has_begun(store: Store) -> None:
    write = begun(store, side="legacy")
    again = WriteId(write.caller, write.operation, write.key, "again")
    assert not store.retake(again, "modern", 60)  # it is under way
    store.settle_unknown(write)
    assert not store.retake(again, "legacy", 60)
    assert store.retake(again, "modern", 60)
    assert not store.retake(again, "modern", 60)
    assert store.add_leg(again, "thing", "7", "legacy", "pending", {}) == ""  # it has its leg
    store.settle_unknown(write)  # its first try has no say any more
    assert [leg.happened for leg in store.open_legs()] == [False]
    store.settle_unknown(again)
    begun(store, side="legacy")
    assert not store.retake(again, "modern", 60)
    assert len(store.open_legs()) == 2


def test_after_a_restore_it_is_unknown_what_was_carried_over_since(place: Place, tmp_path: Path) -> None:
    with closing(place.open()) as store:
        done(store, "1")
        done(store, "2", "legacy", "owed")
        store.backup(tmp_path / "backup")
    key = tmp_path / "other.key"
    restored(f"sqlite:///{tmp_path}/other.sqlite", key, tmp_path / "backup")
    with closing(Store(f"sqlite:///{tmp_path}/other.sqlite", key)) as after:
        assert after.legs_by_state() == {"unknown": 2}
        assert due(after) == []
        assert (after.lacking("thing", "1"), after.owed("thing")) == ({"modern"}, 1)
